package config

import (
	"fmt"
	"strings"
	"testing"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
)

// manyKeys is a document with a mapping of n keys in the given style, between two
// others.
func manyKeys(n int, entry string) string {
	var b strings.Builder
	b.WriteString("# a comment\nbefore: &anchor {a: b}\ncertificates: # many\n  # of them\n")
	for i := range n {
		fmt.Fprintf(&b, entry, i)
	}
	b.WriteString("after:\n  - x: y\n    z: 1\n  - *anchor\n")
	return b.String()
}

// What is read in pieces is what the library reads at once.
func TestPiecesAreTheWhole(t *testing.T) {
	for _, entry := range []string{
		"  n%d: {certificate: /a/b.pem}\n", "  'n%d':\n    certificate: /a/b.pem\n    key: c\n", "  \"n%d\": [a, b:1, {c: d}]\n",
		"  %d:\n    - a\n    - b: c\n      d: e\n", "  n%d: # why\n    # because\n    k: |\n      n1: text\n      more\n\n",
		"  n%d: &x%[1]d {a: b}\n  m%[1]d: *x%[1]d\n", "  n%d:\n", "  ? n%d\n  : b\n", "  n%d: a\n  <<: {c: d}\n",
	} {
		for _, n := range []int{0, 1, pieceKeys, pieceKeys + 1, 2*pieceKeys + 3} {
			text := manyKeys(n, entry)
			want, err := parser.Parse(linked(joined(lexer.Tokenize(text))), 0, parser.AllowDuplicateMapKey())
			if err != nil {
				t.Fatalf("%v in %.200s", err, text)
			}
			f := &File{name: "albion.yaml"}
			got, err := f.parseYAML([]byte(text))
			if err != nil {
				t.Fatal(err)
			}
			a, b := strings.Split(shapeOf(got), "\n"), strings.Split(shapeOf(want.Docs[0].Body), "\n")
			if len(a) != len(b) {
				t.Errorf("%q: %d nodes, not %d", entry, len(a), len(b))
			}
			for i := range min(len(a), len(b)) {
				if a[i] != b[i] {
					t.Errorf("%q, %d keys: %s is not %s", entry, n, a[i], b[i])
					break
				}
			}
		}
	}
}

// shapeOf tells apart what reads differently: kinds, values and places.
func shapeOf(n ast.Node) string {
	var b strings.Builder
	ast.Walk(visit(func(n ast.Node) {
		if _, comment := n.(*ast.CommentGroupNode); !comment {
			at := placeOf(n)
			if n.Type() == ast.NullType { // where nothing stands is a guess
				at = place{}
			}
			fmt.Fprintf(&b, "%d:%d %T %s\n", at.line, at.column, n, n.GetToken().Value)
		}
	}), n)
	return b.String()
}

type visit func(ast.Node)

func (v visit) Visit(n ast.Node) ast.Visitor {
	v(n)
	return v
}

func TestPiecesThatAreNone(t *testing.T) {
	for text, want := range map[string]string{
		manyKeys(2*pieceKeys, "  n%d: a\n") + "  broken\n: x": "not YAML",
		manyKeys(pieceKeys, "  n%d: a\n") + "\n---\nb: c\n":   "a second document",
	} {
		f := &File{name: "albion.yaml"}
		if _, err := f.parseYAML([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v is not %q", err, want)
		}
	}
}

// Reading ten thousand certificates takes ten times as long as a thousand, not a
// hundred times.
func BenchmarkParse(b *testing.B) {
	for _, n := range []int{1000, 10_000} {
		var text strings.Builder
		text.WriteString("certificates:\n")
		for i := range n {
			fmt.Fprintf(&text, "  n%05d.example.com: {certificate: /etc/albion/certificates/n%05d.pem}\n", i, i)
		}
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				if _, err := Parse("albion.yaml", []byte(text.String())); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
