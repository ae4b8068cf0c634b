package certbot_test

import (
	"bufio"
	"encoding/json"
	"io"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/albion-lb/albion/internal/certbot"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const renewal = `# renew_before_expiry = 30 days
version = 2.1.0
archive_dir = /etc/letsencrypt/archive/chat.example.com
cert = /etc/letsencrypt/live/chat.example.com/cert.pem

# Options used in the renewal process
[renewalparams]
account = 0123456789abcdef
pref_challs = dns-01,
authenticator = webroot
webroot_path = /var/www, "/srv/a, b"
renew_hook = sh -c 'systemctl reload nginx'
post_hook = """echo "it's, done" # really"""
elliptic_curve = None
[[webroot_map]]
chat.example.com = /var/www
'odd name' = '#1'
[acme_renewal_info]
ari_retry_after = 2026-01-02T03:04:05
`

func TestParseReadsARenewalConfiguration(t *testing.T) {
	conf, err := certbot.Parse([]byte(renewal))
	if err != nil {
		t.Fatal(err)
	}
	params := conf.Sub("renewalparams")
	for _, c := range []struct{ got, want string }{
		{conf.Text("version"), "2.1.0"},
		{params.Text("renew_hook"), "sh -c 'systemctl reload nginx'"},
		{params.Text("post_hook"), `echo "it's, done" # really`},
		{params.Text("elliptic_curve"), ""},
		{params.Text("pref_challs"), "dns-01"},
		{params.Sub("webroot_map").Text("odd name"), "#1"},
		{conf.Sub("acme_renewal_info").Text("ari_retry_after"), "2026-01-02T03:04:05"},
		{conf.Sub("nothing").Sub("here").Text("x"), ""},
	} {
		if c.got != c.want {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
	if got := params.List("webroot_path"); !slices.Equal(got, []string{"/var/www", "/srv/a, b"}) {
		t.Errorf("%q", got)
	}
	if v := params.Values["pref_challs"]; !v.List {
		t.Error("a comma at the end makes no list")
	}
}

func TestParseNamesTheLineThatIsWrong(t *testing.T) {
	for text, want := range map[string]string{
		"a = 1\nnonsense":          `line 2: "=" is missing`,
		"= 1":                      "line 1: there is no name and value",
		"a = 1\na = 2":             "line 2: a name is there twice",
		"[a]\n[a]":                 "line 2: a section has no name, or that of another one",
		"[[a]]":                    "line 1: a section is nested deeper than it can be",
		"[a]]":                     "line 1: the brackets of a section do not match",
		"[a":                       `line 1: "]" is missing`,
		"a = 'x":                   "line 1: a quote is not closed",
		"'a = x":                   "line 1: a quote is not closed",
		`a = ""#",`:                "line 1: a quote in the comment makes it unclear where the value ends",
		"a = x,, y":                "line 1: an item of a list is empty",
		"a = ,x":                   "line 1: a list begins with a comma",
		"b = 1\na = '''x\ny":       "line 2: the quotes are not closed",
		"a = '''x''' y":            "line 1: something follows the closing quotes",
		"\xff":                     "it is not UTF-8",
		strings.Repeat("#", 1<<20): "it is larger than 262144 bytes",
	} {
		if _, err := certbot.Parse([]byte(text)); err == nil || err.Error() != want {
			t.Errorf("%.20q: %v, want %s", text, err, want)
		}
	}
}

// configObj is the library with which certbot reads and writes its files, run by
// the Python that certbot itself runs with.
type configObj struct {
	in  *json.Encoder
	out *bufio.Reader
}

const configObjProgram = `
import configobj, json, sys
def show(section):
    return {"Values": {k: section[k] for k in section.scalars}, "Sections": {k: show(section[k]) for k in section.sections}}
def load(section, tree):
    for k, v in (tree.get("Values") or {}).items(): section[k] = v
    for k, v in (tree.get("Sections") or {}).items():
        section[k] = {}
        load(section[k], v)
for line in sys.stdin:
    ask = json.loads(line)
    try:
        if "Tree" in ask:
            c = configobj.ConfigObj(encoding="utf-8", default_encoding="utf-8", interpolation=False)
            load(c, ask["Tree"])
            c.initial_comment = ["certbot's"]
            answer = {"Text": b"\n".join(l if isinstance(l, bytes) else l.encode() for l in c.write()).decode()}
        else:
            answer = {"Tree": show(configobj.ConfigObj(ask["Text"].split("\n"), encoding="utf-8", default_encoding="utf-8", interpolation=False))}
    except Exception as e:
        answer = {"Error": str(e)}
    print(json.dumps(answer), flush=True)
`

type tree struct {
	Values   map[string]any
	Sections map[string]tree
}

func newConfigObj(t *testing.T) *configObj {
	t.Helper()
	cmd := exec.Command("/usr/bin/python3", "-c", configObjProgram)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("%v: scripts/tools installs certbot and what it runs with", err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		_, _ = io.Copy(io.Discard, out)
		if err := cmd.Wait(); err != nil {
			t.Errorf("%v: scripts/tools installs certbot and what it runs with", err)
		}
	})
	return &configObj{json.NewEncoder(in), bufio.NewReader(out)}
}

