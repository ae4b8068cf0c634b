package e2e_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"
)

// patience bounds every wait of a script: far longer than anything takes, even on
// a machine that is busy with other tests.
const patience = 30 * time.Second

// TestScripts runs the program as people do. What each script shows is said in
// its first line; the commands that scripts have besides testscript's own are in
// commands.
func TestScripts(t *testing.T) {
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) })
	program := buildScripted(t)
	testscript.Run(t, testscript.Params{
		Dir:                filepath.Join("testdata", "script"),
		RequireUniqueNames: true,
		Cmds:               commands(),
		Condition:          condition,
		Setup: func(env *testscript.Env) error {
			w := newWorld(program)
			env.Values[worldKey{}] = w
			env.Defer(w.close)
			env.Setenv("PATH", filepath.Dir(program)+string(os.PathListSeparator)+env.Getenv("PATH"))
			env.Setenv("ALBION_DATA", filepath.Join(env.WorkDir, "data"))
			env.Setenv("HOME", env.WorkDir)
			return nil
		},
	})
}

func commands() map[string]func(*testscript.TestScript, bool, []string) {
	return map[string]func(*testscript.TestScript, bool, []string){
		// Programs that go on while the script does.
		"start":    cmdStart,   // start NAME PROGRAM ARGUMENT…: output goes to NAME.out and NAME.err
		"signal":   cmdSignal,  // signal NAME INT|TERM|HUP|KILL
		"finish":   cmdFinish,  // finish NAME CODE|killed: waits for the end
		"running":  cmdRunning, // running NAME: it has not ended
		"wait-for": cmdWaitFor, // wait-for file FILE REGEXP | url URL STATUS | output REGEXP PROGRAM ARGUMENT…

		// The other side of the network.
		"freeport": cmdFreePort, // freeport NAME…: environment variables
		"occupy":   cmdOccupy,   // occupy PORT
		"vacate":   cmdVacate,   // vacate PORT
		"backend":  cmdBackend,  // backend NAME: a plain-HTTP server at $NAME
		"pages":    cmdPages,    // pages NAME FOLDER: its files over plain HTTP at $NAME
		"chat":     cmdChat,     // chat NAME: a SockJS chat over plain HTTP at $NAME, endpoint /chat
		"vanish":   cmdVanish,   // vanish NAME: of a backend, pages or a chat
		"health":   cmdHealth,   // health NAME STATUS: of its /healthz from now on
		"release":  cmdRelease,  // release NAME: its /slow answers
		"held":     cmdHeld,     // held NAME: waits until a request waits at its /slow
		"request":  cmdRequest,  // request NAME URL: one that goes on while the script does
		"answered": cmdAnswered, // answered NAME STATUS REGEXP
		"client":   cmdClient,   // client NAME URL REGEXP: a request on the connection that NAME has open
		"ws":       cmdWS,       // ws NAME URL: opens a WebSocket
		"ws-echo":  cmdWSEcho,   // ws-echo NAME TEXT
		"ws-ended": cmdWSEnded,  // ws-ended NAME: waits for its end

		// Looking closely.
		"fill":       cmdFill,      // fill FILE…: ${NAME} becomes the variable's value
		"save":       cmdSave,      // save FILE FROM: in place, a line now and a line then
		"pki":        cmdPKI,       // pki FOLDER DOMAIN [rsa] [expired]: a certificate in every form
		"json":       cmdJSON,      // json PATH REGEXP: in the last standard output; PATH is dotted
		"metrics":    cmdMetrics,   // metrics NAME…: the last standard output is Prometheus' and has these
		"access-log": cmdAccessLog, // access-log FILE N: N lines of 34 fields
		"mode":       cmdMode,      // mode FILE 0600
		"differ":     cmdDiffer,    // differ FILE FILE
	}
}

// condition adds to testscript's own: becomes-others, which takes root, and
// ports-guarded, which some containers are not.
func condition(name string) (bool, error) {
	switch name {
	case "becomes-others":
		_, err := exec.LookPath("setpriv")
		return runtime.GOOS == "linux" && os.Geteuid() == 0 && err == nil, nil
	case "ports-guarded":
		text, err := os.ReadFile("/proc/sys/net/ipv4/ip_unprivileged_port_start")
		return err == nil && strings.TrimSpace(string(text)) == "1024", nil
	}
	return false, fmt.Errorf("unknown condition %q", name)
}

// buildScripted builds the program, with the race detector when the tests have
// it.
func buildScripted(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "albion")
	if runtime.GOOS == "windows" {
		program += ".exe"
	}
	args := []string{"build", "-o", program}
	if raceDetector {
		args = append(args, "-race")
	}
	out, err := exec.CommandContext(t.Context(), "go", append(args, "../cmd/albion")...).CombinedOutput()
	if err != nil {
		t.Fatalf("building the program: %v\n%s", err, out)
	}
	return program
}

type worldKey struct{}

// world is what one script has going on.
type world struct {
	program   string
	processes map[string]*process
	occupied  map[string]func() error
	backends  map[string]*backend
	requests  map[string]chan answer
	clients   map[string]*client
	sockets   map[string]*socket
	authority *authority
	wait      sync.WaitGroup
}

func newWorld(program string) *world {
	return &world{
		program: program, processes: map[string]*process{}, occupied: map[string]func() error{}, backends: map[string]*backend{},
		requests: map[string]chan answer{}, clients: map[string]*client{}, sockets: map[string]*socket{},
	}
}

func worldOf(ts *testscript.TestScript) *world { return ts.Value(worldKey{}).(*world) }

// close ends everything, programs first.
func (w *world) close() {
	for _, p := range w.processes {
		p.kill()
	}
	for _, b := range w.backends {
		b.close()
	}
	for _, c := range w.clients {
		c.transport.CloseIdleConnections()
	}
	for _, s := range w.sockets {
		s.conn.CloseNow()
	}
	for _, free := range w.occupied {
		free()
	}
	w.wait.Wait()
}

// get finds what a command's argument names.
func get[T any](ts *testscript.TestScript, from map[string]T, name string) T {
	v, ok := from[name]
	if !ok {
		ts.Fatalf("%s is not known here", name)
	}
	return v
}

func need(ts *testscript.TestScript, neg bool, args []string, n int, usage string) {
	if neg || len(args) < n {
		ts.Fatalf("usage: %s", usage)
	}
}

// lines is text without its last line's end.
func lines(text string) []string { return strings.Split(strings.TrimRight(text, "\n"), "\n") }
