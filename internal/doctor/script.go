package doctor

import (
	"strings"
	"unicode/utf8"
)

// call is an expression in a script that opens a connection, with what it is
// given as far as it can be read.
type call struct {
	kind  refKind
	where string  // FILE:LINE
	arg   []token // of the first argument, or what is assigned
}

// script is what reading a script without running it tells.
type script struct {
	calls []call
	names map[string]string // what simple names were first given, when that is a text
	uses  bool              // a SockJS client is in use
}

// token is a word, a text or a sign of JavaScript.
type token struct {
	kind tokenKind
	text string // of a text what it says, escapes undone
	line int
}

type tokenKind int

const (
	sign tokenKind = iota
	word
	literal
	template // a text with ${…} in it
)

// maxTokens bounds what is read of one script.
const maxTokens = 400_000

// lex cuts JavaScript into tokens. It is not strict: what a browser would refuse
// gives some tokens all the same. It never fails and its cost is linear.
func lex(src string) []token {
	l := lexer{src: src, line: 1}
	for l.at < len(l.src) && len(l.out) < maxTokens {
		l.step()
	}
	return l.out
}

type lexer struct {
	src  string
	at   int
	line int
	out  []token

	wasted int // bytes
}

func (l *lexer) step() {
	c := l.src[l.at]
	rest := l.src[l.at:]
	switch {
	case c == '\n':
		l.line++
		l.at++
	case c <= ' ':
		l.at++
	case strings.HasPrefix(rest, "//"):
		l.skipTo("\n", 2, false)
	case strings.HasPrefix(rest, "/*"):
		l.skipTo("*/", 2, true)
	case c == '"' || c == '\'' || c == '`':
		l.text(c)
	case c == '/' && l.regexpMayBegin():
		l.pattern()
	case wordByte(c):
		end := l.at
		for end < len(l.src) && wordByte(l.src[end]) {
			end++
		}
		l.add(word, l.src[l.at:end])
		l.at = end
	default:
		l.add(sign, string(rune(c)))
		l.at++
	}
}

func (l *lexer) add(kind tokenKind, text string) {
	l.out = append(l.out, token{kind, text, l.line})
}

func wordByte(c byte) bool {
	return c == '_' || c == '$' || c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z' || c >= utf8.RuneSelf
}

// skipTo goes on after the next end, or to the end of the script.
func (l *lexer) skipTo(end string, from int, past bool) {
	n := strings.Index(l.src[l.at+from:], end)
	if n < 0 {
		l.at = len(l.src)
		return
	}
	n += from
	if past {
		n += len(end)
	}
	l.line += strings.Count(l.src[l.at:l.at+n], "\n")
	l.at += n
}

// text reads a text. One that ends at the end of its line is broken, unless it is
// a template.
func (l *lexer) text(quote byte) {
	var b strings.Builder
	kind, first := literal, l.line
	i := l.at + 1
	for ; i < len(l.src) && l.src[i] != quote; i++ {
		switch c := l.src[i]; {
		case c == '\\' && i+1 < len(l.src):
			i++
			if l.src[i] == '\n' {
				l.line++
			} else {
				b.WriteByte(unescaped(l.src[i]))
			}
		case c == '\n' && quote != '`':
			l.at = i
			l.out = append(l.out, token{kind, b.String(), first})
			return
		default:
			if c == '\n' {
				l.line++
			}
			if quote == '`' && strings.HasPrefix(l.src[i:], "${") {
				kind = template
			}
			b.WriteByte(c)
		}
	}
	l.at = min(i+1, len(l.src))
	l.out = append(l.out, token{kind, b.String(), first})
}

func unescaped(c byte) byte {
	switch c {
	case 'n':
		return '\n'
	case 't':
		return '\t'
	}
	return c
}

// regexpMayBegin says whether a slash begins a regular expression: after a value
// it divides.
func (l *lexer) regexpMayBegin() bool {
	if len(l.out) == 0 {
		return true
	}
	last := l.out[len(l.out)-1]
	switch last.kind {
	case literal, template:
		return false
	case word:
		return last.text == "return" || last.text == "typeof" || last.text == "case" || last.text == "in" || last.text == "of"
	}
	return last.text != ")" && last.text != "]" && last.text != "}"
}

