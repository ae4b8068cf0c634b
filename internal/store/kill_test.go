package store_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/store"
)

// childDir names the directory in the environment of the process that is killed.
const childDir = "ALBION_STORE_TEST_CHILD"

// How many groups the changes go round in.
const groups = 50

// nth is the change that makes version n: a group, the secret, and now and then
// a deletion.
func nth(d *albion.Draft, n uint64) {
	albion.Put(d, group(int(n%groups), uint16(1+n%60000)))
	albion.Put(d, key("secret", fmt.Appendf(nil, "secret %d", n)))
	if n%3 == 0 {
		albion.Delete[*albion.SecurityGroup](d, group(int((n+7)%groups), 0).ID)
	}
}

// child makes change after change, and says so after each, until it cannot.
func child(dir string) error {
	fmt.Println("up")
	s, err := store.Open(store.Config{Dir: dir})
	if err != nil {
		return err
	}
	for {
		state, err := s.Update(context.Background(), func(d *albion.Draft) error {
			nth(d, d.Version+1)
			return nil
		})
		if err != nil {
			return err
		}
		fmt.Println(state.Version)
	}
}

func TestEveryAcknowledgedChangeSurvivesSIGKILL(t *testing.T) {
	dir := t.TempDir()
	random := rand.New(rand.NewPCG(uint64(os.Getpid()), 7))
	var want albion.State // what the version on the disk must hold
	for round := range 24 {
		acks := random.IntN(25)
		acknowledged := killed(t, dir, acks)

		s, err := store.Open(store.Config{Dir: dir})
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		got := s.State()
		// The change in flight may have reached the disk without an answer.
		if last := max(acknowledged, want.Version); got.Version < last || got.Version > last+1 {
			t.Fatalf("round %d: version %d on the disk, %d acknowledged", round, got.Version, last)
		}
		for want.Version < got.Version {
			d := albion.NewDraft(&want)
			nth(d, want.Version+1)
			next, err := d.Finish()
			if err != nil {
				t.Fatal(err)
			}
			want = *next
		}
		if !same(contents(t, got), contents(t, &want)) {
			t.Fatalf("round %d: version %d holds %v, want %v", round, got.Version, contents(t, got), contents(t, &want))
		}
		closeStore(t, s)
	}
	if want.Version < 50 {
		t.Errorf("only %d changes in all: too few to prove anything", want.Version)
	}
}

// killed runs a child, kills it at some point after so many answers, and returns
// the last version that it has acknowledged.
func killed(t *testing.T, dir string, acks int) (last uint64) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+dir)
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	answers := bufio.NewReader(pipe)
	for n := 0; ; n++ {
		answer, err := answers.ReadString('\n')
		if errors.Is(err, io.EOF) {
			break // a part of a line acknowledges nothing
		}
		if err != nil {
			t.Fatal(err)
		}
		if answer != "up\n" {
			if last, err = strconv.ParseUint(strings.TrimSpace(answer), 10, 64); err != nil {
				t.Fatal(err)
			}
		}
		if n == acks {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := cmd.Wait(); err == nil || complaint.Len() > 0 {
		t.Fatalf("the child ended by itself: %v %s", err, complaint.String())
	}
	return last
}
