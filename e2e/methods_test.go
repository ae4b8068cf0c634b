package e2e_test

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/albion-lb/albion/internal/acme/acmetest"
	"github.com/albion-lb/albion/internal/resolve/resolvetest"
)

// TestMethods runs a script for each way to prove names, against a CA that asks a
// tree of real name servers:
//
//	example.test  two servers, which change at once
//	slow.test     two servers, of which the second is told of changes by `notify`
//	lb.example.test and lb.slow.test, delegated to $OUR: the program's own server
//
// The environment: CA and CA_ROOT, its directory and who vouches for it; PROVE,
// the flags that serve needs for the tree; HTTP, where the CA asks by HTTP.
func TestMethods(t *testing.T) {
	program := buildScripted(t)
	scripts, err := filepath.Glob(filepath.Join("testdata", "methods", "*.txtar"))
	if err != nil || len(scripts) == 0 {
		t.Fatalf("%q, %v", scripts, err)
	}
	for _, script := range scripts {
		name := strings.TrimSuffix(filepath.Base(script), ".txtar")
		t.Run(name, func(t *testing.T) { runMethod(t, program, script) })
	}
}

// ourDNS is where the program's own name server is reached.
const ourDNS = "127.0.0.151"

func runMethod(t *testing.T, program, script string) {
	lb := "lb NS ns1.lb\nns1.lb A " + ourDNS + "\n"
	tree := resolvetest.New(t,
		resolvetest.Zone{Name: "example.test", Servers: 2, Text: lb + "_acme-challenge.wrong CNAME elsewhere.example.test.\nhere A 127.0.0.1\nfiles A 127.0.0.1\n"},
		resolvetest.Zone{Name: "slow.test", Servers: 2, Lagging: true, Text: lb})
	http, https := freePort(t), freePort(t)
	ca := acmetest.New(t, acmetest.Options{
		HTTPPort: http, TLSPort: https, Resolver: tree.Recursive,
		Profiles: map[string]acmetest.Profile{"classic": {ValidityPeriod: 90 * 86400}},
	})
	testscript.Run(t, testscript.Params{
		Files: []string{script}, RequireUniqueNames: true, Condition: condition,
		Cmds: methodCommands(tree, ca),
		Setup: func(env *testscript.Env) error {
			w := newWorld(program)
			env.Values[worldKey{}] = w
			env.Defer(w.close)
			root := filepath.Join(env.WorkDir, "ca-root.pem")
			for name, value := range map[string]string{
				"PATH": filepath.Dir(program) + string(os.PathListSeparator) + env.Getenv("PATH"), "HOME": env.WorkDir,
				"ALBION_DATA": filepath.Join(env.WorkDir, "data"), "CA": ca.Directory, "CA_ROOT": root,
				"HTTP": fmt.Sprint(http), "HTTPS": fmt.Sprint(https), "OUR": fmt.Sprintf("%s:%d", ourDNS, tree.Port),
				"RESOLVER": tree.Recursive, "DNS_PORT": fmt.Sprint(tree.Port), "SERVER": strings.Split(tree.Server(0), ":")[0],
				"KEY_NAME": resolvetest.KeyName, "KEY_SECRET": resolvetest.KeySecret, "KEY_ALGORITHM": resolvetest.KeyAlgorithm,
			} {
				env.Setenv(name, value)
			}
			return os.WriteFile(root, []byte(ca.ServerRoot), 0o600)
		},
	})
}

func methodCommands(tree *resolvetest.Network, ca *acmetest.CA) map[string]func(*testscript.TestScript, bool, []string) {
	all := commands()
	all["type-in"] = func(ts *testscript.TestScript, neg bool, args []string) { cmdTypeIn(ts, tree, neg, args) }
	all["notify"] = func(ts *testscript.TestScript, neg bool, args []string) {
		need(ts, neg, args, 1, "notify ZONE: its second server")
		tree.Notify(1, args[0])
	}
	all["www"] = cmdWWW
	all["no-txt"] = func(ts *testscript.TestScript, neg bool, args []string) {
		need(ts, neg, args, 1, "no-txt NAME: its server comes to have no TXT record there")
		host, port, err := net.SplitHostPort(tree.Server(0))
		ts.Check(err)
		cmdWaitFor(ts, false, []string{"output", "^$", "dig", "@" + host, "-p", port, "+short", "+norecurse", args[0], "TXT"})
	}
	all["orders"] = func(ts *testscript.TestScript, neg bool, args []string) {
		need(ts, neg, args, 1, "orders N: so many were made at the CA")
		if got := fmt.Sprint(ca.Asked(acmetest.NewOrder)); got != args[0] {
			ts.Fatalf("%s orders, not %s", got, args[0])
		}
	}
	all["same-records"] = func(ts *testscript.TestScript, neg bool, args []string) {
		need(ts, neg, args, 2, "same-records FILE FILE")
		one, other := shownRecord.FindAllString(ts.ReadFile(args[0]), -1), shownRecord.FindAllString(ts.ReadFile(args[1]), -1)
		if len(one) == 0 || !slices.Equal(one, other) {
			ts.Fatalf("%q and %q", one, other)
		}
	}
	all["wait-gone"] = func(ts *testscript.TestScript, neg bool, args []string) {
		need(ts, neg, args, 1, "wait-gone FILE")
		cmdWaitFor(ts, false, []string{"output", "^gone\n$", "sh", "-c", "test -e '" + ts.MkAbs(args[0]) + "' || echo gone"})
	}
	return all
}

// shownRecord is a record as a person is shown it.
var shownRecord = regexp.MustCompile(`(?m)^  Host   (\S+)\n  Name   (\S+)\n  Type   (TXT|CNAME)\n  Value  (\S+)$`)

// cmdTypeIn adds the records that a program has shown to a zone, by their host
// part, as somebody does who fills in the form of a registrar.
func cmdTypeIn(ts *testscript.TestScript, tree *resolvetest.Network, neg bool, args []string) {
	need(ts, neg, args, 2, "type-in FILE ZONE")
	found := shownRecord.FindAllStringSubmatch(ts.ReadFile(args[0]), -1)
	if len(found) == 0 {
		ts.Fatalf("%s shows no record", args[0])
	}
	for _, r := range found {
		value := r[4]
		if r[3] == "CNAME" {
			value += "."
		}
		if r[1]+"."+args[1] != r[2] {
			ts.Fatalf("the host %s is not %s in %s", r[1], r[2], args[1])
		}
		tree.Update(args[1], "add "+r[1]+"."+args[1]+" 60 "+r[3]+" "+value)
	}
}

// cmdWWW serves the files of a folder, as another web server does.
func cmdWWW(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 2, "www FOLDER PORT")
	l, err := net.Listen("tcp", "127.0.0.1:"+args[1])
	ts.Check(err)
	server := &http.Server{Handler: http.FileServer(http.Dir(ts.MkAbs(args[0]))), ReadHeaderTimeout: patience}
	w := worldOf(ts)
	w.wait.Go(func() { server.Serve(l) })
	ts.Defer(func() { server.Close() })
}
