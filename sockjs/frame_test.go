package sockjs

import "testing"

func TestDecodeMessagesAcceptsOnlyArraysOfStrings(t *testing.T) {
	for _, c := range []struct {
		body string
		want []string
		err  error
	}{
		{body: `["a"]`, want: []string{"a"}},
		{body: "  [ \"a\" , \"\\u00e9\" ]\n", want: []string{"a", "é"}},
		{body: `[]`, want: []string{}},
		{body: `["\ud800"]`, want: []string{"\ufffd"}},
		{body: "[\"\xff\"]", want: []string{"\ufffd"}},
		{body: ``, err: errNoPayload},
		{body: `null`, err: errNoPayload},
		{body: `"a"`, err: errNoPayload},
		{body: `{"a":"b"}`, err: errNoPayload},
		{body: `["a`, err: errBrokenJSON},
		{body: `["a"]]`, err: errBrokenJSON},
		{body: `[1]`, err: errBrokenJSON},
		{body: `[null]`, err: errBrokenJSON},
		{body: `[["a"]]`, err: errBrokenJSON},
		{body: ` `, err: errBrokenJSON},
	} {
		got, err := decodeMessages([]byte(c.body))
		if err != c.err || len(got) != len(c.want) {
			t.Errorf("decodeMessages(%q) = %q, %v; want %q, %v", c.body, got, err, c.want, c.err)
			continue
		}
		for i := range got {
			if got[i] != c.want[i] {
				t.Errorf("decodeMessages(%q) = %q; want %q", c.body, got, c.want)
			}
		}
	}
}
