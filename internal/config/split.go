package config

import (
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// A file may declare ten thousand certificates, and the library takes time with
// the square of the number of keys in a mapping. So the mappings one level below
// the document's own, such as that of certificates, are taken apart and read in
// pieces.

// pieceKeys is how many keys a piece has, at most.
const pieceKeys = 500

// piece is the continuation of a mapping.
type piece struct {
	of     *token.Token // the key, of the document itself, whose value the mapping is
	tokens token.Tokens
}

// split takes all keys but the first few out of large mappings that are values
// of the document's own keys, both in block style. What it does not understand it
// leaves alone.
func split(tokens token.Tokens) (whole token.Tokens, pieces []piece) {
	starts := outline(tokens)
	if len(starts) == 0 {
		return tokens, nil
	}
	whole = append(whole, tokens[:starts[0]]...)
	for i, from := range starts {
		to := len(tokens)
		if i+1 < len(starts) {
			to = starts[i+1]
		}
		section := tokens[from:to]
		cuts := cutsOf(section)
		if len(cuts) == 0 {
			whole = append(whole, section...)
			continue
		}
		whole = append(whole, section[:cuts[0]]...)
		for n, cut := range cuts {
			end := len(section)
			if n+1 < len(cuts) {
				end = cuts[n+1]
			}
			pieces = append(pieces, piece{section[0], section[cut:end:end]})
		}
	}
	return whole, pieces
}

// outline finds where the keys of the document itself stand; nothing when it has
// several documents or is no plain block mapping.
func outline(tokens token.Tokens) (starts []int) {
	first := 0
	for first < len(tokens) && tokens[first].Type == token.CommentType {
		first++
	}
	if first == len(tokens) {
		return nil
	}
	column := tokens[first].Position.Column
	depth := 0
	for i, t := range tokens[first:] {
		switch t.Type {
		case token.DocumentHeaderType, token.DocumentEndType, token.MappingKeyType:
			return nil
		case token.SequenceStartType, token.MappingStartType:
			depth++
		case token.SequenceEndType, token.MappingEndType:
			depth--
		}
		if depth == 0 && t.Position.Column == column && isKey(tokens, first+i) {
			starts = append(starts, first+i)
		}
	}
	return starts
}

// cutsOf finds where a section, which begins with its key, is to be cut: before
// every so many keys of the mapping that is its value.
func cutsOf(section token.Tokens) (cuts []int) {
	first := 2 // behind the key and its colon
	for first < len(section) && section[first].Type == token.CommentType {
		first++
	}
	if first >= len(section) || section[first].Position.Line == section[0].Position.Line || !isKey(section, first) {
		return nil
	}
	column, keys, depth := section[first].Position.Column, 0, 0
	for i := first; i < len(section); i++ {
		switch t := section[i]; t.Type {
		case token.SequenceStartType, token.MappingStartType:
			depth++
		case token.SequenceEndType, token.MappingEndType:
			depth--
		default:
			if depth > 0 || t.Position.Column != column || !isKey(section, i) {
				continue
			}
			if keys++; keys > pieceKeys && keys%pieceKeys == 1 {
				cuts = append(cuts, i)
			}
		}
	}
	return cuts
}

// isKey says whether a token is a plain or quoted key: a colon follows it.
func isKey(tokens token.Tokens, i int) bool {
	switch tokens[i].Type {
	case token.StringType, token.SingleQuoteType, token.DoubleQuoteType, token.IntegerType, token.FloatType, token.BoolType, token.NullType:
		return i+1 < len(tokens) && tokens[i+1].Type == token.MappingValueType
	}
	return false
}

// addTo puts the piece, as it was read, behind what is there of its mapping.
// False: it does not belong there.
func (p piece) addTo(doc, more ast.Node) bool {
	values := func(n ast.Node) []*ast.MappingValueNode {
		switch n := n.(type) {
		case *ast.MappingNode:
			return n.Values
		case *ast.MappingValueNode:
			return []*ast.MappingValueNode{n}
		}
		return nil
	}
	for _, v := range values(doc) {
		if at := v.Key.GetToken().Position; at.Line != p.of.Position.Line || at.Column != p.of.Position.Column {
			continue
		}
		m, ok := v.Value.(*ast.MappingNode)
		added := values(more)
		if ok && len(added) > 0 {
			m.Values = append(m.Values, added...)
			return true
		}
	}
	return false
}
