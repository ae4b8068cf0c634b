package certbot

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	maxConfig = 256 << 10 // bytes of one configuration file; certbot's own take about 1 KiB
	maxDepth  = 8         // of sections; certbot uses two
)

// Section is one section of a file in ConfigObj's format, which certbot writes:
// names with a value or a list, and sections below.
type Section struct {
	Values   map[string]Value
	Sections map[string]*Section
}

// Value is one value, or a list. `dns-01,` is a list of one.
type Value struct {
	Items []string
	List  bool
}

func newSection() *Section {
	return &Section{Values: map[string]Value{}, Sections: map[string]*Section{}}
}

// Text is a value as certbot understands it: "None" and "" are unset, and of a
// list it is what certbot would have been given on its command line.
func (s *Section) Text(name string) string {
	if s == nil {
		return ""
	}
	text := strings.Join(s.Values[name].Items, ",")
	if text == "None" {
		return ""
	}
	return text
}

// List is a value as a list: one that is written without a comma is a list of
// one.
func (s *Section) List(name string) []string {
	if s == nil || s.Text(name) == "" {
		return nil
	}
	return s.Values[name].Items
}

// Sub is a section below, or nil. A nil Section holds nothing.
func (s *Section) Sub(name string) *Section {
	if s == nil {
		return nil
	}
	return s.Sections[name]
}

// Parse reads a file in ConfigObj's format: `name = value`, `[section]`,
// `[[section below]]`, '…' and "…" and three of either around several lines,
// lists with commas, # before a comment. Errors name the line and not what it
// holds. Nothing is interpolated.
func Parse(data []byte) (*Section, error) {
	if len(data) > maxConfig {
		return nil, fmt.Errorf("it is larger than %d bytes", maxConfig)
	}
	text := strings.TrimPrefix(string(data), "\ufeff")
	if !utf8.ValidString(text) {
		return nil, fmt.Errorf("it is not UTF-8")
	}
	p := parser{lines: strings.Split(strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(text), "\n")}
	root := newSection()
	p.path = []*Section{root}
	for p.next < len(p.lines) {
		line := strings.TrimSpace(p.lines[p.next])
		p.next++
		var err error
		switch {
		case line == "" || line[0] == '#':
		case line[0] == '[':
			err = p.section(line)
		default:
			err = p.entry(line)
		}
		if err != nil {
			return nil, err
		}
	}
	return root, nil
}

type parser struct {
	lines []string
	next  int        // of the lines
	path  []*Section // from the root to where entries go
}

func (p *parser) wrong(format string, args ...any) error {
	return fmt.Errorf("line %d: %s", p.next, fmt.Sprintf(format, args...))
}

// section goes to `[name]` or, by the number of brackets, below.
func (p *parser) section(line string) error {
	depth := len(line) - len(strings.TrimLeft(line, "["))
	rest := line[depth:]
	name, rest, err := p.word(rest, "]")
	if err != nil {
		return err
	}
	closing := len(rest) - len(strings.TrimLeft(rest, "]"))
	if closing != depth || !comment(rest[closing:]) {
		return p.wrong("the brackets of a section do not match")
	}
	if depth > len(p.path) || depth > maxDepth {
		return p.wrong("a section is nested deeper than it can be")
	}
	parent := p.path[depth-1]
	if _, twice := parent.Sections[name]; twice || name == "" {
		return p.wrong("a section has no name, or that of another one")
	}
	s := newSection()
	parent.Sections[name] = s
	p.path = append(p.path[:depth], s)
	return nil
}

// entry reads `name = value`.
func (p *parser) entry(line string) error {
	name, rest, err := p.word(line, "=")
	if err != nil {
		return err
	}
	rest, ok := strings.CutPrefix(rest, "=")
	if !ok || name == "" {
		return p.wrong("there is no name and value")
	}
	here := p.path[len(p.path)-1]
	if _, twice := here.Values[name]; twice {
		return p.wrong("a name is there twice")
	}
	rest = strings.TrimSpace(rest)
	if quote := threeQuotes(rest); quote != "" {
		line := p.lines[p.next-1]
		blanks := line[len(strings.TrimRightFunc(line, unicode.IsSpace)):] // part of the text
		text, err := p.block(rest+blanks, quote)
		if err != nil {
			return err
		}
		here.Values[name] = Value{Items: []string{text}}
		return nil
	}
	here.Values[name], err = p.value(rest)
	return err
}

