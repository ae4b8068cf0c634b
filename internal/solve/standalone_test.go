package solve_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/acme"
	"github.com/albion-lb/albion/internal/solve"
)

// free is a port that nobody listens on.
func free(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// get asks as a CA does; "" when nobody listens.
func get(t *testing.T, port int, path string) string {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get(fmt.Sprintf("http://127.0.0.1:%d%s", port, path))
	if err != nil {
		return ""
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(response.StatusCode, " ", string(body))
}

func standalone(t *testing.T, s *solve.Solvers, ctx context.Context) acme.Solver {
	t.Helper()
	solver, err := s.For(ctx, &albion.Request{Method: albion.MethodStandalone}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return solver
}

func TestListensForAsLongAsItTakes(t *testing.T) {
	port := free(t)
	solvers := solve.New(solve.Config{HTTPPort: port})
	first, second := standalone(t, solvers, t.Context()), standalone(t, solvers, t.Context())
	if err := first.(acme.Preparer).Prepare(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if got := get(t, port, "/"); got != "" {
		t.Errorf("before it is needed: %s", got)
	}
	present(t, first, file("a.test", "one"))
	present(t, first, file("a.test", "one"))
	present(t, second, file("b.test", "two")) // another order at the same time
	if err := second.(acme.Preparer).Prepare(t.Context(), nil); err != nil {
		t.Error(err)
	}
	const path = "/.well-known/acme-challenge/"
	for asked, want := range map[string]string{
		path + "one": "200 one.thumbprint", path + "two": "200 two.thumbprint",
		path + "three": "404 404 page not found\n", path: "404 404 page not found\n", "/one": "404 404 page not found\n",
	} {
		if got := get(t, port, asked); got != want {
			t.Errorf("%s: %q; want %q", asked, got, want)
		}
	}
	cleanUp(t, first, file("a.test", "one"))
	if got := get(t, port, path+"one"); got != "404 404 page not found\n" {
		t.Errorf("after the first: %q", got)
	}
	cleanUp(t, second, file("b.test", "two"))
	solvers.Wait()
	if got := get(t, port, path+"two"); got != "" {
		t.Errorf("after the second: %q", got)
	}
}

func TestClosesItsListenerWhenTheAttemptEnds(t *testing.T) {
	port := free(t)
	solvers := solve.New(solve.Config{HTTPPort: port})
	ctx, cancel := contextWithCancel(t.Context())
	s := standalone(t, solvers, ctx)
	present(t, s, file("a.test", "one"))
	cancel()
	solvers.Wait()
	if got := get(t, port, "/.well-known/acme-challenge/one"); got != "" {
		t.Errorf("it still answers: %q", got)
	}
	if err := s.Present(t.Context(), []acme.Presentation{file("a.test", "one")}); !errors.Is(err, errEnough) {
		t.Errorf("presented after the end: %v", err)
	}
}

func TestSaysThatThePortIsTaken(t *testing.T) {
	l, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := l.Addr().(*net.TCPAddr).Port
	s := standalone(t, solve.New(solve.Config{HTTPPort: port}), t.Context())
	words := []string{fmt.Sprintf("port %d is taken", port), "use the method http", "webroot=DIR"}
	refused(t, s.(acme.Preparer).Prepare(t.Context(), nil), words...)
	refused(t, s.Present(t.Context(), []acme.Presentation{file("a.test", "one")}), words...)
	refused(t, s.Present(t.Context(), []acme.Presentation{file("a.test", "../one")}), "no file name")
}
