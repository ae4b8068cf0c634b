package solve_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/solve"
)

// What a method needs of this machine and does not find is said in a sentence.
func TestSaysWhatAMethodDoesNotFind(t *testing.T) {
	s := solve.New(solve.Config{Dir: t.TempDir()})
	gone := filepath.Join(t.TempDir(), "nope")
	empty := filepath.Join(t.TempDir(), "empty.ini")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		method         albion.Method
		argument, want string
	}{
		{albion.MethodWebroot, gone, "the folder " + gone + " cannot be opened"},
		{albion.MethodExec, gone, "the hook " + gone + " cannot be run"},
		{albion.MethodCloudflare, gone, "the file with the credentials, " + gone + ", cannot be read"},
		{albion.MethodRFC2136, gone, "the file with the credentials, " + gone + ", cannot be read"},
		{albion.MethodCloudflare, empty, empty + ": expected either dns_cloudflare_api_token"},
		{albion.MethodRFC2136, empty, empty + ": dns_rfc2136_server is missing"},
		{albion.MethodWebroot, filepath.Dir(gone), ""},
		{albion.MethodHTTP, "", ""},
	} {
		err := s.Check(t.Context(), &albion.Request{Method: c.method, Argument: c.argument})
		if c.want == "" {
			if err != nil {
				t.Errorf("%s: %v", c.method, err)
			}
			continue
		}
		var said *albion.Setback
		if !errors.As(err, &said) || !strings.HasPrefix(said.Sentence, c.want) || said.Advice == "" {
			t.Errorf("%s: %v, want %q", c.method, err, c.want)
		}
	}
}
