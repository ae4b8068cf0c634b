package acm

import (
	"bytes"
	"encoding/pem"
	"regexp"
	"unicode/utf16"
)

// Bounds on what is read. A chain with its key takes about 10 KiB; 1 MiB leaves
// room for a whole bundle of roots beside it.
const (
	maxInput  = 1 << 20 // bytes of all sources
	maxBlocks = 200     // of all sources
)

// Source is the contents of one file, or of one field of a request.
type Source struct {
	Name string // how messages call it: a file's name
	PEM  []byte
}

// block is one PEM block and where it was found.
type block struct {
	source string
	line   int // of its BEGIN line, from 1
	pem    *pem.Block
}

var (
	beginLine = regexp.MustCompile(`^-----BEGIN ([A-Z0-9#. ]+)-----$`)
	endLine   = regexp.MustCompile(`^-----END ([A-Z0-9#. ]+)-----$`)
)

// blocks finds every PEM block (RFC 7468) of one source, whatever stands around
// it. Unlike encoding/pem it does not pass over a damaged one in silence: half
// a file would become half a chain.
func (s Source) blocks() ([]block, error) {
	var found []block
	var open *block
	var body bytes.Buffer
	number := 0
	for line := range bytes.SplitSeq(plain(s.PEM), []byte("\n")) {
		number++
		line = bytes.TrimSpace(line)
		if begin := beginLine.FindSubmatch(line); begin != nil {
			if open != nil {
				return nil, damaged(s.Name, open.line)
			}
			open = &block{source: s.Name, line: number}
			body.Reset()
		}
		if open == nil {
			continue
		}
		body.Write(line)
		body.WriteByte('\n')
		if !endLine.Match(line) {
			continue
		}
		if open.pem, _ = pem.Decode(body.Bytes()); open.pem == nil {
			return nil, damaged(s.Name, open.line)
		}
		found = append(found, *open)
		open = nil
		if len(found) > maxBlocks {
			return nil, tooMany()
		}
	}
	if open != nil {
		return nil, damaged(s.Name, open.line)
	}
	if len(found) == 0 {
		return nil, s.noPEM()
	}
	return found, nil
}

func tooMany() error {
	return refuse(fieldCertificate, "there are more than %d PEM blocks: give only the certificate, its chain and its key", maxBlocks)
}

func damaged(source string, line int) error {
	return refuse(fieldCertificate, "%s: the PEM block that begins on line %d is damaged or cut off: copy the file again", source, line)
}

// noPEM says what a source without any block probably is.
func (s Source) noPEM() error {
	text := bytes.TrimSpace(s.PEM)
	switch {
	case len(text) == 0:
		return refuse(fieldCertificate, "%s is empty", s.Name)
	case text[0] == 0x30: // the SEQUENCE with which certificates, keys and PKCS #12 begin
		return refuse(fieldCertificate, "%s is binary, not PEM: convert it (openssl x509 -inform der -in FILE for a certificate, openssl pkcs12 -nodes -in FILE for a .pfx or .p12)", s.Name)
	}
	return refuse(fieldCertificate, `%s holds nothing in PEM form: a line such as "-----BEGIN CERTIFICATE-----" is missing`, s.Name)
}

// plain returns text with LF line ends and a line for each boundary, whatever
// editors, shells and copying have made of it.
func plain(text []byte) []byte {
	text = utf8Text(text)
	for _, r := range []struct{ old, new string }{
		{"\r\n", "\n"},
		{"\r", "\n"},
		{`\r\n`, "\n"}, // a JSON string or a variable: line ends spelt out
		{`\n`, "\n"},
		{"----------BEGIN ", "-----\n-----BEGIN "}, // files joined without a last line end
	} {
		if bytes.Contains(text, []byte(r.old)) {
			text = bytes.ReplaceAll(text, []byte(r.old), []byte(r.new))
		}
	}
	return text
}

// utf8Text removes a byte order mark and turns UTF-16, which PowerShell's ">"
// writes, into UTF-8.
func utf8Text(text []byte) []byte {
	if rest, ok := bytes.CutPrefix(text, []byte("\xef\xbb\xbf")); ok {
		return rest
	}
	high, low := 1, 0 // little-endian
	switch {
	case bytes.HasPrefix(text, []byte("\xff\xfe")):
	case bytes.HasPrefix(text, []byte("\xfe\xff")):
		high, low = 0, 1
	default:
		return text
	}
	units := make([]uint16, 0, len(text)/2)
	for i := 2; i+1 < len(text); i += 2 {
		units = append(units, uint16(text[i+high])<<8|uint16(text[i+low]))
	}
	return []byte(string(utf16.Decode(units)))
}