func threeQuotes(text string) string {
	for _, quote := range []string{`"""`, `'''`} {
		if strings.HasPrefix(text, quote) {
			return quote
		}
	}
	return ""
}

// block reads what three quotes enclose, over several lines.
func (p *parser) block(first, quote string) (string, error) {
	begun := p.next
	rest := first[len(quote):]
	var text strings.Builder
	for {
		if strings.Contains(rest, quote) {
			end := closing(rest, quote)
			if end < 0 {
				return "", p.wrong("something follows the closing quotes")
			}
			return text.String() + rest[:end], nil
		}
		text.WriteString(rest)
		if p.next == len(p.lines) {
			p.next = begun
			return "", p.wrong("the quotes are not closed")
		}
		text.WriteByte('\n')
		rest = p.lines[p.next]
		p.next++
	}
}

// closing finds the first quotes behind which nothing but a comment follows: those
// before them are part of the value. It is -1 when there are none.
func closing(text, quote string) int {
	for from := 0; ; {
		i := strings.Index(text[from:], quote)
		if i < 0 {
			return -1
		}
		if comment(text[from+i+len(quote):]) {
			return from + i
		}
		from += i + 1
	}
}

// value reads a value, or a list, on one line.
func (p *parser) value(text string) (Value, error) {
	var v Value
	if rest, ok := strings.CutPrefix(text, ","); ok { // a single comma is the empty list
		if !comment(rest) {
			return v, p.wrong("a list begins with a comma")
		}
		return Value{List: true}, nil
	}
	for {
		if comment(text) {
			if !v.List {
				v.Items = []string{""}
			}
			return v, nil
		}
		item, rest, err := p.item(text, v.List)
		if err != nil {
			return v, err
		}
		v.Items = append(v.Items, item)
		rest, more := strings.CutPrefix(rest, ",")
		if !more {
			if !comment(rest) {
				return v, p.wrong("something follows the value")
			}
			return v, nil
		}
		v.List = true
		text = strings.TrimSpace(rest)
	}
}

// item reads up to a comma, a comment or the end.
func (p *parser) item(text string, inList bool) (item, rest string, err error) {
	if text[0] == '\'' || text[0] == '"' {
		return p.quoted(text)
	}
	end := strings.IndexAny(text, ",#")
	if end < 0 {
		end = len(text)
	}
	if end == 0 && inList {
		return "", "", p.wrong("an item of a list is empty")
	}
	return strings.TrimSpace(text[:end]), text[end:], nil
}

// quoted reads what a pair of quotes encloses. The closing one is the first after
// which a value can end: those before it are part of the value.
func (p *parser) quoted(text string) (item, rest string, err error) {
	quote, enclosed := text[:1], text[1:]
	for from := 0; ; {
		i := strings.Index(enclosed[from:], quote)
		if i < 0 {
			return "", "", p.wrong("a quote is not closed")
		}
		rest = strings.TrimSpace(enclosed[from+i+1:])
		if comment(rest) && endsItem(rest, quote) {
			// ConfigObj would take the value to go on until there.
			return "", "", p.wrong("a quote in the comment makes it unclear where the value ends")
		}
		if comment(rest) || rest[0] == ',' {
			return enclosed[:from+i], rest, nil
		}
		from += i + 1
	}
}

// endsItem says whether an item of a list could end somewhere in a text.
func endsItem(text, quote string) bool {
	for _, part := range strings.Split(text, quote)[1:] {
		if strings.HasPrefix(strings.TrimSpace(part), ",") {
			return true
		}
	}
	return false
}

// word reads the name of an entry or section, quoted or not, up to one of the
// signs in until.
func (p *parser) word(text, until string) (word, rest string, err error) {
	text = strings.TrimSpace(text)
	if text != "" && (text[0] == '\'' || text[0] == '"') {
		word, rest, ok := strings.Cut(text[1:], text[:1])
		if !ok {
			return "", "", p.wrong("a quote is not closed")
		}
		return word, strings.TrimSpace(rest), nil
	}
	end := strings.Index(text, until)
	if end < 0 {
		return "", "", p.wrong("%q is missing", until)
	}
	return strings.TrimSpace(text[:end]), text[end:], nil
}

// comment says whether nothing but a comment follows.
func comment(text string) bool {
	text = strings.TrimSpace(text)
	return text == "" || text[0] == '#'
}
