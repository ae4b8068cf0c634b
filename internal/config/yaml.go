package config

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// MaxFile is the most that a configuration may have, in bytes.
const MaxFile = 4 << 20

// A file with more of these is not a configuration. They bound what reading one
// can cost.
const (
	maxTokens = 400_000
	maxNested = 64      // of [ and {, and of what opens a level within one line
	maxKeys   = 5_000   // of one mapping, unless split takes it apart: the library takes time with their square
	maxNodes  = 400_000 // read in all, whatever aliases multiply
)

// parseYAML turns a file into YAML nodes, or returns a Problem or Problems.
func (f *File) parseYAML(data []byte) (doc ast.Node, err error) {
	// The library is well tested, yet it is not ours: should it fail on some
	// input, that input is what is wrong.
	defer func() {
		if r := recover(); r != nil {
			doc, err = nil, f.problem(place{1, 1}, "not YAML that can be read: %s", printable(fmt.Sprint(r)))
		}
	}()
	tokens := lexer.Tokenize(string(data))
	if len(tokens) > maxTokens {
		return nil, f.problem(place{1, 1}, "the file has more than %d words and signs", maxTokens)
	}
	if at, deep := tooDeep(tokens); deep {
		return nil, f.problem(at, "nested more than %d levels deep", maxNested)
	}
	whole, pieces := split(joined(tokens))
	body, err := f.parsePiece(whole)
	if err != nil {
		return nil, err
	}
	for _, p := range pieces {
		more, err := f.parsePiece(p.tokens)
		if err != nil {
			return nil, err
		}
		if !p.addTo(body, more) {
			return nil, f.problem(placeOf(more), "not YAML: expected another key of the mapping above")
		}
	}
	return body, nil
}

// parsePiece is parseYAML for a part that the library can take in at once.
func (f *File) parsePiece(tokens token.Tokens) (ast.Node, error) {
	if at, crowded := crowded(tokens); crowded {
		return nil, f.problem(at, "a mapping has more than %d keys", maxKeys)
	}
	tree, err := parser.Parse(linked(tokens), 0, parser.AllowDuplicateMapKey())
	if err != nil {
		return nil, f.syntaxProblem(err)
	}
	var body ast.Node
	for _, d := range tree.Docs {
		if d.Body == nil {
			continue
		}
		if body != nil {
			return nil, f.problem(placeOf(d.Body), "a second document begins here: a file holds one")
		}
		body = d.Body
	}
	return body, nil
}

// notText finds the first line that is not UTF-8.
func notText(lines []string) (place, bool) {
	for i, line := range lines {
		if !utf8.ValidString(line) {
			return place{i + 1, 1}, false
		}
	}
	return place{}, true
}

// anchors lists what aliases may stand for, by name.
func anchors(doc ast.Node) map[string]ast.Node {
	found := anchorWalk{}
	if doc != nil {
		ast.Walk(found, doc)
	}
	return found
}

type anchorWalk map[string]ast.Node

// Visit implements ast.Visitor.
func (w anchorWalk) Visit(n ast.Node) ast.Visitor {
	if a, ok := n.(*ast.AnchorNode); ok && a.Name != nil {
		w[a.Name.GetToken().Value] = a.Value
	}
	return w
}

// tooDeep finds where brackets, or the signs that open a level within a line
// ("- - -", "? ?", tags and anchors), are nested so deep that a recursive
// reader would run out of stack.
func tooDeep(tokens token.Tokens) (place, bool) {
	depth, line, inLine := 0, 0, 0
	for _, t := range tokens {
		if t.Position.Line != line {
			line, inLine = t.Position.Line, 0
		}
		switch t.Type {
		case token.SequenceStartType, token.MappingStartType:
			depth++
		case token.SequenceEndType, token.MappingEndType:
			depth = max(depth-1, 0)
		case token.SequenceEntryType, token.MappingKeyType, token.TagType, token.AnchorType:
			inLine++
		case token.CollectEntryType:
			inLine = 0
		}
		if depth > maxNested || inLine > maxNested {
			return place{t.Position.Line, t.Position.Column}, true
		}
	}
	return place{}, false
}