// maxPattern bounds a regular expression, in bytes, and maxWasted what is spent
// on those of a script that turn out to be none, so that what only looks like one
// costs little.
const (
	maxPattern = 4096
	maxWasted  = 1 << 20
)

// pattern passes over a regular expression; a slash that turns out to be none is
// a sign.
func (l *lexer) pattern() {
	class := false
	end := l.at + maxPattern
	if l.wasted > maxWasted {
		end = l.at
	}
	for i := l.at + 1; i < min(len(l.src), end) && l.src[i] != '\n'; i++ {
		l.wasted++
		switch l.src[i] {
		case '\\':
			i++
		case '[':
			class = true
		case ']':
			class = false
		case '/':
			if !class {
				l.wasted -= i - l.at // it was one, or nearly
				l.add(literal, "")
				l.at = i + 1
				return
			}
		}
	}
	l.add(sign, "/")
	l.at++
}

// constructors and functions that open a connection to their first argument.
func opener(name string) refKind {
	switch name {
	case "WebSocket", "ReconnectingWebSocket":
		return refWebSocket
	case "SockJS":
		return refSockJS
	case "EventSource":
		return refEvents
	case "fetch", "axios", "importScripts", "sendBeacon", "getJSON", "Worker", "SharedWorker":
		return refFetch
	}
	return ""
}

// readScript finds what a script connects to. line is where it begins in file.
func readScript(file string, line int, src string) script {
	tokens := lex(src)
	out := script{names: map[string]string{}}
	at := func(t token) string { return place(file, line+t.line-1) }
	for i, t := range tokens {
		switch {
		case t.kind == word && (next(tokens, i, "(")):
			if t.text == "SockJS" {
				out.uses = true
			}
			kind := opener(t.text)
			arg := i + 2
			if kind == "" && after(tokens, i, ".") {
				kind, arg = method(tokens, i)
			}
			if kind != "" {
				out.calls = append(out.calls, call{kind, at(t), argument(tokens[arg:])})
			}
		case t.kind == word && (next(tokens, i, "=") || next(tokens, i, ":")) && i+2 < len(tokens):
			out.assign(t.text, tokens, i, at(t))
		case t.kind == literal && socketAddress(t.text):
			out.calls = append(out.calls, call{refWebSocket, at(t), []token{t}})
		case t.kind == template && socketAddress(t.text):
			out.calls = append(out.calls, call{refWebSocket, at(t), []token{t}})
		}
	}
	return out
}

// socketAddress is for texts that can be nothing else.
func socketAddress(s string) bool {
	rest, ok := strings.CutPrefix(s, "ws://")
	return ok && rest != ""
}

// assign keeps what a name is given, and finds what is loaded by assignment.
func (s *script) assign(name string, tokens []token, i int, where string) {
	value := tokens[i+2]
	if value.kind != literal && value.kind != template || len(value.text) > maxAddress {
		return
	}
	if _, known := s.names[name]; !known {
		s.names[name] = value.text
	}
	switch {
	case name == "src" && after(tokens, i, ".") && next(tokens, i, "="):
		s.calls = append(s.calls, call{refImage, where, argument(tokens[i+2:])})
	case name == "action" && after(tokens, i, "."):
		s.calls = append(s.calls, call{refForm, where, argument(tokens[i+2:])})
	}
}

// method is for calls such as xhr.open("GET", address) and axios.post(address).
func method(tokens []token, i int) (refKind, int) {
	switch tokens[i].text {
	case "open":
		if i+4 < len(tokens) && tokens[i+2].kind == literal && tokens[i+3].text == "," && upper(tokens[i+2].text) {
			return refFetch, i + 4
		}
	case "get", "post", "put", "ajax":
		if i >= 2 && (tokens[i-2].text == "axios" || tokens[i-2].text == "$" || tokens[i-2].text == "jQuery") {
			return refFetch, i + 2
		}
	}
	return "", 0
}

