package resolve_test

import (
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/albion-lb/albion/internal/resolve"
)

func TestBelievesOnlyTheAnswerToItsQuestion(t *testing.T) {
	raw, err := resolve.Packed("Www.Example.test", "A", 7, "www.example.test. 60 A 192.0.2.1")
	if err != nil {
		t.Fatal(err)
	}
	if a, err := resolve.Parse("www.example.test", "A", 7, raw); err != nil || len(a.Of("A")) != 1 {
		t.Errorf("its answer: %+v, %v", a, err)
	}
	for why, parse := range map[string]func() (resolve.Answer, error){
		"another id":   func() (resolve.Answer, error) { return resolve.Parse("www.example.test", "A", 8, raw) },
		"another name": func() (resolve.Answer, error) { return resolve.Parse("example.test", "A", 7, raw) },
		"another type": func() (resolve.Answer, error) { return resolve.Parse("www.example.test", "AAAA", 7, raw) },
		"cut off":      func() (resolve.Answer, error) { return resolve.Parse("www.example.test", "A", 7, raw[:20]) },
		"a question": func() (resolve.Answer, error) {
			question := append([]byte(nil), raw...)
			question[2] &^= 0x80
			return resolve.Parse("www.example.test", "A", 7, question)
		},
	} {
		if a, err := parse(); err == nil {
			t.Errorf("%s is believed: %+v", why, a)
		}
	}
}

// What an update writes is what an answer shows.
func TestTextComesBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		value := string(rapid.SliceOfN(rapid.ByteRange(' ', '~'), 0, 255).Draw(t, "value"))
		if got := resolve.Text(resolve.Escaped(value)); got != value {
			t.Fatalf("%q came back as %q", value, got)
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, line := range []string{
		"a.test. 60 A 192.0.2.1", "a.test. 60 CNAME b.test.", `a.test. 60 TXT "\007x" "y"`,
		`a.test. 60 CAA 128 issue "ca.example; x=y"`, "a.test. 60 SOA ns root 1 2 3 4 5",
	} {
		raw, err := resolve.Packed("a.test", "TXT", 1, line)
		if err != nil {
			f.Fatal(err)
		}
		f.Add("a.test", raw)
	}
	f.Fuzz(func(t *testing.T, name string, raw []byte) {
		a, err := resolve.Parse(name, "TXT", 1, raw)
		var typed *resolve.Error
		if errors.As(err, &typed) {
			for _, c := range typed.Error() {
				if c < ' ' || c == 0x7f {
					t.Errorf("%q would disturb a terminal", typed.Error())
				}
			}
		}
		for _, rec := range a.Records {
			if rec.Type == "TXT" && len(rec.Data) > 1<<16 || rec.Name != strings.ToLower(rec.Name) {
				t.Errorf("%+v", rec)
			}
		}
	})
}

func FuzzResolvConf(f *testing.F) {
	f.Add([]byte("# x\nnameserver 192.0.2.1\nnameserver fe80::1%eth0\noptions ndots:5\nnameserver\nnameserver x\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		servers := resolve.ParseResolvConf(raw)
		if len(servers) > 3 {
			t.Errorf("%d servers", len(servers))
		}
		for _, server := range servers {
			if _, err := resolve.New(resolve.Config{Servers: []string{server}}); err != nil {
				t.Errorf("%q: %v", server, err)
			}
		}
	})
}

func TestReadsResolvConf(t *testing.T) {
	got := strings.Join(resolve.ParseResolvConf([]byte("search lan\n;nameserver 1.1.1.1\nnameserver 192.0.2.1 # x\n\tnameserver\t2001:db8::1\n")), " ")
	if got != "192.0.2.1:53 [2001:db8::1]:53" {
		t.Error(got)
	}
}