// crowded finds a mapping with too many keys.
func crowded(tokens token.Tokens) (place, bool) {
	block := []level{}         // the mappings that are open, by their column
	flow := make([]int, 1, 16) // keys of what is open in brackets
	for i, t := range tokens {
		column := t.Position.Column
		if t.Type == token.MappingValueType && i > 0 {
			column = tokens[i-1].Position.Column
		}
		inside := len(flow) > 1
		switch t.Type {
		case token.SequenceStartType, token.MappingStartType:
			flow = append(flow, 0)
		case token.SequenceEndType, token.MappingEndType:
			flow = flow[:max(len(flow)-1, 1)]
		case token.MappingValueType, token.SequenceEntryType:
			if inside {
				flow[len(flow)-1]++
				break
			}
			for len(block) > 0 && block[len(block)-1].column > column {
				block = block[:len(block)-1]
			}
			if t.Type == token.SequenceEntryType {
				break
			}
			if len(block) == 0 || block[len(block)-1].column < column {
				block = append(block, level{column: column})
			}
			block[len(block)-1].keys++
		}
		if flow[len(flow)-1] > maxKeys || len(block) > 0 && block[len(block)-1].keys > maxKeys {
			return place{t.Position.Line, t.Position.Column}, true
		}
	}
	return place{}, false
}

// level is an open mapping: where its keys begin, and how many there were.
type level struct{ column, keys int }

// joined puts together what the library takes apart: within braces it ends a
// plain word at any colon, so that {targets: [127.0.0.1:8080]} is not the list
// that it is. A colon ends a plain word only before a blank (YAML 1.2 §7.3.3).
func joined(tokens token.Tokens) token.Tokens {
	out := make(token.Tokens, 0, len(tokens))
	for i := 0; i < len(tokens); i++ {
		t := tokens[i]
		if n := len(out); t.Type == token.MappingValueType && n > 0 && i+1 < len(tokens) && touch(out[n-1], t) && touch(t, tokens[i+1]) {
			before, after := out[n-1], tokens[i+1]
			out[n-1] = token.String(before.Value+":"+after.Value, before.Origin+":"+after.Origin, before.Position)
			i++
			continue
		}
		out = append(out, t)
	}
	return out
}

// linked makes every token know its neighbours, which the library looks at.
func linked(tokens token.Tokens) token.Tokens {
	for i, t := range tokens {
		t.Prev, t.Next = nil, nil
		if i > 0 {
			t.Prev, tokens[i-1].Next = tokens[i-1], t
		}
	}
	return tokens
}

// touch says whether two tokens, a plain word and a colon, stand side by side.
func touch(a, b *token.Token) bool {
	for _, t := range []*token.Token{a, b} {
		plain := t.Indicator == token.NotIndicator && t.CharacterType == token.CharacterTypeMiscellaneous
		if t.Type != token.MappingValueType && !plain {
			return false
		}
	}
	return a.Position.Line == b.Position.Line && a.Position.Column+utf8.RuneCountInString(a.Value) == b.Position.Column
}

// syntaxProblem puts the library's complaint at its place.
func (f *File) syntaxProblem(err error) error {
	located, ok := err.(interface {
		GetMessage() string
		GetToken() *token.Token
	})
	if !ok {
		return f.problem(place{1, 1}, "not YAML: %s", printable(err.Error()))
	}
	at := place{1, 1}
	if t := located.GetToken(); t != nil && t.Position != nil {
		at = place{t.Position.Line, t.Position.Column}
	}
	message := located.GetMessage()
	if strings.Contains(message, "\t") {
		return f.problem(at, "not YAML: indentation is made of spaces, not tabs")
	}
	return f.problem(at, "not YAML: %s", printable(message))
}

// printable replaces what a terminal would obey.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, s)
}

// placeOf is where a node begins.
func placeOf(n ast.Node) place {
	switch n := n.(type) {
	case *ast.MappingNode:
		if !n.IsFlowStyle && len(n.Values) > 0 {
			return placeOf(n.Values[0])
		}
	case *ast.MappingValueNode:
		return placeOf(n.Key)
	}
	if t := n.GetToken(); t != nil && t.Position != nil {
		return place{t.Position.Line, t.Position.Column}
	}
	return place{1, 1}
}