// upper says whether a text looks like an HTTP method.
func upper(s string) bool {
	return s != "" && strings.Trim(strings.ToUpper(s), "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == "" && len(s) < 8
}

// next says whether a sign follows; "=" is no part of "==" then.
func next(tokens []token, i int, text string) bool {
	is := func(i int, text string) bool {
		return i < len(tokens) && tokens[i].kind == sign && tokens[i].text == text
	}
	return is(i+1, text) && (text != "=" || !is(i+2, "="))
}

// after says whether a sign stands before.
func after(tokens []token, i int, text string) bool {
	return i > 0 && tokens[i-1].kind == sign && tokens[i-1].text == text
}

// maxArgument bounds an expression, in tokens, and maxAddress what is taken for
// an address, in bytes.
const (
	maxArgument = 40
	maxAddress  = 2048
)

// argument is the tokens of one expression: to the next comma, semicolon or
// closing bracket.
func argument(tokens []token) []token {
	depth := 0
	for i, t := range tokens {
		if i == maxArgument {
			return tokens[:i]
		}
		if t.kind != sign {
			continue
		}
		switch t.text {
		case "(", "[", "{":
			depth++
		case ")", "]", "}":
			if depth--; depth < 0 {
				return tokens[:i]
			}
		case ",", ";":
			if depth == 0 {
				return tokens[:i]
			}
		}
	}
	return tokens
}

// evaluate reads an address out of an expression: texts, names of texts and parts
// of location, joined by +. whole is false when more follows that cannot be read;
// what is there then is how the address begins.
func evaluate(arg []token, names map[string]string, page *location) (text string, whole bool) {
	var b strings.Builder
	for i := 0; i < len(arg); {
		t := arg[i]
		switch {
		case len(t.text)+b.Len() > maxAddress:
			return b.String(), false
		case t.kind == literal:
			b.WriteString(t.text)
			i++
		case t.kind == template:
			part, ok := fill(t.text, names, page)
			b.WriteString(part)
			if !ok {
				return b.String(), false
			}
			i++
		case t.kind == word && t.text != "new":
			value, n, ok := lookup(arg[i:], names, page)
			if !ok {
				return b.String(), false
			}
			b.WriteString(value)
			i += n
		default:
			return b.String(), false
		}
		if i < len(arg) {
			if arg[i].kind != sign || arg[i].text != "+" {
				return b.String(), false
			}
			i++
		}
	}
	return b.String(), true
}

// location is what a page's location says.
type location struct{ protocol, host, hostname, origin string }

// lookup reads a dotted name at the beginning of some tokens and what it stands
// for.
func lookup(arg []token, names map[string]string, page *location) (value string, n int, ok bool) {
	parts := []string{arg[0].text}
	n = 1
	for n+1 < len(arg) && arg[n].kind == sign && arg[n].text == "." && arg[n+1].kind == word {
		parts = append(parts, arg[n+1].text)
		n += 2
	}
	value, ok = stand(parts, names, page)
	return value, n, ok
}

// stand is what a dotted name stands for.
func stand(parts []string, names map[string]string, page *location) (string, bool) {
	last := parts[len(parts)-1]
	if len(parts) > 1 && parts[len(parts)-2] == "location" {
		switch last {
		case "protocol":
			return page.protocol, true
		case "host":
			return page.host, true
		case "hostname":
			return page.hostname, true
		case "origin":
			return page.origin, true
		}
	}
	value, ok := names[last]
	return value, ok
}

// fill puts what is known into a template.
func fill(text string, names map[string]string, page *location) (string, bool) {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(text, "${")
		b.WriteString(before)
		if !found {
			return b.String(), true
		}
		name, rest, found := strings.Cut(rest, "}")
		value, ok := stand(strings.Split(strings.TrimSpace(name), "."), names, page)
		if !found || !ok || b.Len() > maxAddress {
			return b.String(), false
		}
		b.WriteString(value)
		text = rest
	}
}
