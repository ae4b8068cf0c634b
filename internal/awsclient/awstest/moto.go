// Package awstest runs moto inside a test: an independent implementation of AWS's
// services, in Python, that scripts/tools installs.
//
//	aws := awstest.New(t) // the SDK and AWS's command line lead there now
//
// It is for tests only.
package awstest

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// version is the one that scripts/tools installs.
const version = "5.2.5"

// Server is a running moto.
type Server struct {
	Endpoint string // its URL

	t testing.TB
}

// New starts moto, which ends with the test. The environment of the test leads the
// SDK there, with credentials that moto accepts.
func New(t testing.TB) *Server {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(cache, "albion", "moto-"+version, "bin", "moto_server")
	cmd := exec.Command(program, "-H", "127.0.0.1", "-p", "0")
	out, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("start moto: %v (scripts/tools installs it)", err)
	}
	var reader sync.WaitGroup
	found := make(chan string, 1)
	reader.Go(func() { read(bufio.NewScanner(out), found) })
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGKILL)
		reader.Wait()
		cmd.Wait()
	})
	endpoint := <-found
	if !strings.HasPrefix(endpoint, "http") {
		t.Fatalf("moto ended: %s", endpoint)
	}
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL": endpoint, "AWS_REGION": "eu-central-1", "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
		"AWS_SECRET_ACCESS_KEY": "secret", "AWS_SESSION_TOKEN": "", "AWS_EC2_METADATA_DISABLED": "true",
		"AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull, "AWS_PROFILE": "",
	} {
		t.Setenv(name, value)
	}
	return &Server{Endpoint: endpoint, t: t}
}

// read finds the URL in what moto says, and what it said when it ends before.
func read(lines *bufio.Scanner, found chan<- string) {
	running := regexp.MustCompile(`Running on (http://127\.0\.0\.1:\d+)`)
	var said []string
	for lines.Scan() {
		if m := running.FindStringSubmatch(lines.Text()); m != nil {
			found <- m[1]
			said = nil
			continue
		}
		if len(said) < 50 {
			said = append(said, lines.Text())
		}
	}
	select {
	case found <- strings.Join(said, "\n"):
	default:
	}
}
