package solve_test

import (
	"os"
	"strings"
	"testing"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/solve"
)

func TestReadsCredentialsAsCertbotDoes(t *testing.T) {
	got, err := solve.ParseCredentials([]byte("\ufeff# a comment\n\n; = kept\ndns_x_token=plain\n dns_x_key = \"a # b\" # why\ndns_x_name = 'it\"s'\ndns_x_mac = c2Vj==\n[section]\ndns_x_none =\n"))
	want := map[string]string{";": "kept", "dns_x_token": "plain", "dns_x_key": "a # b", "dns_x_name": `it"s`, "dns_x_mac": "c2Vj==", "dns_x_none": ""}
	if err != nil || len(got) != len(want) {
		t.Fatalf("%q, %v", got, err)
	}
	for key, value := range want {
		if got[key] != value {
			t.Errorf("%s is %q; want %q", key, got[key], value)
		}
	}
}

func TestRefusesCredentialsThatEverybodyCanRead(t *testing.T) {
	file := secretFile(t, "dns_cloudflare_api_token = x\n")
	for mode, fine := range map[os.FileMode]bool{0o600: true, 0o400: true, 0o640: true, 0o644: false, 0o602: false, 0o604: false} {
		if err := os.Chmod(file, mode); err != nil {
			t.Fatal(err)
		}
		_, err := solve.New(solve.Config{}).For(t.Context(), &albion.Request{Method: albion.MethodCloudflare, Argument: file}, nil)
		if (err == nil) != fine || err != nil && !strings.Contains(err.Error(), "chmod 600") {
			t.Errorf("mode %o: %v", mode, err)
		}
	}
}

func FuzzCredentials(f *testing.F) {
	for _, seed := range []string{"a = b", "a = 'b' # c", "a = \"b", "=", "[x]\n#\n", "a=b\r\nc=d"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		all, err := solve.ParseCredentials(raw)
		if err != nil {
			if strings.ContainsAny(err.Error(), "\n\r\x1b") {
				t.Errorf("%q would disturb a terminal", err)
			}
			return
		}
		for key, value := range all {
			if key == "" || strings.ContainsAny(key+value, "\n") {
				t.Errorf("%q = %q", key, value)
			}
		}
	})
}