type configObjAnswer struct {
	Text, Error string
	Tree        tree
}

func (c *configObj) ask(t *rapid.T, what string, of any) configObjAnswer {
	t.Helper()
	if err := c.in.Encode(map[string]any{what: of}); err != nil {
		t.Fatal(err)
	}
	line, err := c.out.ReadBytes('\n')
	if err != nil {
		t.Fatal(err)
	}
	var a configObjAnswer
	if err := json.Unmarshal(line, &a); err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	return a
}

// same compares what the two have read.
func (want tree) same(got *certbot.Section) bool {
	sub := func(a tree, b *certbot.Section) bool { return a.same(b) }
	return maps.EqualFunc(want.Values, got.Values, func(want any, got certbot.Value) bool {
		list, isList := want.([]any)
		if !isList {
			list = []any{want}
		}
		return isList == got.List && slices.EqualFunc(list, got.Items, func(a any, b string) bool { return a == b })
	}) && maps.EqualFunc(want.Sections, got.Sections, sub)
}

func TestWhatConfigObjWritesIsRead(t *testing.T) {
	peer := newConfigObj(t)
	text := rapid.OneOf(
		rapid.SampledFrom([]string{"None", "dns-01", "/var/www", "sh -c 'a, b'", `echo "x" # y`, "", "a\nb", "it's \"both\", here"}),
		rapid.StringOfN(rapid.RuneFrom([]rune(`ab '",#[]=%$\é;`)), 0, 12, -1),
	)
	name := rapid.StringMatching(`[a-z_.*][a-z_.* -]{0,8}[a-z]`)
	values := rapid.MapOfN(name, rapid.OneOf(
		rapid.Map(text, func(s string) any { return s }),
		rapid.Map(rapid.SliceOfN(text, 0, 4), func(s []string) any { return s }),
	), 0, 5)
	rapid.Check(t, func(t *rapid.T) {
		sub := map[string]tree{}
		for _, n := range rapid.SliceOfNDistinct(name, 0, 2, rapid.ID).Draw(t, "sections") {
			below := map[string]tree{}
			for _, m := range rapid.SliceOfNDistinct(name, 0, 2, rapid.ID).Draw(t, "below") {
				below[m] = tree{Values: values.Draw(t, "deepest")}
			}
			v := values.Draw(t, "deeper")
			for m := range below {
				delete(v, m)
			}
			sub[n] = tree{v, below}
		}
		top := values.Draw(t, "values")
		for n := range sub {
			delete(top, n)
		}
		wrote := peer.ask(t, "Tree", tree{top, sub})
		if wrote.Error != "" {
			return // not even ConfigObj can write this
		}
		reread := peer.ask(t, "Text", wrote.Text)
		if reread.Error != "" {
			return
		}
		got, err := certbot.Parse([]byte(wrote.Text))
		if err != nil {
			t.Fatalf("%s\n%v", wrote.Text, err)
		}
		if !reread.Tree.same(got) {
			t.Fatalf("%s\n%+v\n%+v", wrote.Text, reread.Tree, got)
		}
	})
}

// What people have edited by hand is read as ConfigObj reads it, or refused.
func TestWhatConfigObjReadsIsReadAlike(t *testing.T) {
	peer := newConfigObj(t)
	line := rapid.OneOf(
		rapid.StringOfN(rapid.RuneFrom([]rune(` ab'",#=`)), 0, 12, -1),
		rapid.StringMatching(`[a-c] = [ab'",#= ]{0,12}`),
		rapid.StringMatching(`\[{1,2}[a-c]\]{1,2}( #[a\]', ]*)?`),
	)
	rapid.Check(t, func(t *rapid.T) {
		text := strings.Join(rapid.SliceOfN(line, 0, 6).Draw(t, "lines"), "\n")
		got, err := certbot.Parse([]byte(text))
		if err != nil {
			return
		}
		if want := peer.ask(t, "Text", text); want.Error == "" && !want.Tree.same(got) {
			t.Fatalf("%q\nwant %+v\ngot  %+v", text, want.Tree, got)
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(renewal))
	for _, seed := range []string{"a = ,", "a = 'x', \"\"", "[a]\n[[b]]\nc = '''d\ne'''", "\ufeffa=1\r\nb=2\r", "a = 'it''s'"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		conf, err := certbot.Parse(data)
		if (conf == nil) == (err == nil) {
			t.Fatal("neither an answer nor an error, or both")
		}
		if err != nil {
			return
		}
		for name, v := range conf.Values {
			if !v.List && len(v.Items) != 1 {
				t.Errorf("%q has %d values", name, len(v.Items))
			}
			if len(strings.Join(v.Items, "")) > len(data) {
				t.Error("more than was there")
			}
		}
	})
}
