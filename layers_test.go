package albion_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/albion-lb/albion"

// layers is the import table: what each package may import of this module,
// besides the root package, which every one of them may. A package that is not
// in the table may not exist; arrows go down only, and siblings never meet.
var layers = map[string][]string{
	".": {},

	// What HTTP is made of: pure.
	"internal/wire":    {},
	"internal/wire/h1": {"internal/wire"},
	"internal/wire/h2": {"internal/wire"},
	// Connections that wait.
	"internal/wire/park": {},

	// The data plane: answers requests.
	"internal/accesslog": {},
	"internal/route":     {"internal/wire"},
	"internal/target":    {"internal/wire", "internal/wire/h2", "internal/wire/park"},
	"internal/health":    {"internal/wire", "internal/wire/h2"},
	"internal/keyring":   {},
	"internal/proxy":     {"internal/wire", "internal/wire/h1", "internal/wire/h2", "internal/wire/park", "internal/accesslog", "internal/route", "internal/target"},
	"internal/edge": {
		"internal/wire/h1", "internal/wire/park", "internal/accesslog", "internal/route", "internal/target", "internal/health",
		"internal/keyring", "internal/proxy",
	},

	// The control plane: changes the State.
	"internal/store":     {},
	"internal/acm":       {"internal/acme"},
	"internal/acme":      {},
	"internal/config":    {},
	"internal/dns":       {},
	"internal/resolve":   {},
	"internal/solve":     {"internal/acme", "internal/resolve", "internal/awsclient"},
	"internal/certbot":   {},
	"internal/deliver":   {"internal/acm"},
	"internal/awsclient": {},
	"internal/doctor":    {"internal/resolve"},
	"internal/admin":     {"internal/acm", "internal/config", "internal/dns", "internal/doctor"},

	// A certificate authority for tests.
	"internal/acme/acmetest": {},

	// Name servers for tests.
	"internal/resolve/resolvetest": {},

	// AWS for tests.
	"internal/awsclient/awstest": {},

	// What others may use without the rest.
	"sockjs":                {},
	"sockjs/sockjstest":     {"sockjs"},
	"examples/chat/page":    {},
	"examples/chat/room":    {"sockjs", "examples/chat/page"},
	"examples/chat/cluster": {"examples/chat/room"},
	"examples/chat":         {"examples/chat/room", "examples/chat/cluster"},
	// A client for tests, of the chat and of what stands in front of it.
	"examples/chat/chattest": {"examples/chat/room"},

	// The only place that knows both planes.
	"cmd/albion": {"internal/edge", "internal/store", "internal/acm", "internal/acme", "internal/config", "internal/dns", "internal/resolve", "internal/solve", "internal/certbot", "internal/deliver", "internal/awsclient", "internal/doctor", "internal/admin", "examples/chat/room"},

	// Measures the program from outside, as it does others.
	"bench": {},

	// Tests only: drive the whole.
	"e2e": {},
}

// guest is a module that somebody else wrote, and why it is here.
type guest struct {
	packages []string // the only ones that may name it
	why      string
}

// guests lists what the program is made of besides the standard library and
// ourselves. What only tests name is in testGuests.
var guests = map[string]guest{
	"go.etcd.io/bbolt": {
		[]string{"internal/store"}, "etcd's own engine in one file: transactions, fsync, no server. MIT, kept by the etcd project."},
	"github.com/miekg/dns": {
		[]string{"internal/dns", "internal/resolve", "internal/resolve/resolvetest", "internal/acme/acmetest"}, "messages, records and zone files of DNS: for the server, for what asks others, and for what a CA for tests asks: what CoreDNS is made of. BSD-3-Clause, released every few months; its successor moved away from version 1's interface and is not final."},
	"github.com/spf13/cobra": {
		[]string{"cmd/albion"}, "the conventions of a command line: help, completion. Apache-2.0."},
	"github.com/goccy/go-yaml": {
		[]string{"internal/config"}, "YAML with line and column of every mistake; the older gopkg.in/yaml is unmaintained. MIT."},
	"github.com/prometheus/client_golang": {
		[]string{"internal/admin"}, "the ecosystem's format of metrics. Apache-2.0."},
	"github.com/coder/websocket": {
		[]string{"sockjs"}, "RFC 6455 with contexts and limits, no dependencies. ISC."},
	"github.com/nats-io/nats.go": {
		[]string{"examples/chat/cluster"}, "the client of NATS, by its makers. Apache-2.0."},
	"github.com/mholt/acmez/v3": {
		[]string{"internal/acme"}, "the plumbing of RFC 8555: nonces, signatures, documents. Apache-2.0."},
	"github.com/letsencrypt/pebble/v2": {
		[]string{"internal/acme/acmetest"}, "the CA that Let's Encrypt tests clients with; for tests, never in the program. MPL-2.0."},
	"github.com/aws/aws-sdk-go-v2": {
		[]string{"internal/awsclient"}, "AWS itself, with the credentials that every AWS tool finds: AWS's own. Apache-2.0, released weekly."},
	"github.com/aws/smithy-go": {
		[]string{"internal/awsclient"}, "the errors of AWS's SDK. Apache-2.0."},
	"golang.org/x/sys": {
		[]string{"internal/resolve"}, "which name servers Windows uses: the Go project's."},
	"golang.org/x/net": {
		[]string{"internal/acm", "internal/doctor", "internal/wire/h2", "bench"}, "international domain names (idna), HTML, HTTP/2 frames and HPACK: the Go project's."},
}

// TestLayers holds every import of the program against the table.
func TestLayers(t *testing.T) {
	for dir, imports := range readImports(t, func(name string) bool { return !strings.HasSuffix(name, "_test.go") }) {
		allowed, known := layers[dir]
		if !known {
			t.Errorf("%s is not in the table: give it a place in layers, or make it a file of another package", dir)
			continue
		}
		for name, file := range imports {
			switch inside, ours := strings.CutPrefix(name, module); {
			case ours && inside == "":
			case ours:
				if inside = inside[1:]; !slices.Contains(allowed, inside) {
					t.Errorf("%s: %s may not import %s", file, dir, inside)
				}
			case strings.Contains(strings.Split(name, "/")[0], "."):
				checkGuest(t, dir, name, file)
			}
		}
	}
}

func checkGuest(t *testing.T, dir, name, file string) {
	t.Helper()
	for guest, g := range guests {
		if name == guest || strings.HasPrefix(name, guest+"/") {
			if !slices.Contains(g.packages, dir) {
				t.Errorf("%s: only %v may name %s", file, g.packages, guest)
			}
			return
		}
	}
	t.Errorf("%s: %s is not among the guests: say why it is needed, or do without", file, name)
}

// TestTableIsTrue finds entries that nothing needs any more.
func TestTableIsTrue(t *testing.T) {
	imports := readImports(t, func(name string) bool { return !strings.HasSuffix(name, "_test.go") })
	for dir, allowed := range layers {
		if _, there := imports[dir]; !there && dir != "e2e" {
			t.Errorf("%s is in the table and not in the tree", dir)
		}
		for _, other := range allowed {
			if imports[dir][module+"/"+other] == "" {
				t.Errorf("%s may import %s and does not", dir, other)
			}
		}
	}
	for guest, g := range guests {
		for _, dir := range g.packages {
			if !slices.ContainsFunc(keys(imports[dir]), func(name string) bool {
				return name == guest || strings.HasPrefix(name, guest+"/")
			}) {
				t.Errorf("%s may name %s and does not", dir, guest)
			}
		}
	}
}

// readImports returns, for each folder with Go files that keep accepts, what
// they import and where.
func readImports(t *testing.T, keep func(name string) bool) map[string]map[string]string {
	t.Helper()
	all := map[string]map[string]string{}
	err := filepath.WalkDir(".", func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if name := entry.Name(); name != "." && (strings.HasPrefix(name, ".") || name == "testdata" || name == "node_modules" || name == "bin") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(file, ".go") || !keep(file) {
			return nil
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		dir := path.Dir(filepath.ToSlash(file))
		if all[dir] == nil {
			all[dir] = map[string]string{}
		}
		for _, spec := range parsed.Imports {
			name, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			all[dir][name] = file
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func keys(m map[string]string) []string {
	var all []string
	for k := range m {
		all = append(all, k)
	}
	return all
}
