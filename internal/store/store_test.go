package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/store"
	"go.etcd.io/bbolt"
	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		fmt.Fprintln(os.Stderr, child(dir))
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}

func open(t testing.TB, dir string) *store.Store {
	t.Helper()
	s, err := store.Open(store.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func closeStore(t testing.TB, s *store.Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func update(t testing.TB, s *store.Store, change func(*albion.Draft)) *albion.State {
	t.Helper()
	state, err := s.Update(t.Context(), func(d *albion.Draft) error {
		change(d)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return state
}

func group(n int, ports uint16) *albion.SecurityGroup {
	return &albion.SecurityGroup{
		ID: albion.SecurityGroupID([9]byte{byte(n >> 8), byte(n)}), Name: fmt.Sprintf("group %d", n),
		Ingress: []albion.Permission{{FromPort: ports, ToPort: ports, Sources: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}},
	}
}

func targets(n int, hosts ...string) *albion.TargetGroup {
	g := &albion.TargetGroup{
		ARN: albion.TargetGroupARN(fmt.Sprintf("chat-%d", n), [8]byte{byte(n)}), Name: fmt.Sprintf("chat-%d", n), Protocol: albion.HTTP, Port: 80,
		HealthCheck: albion.DefaultHealthCheck(), Attributes: albion.DefaultTargetGroupAttributes(), Created: time.Unix(1_800_000_000, 0).UTC(),
	}
	for _, h := range hosts {
		g.Targets = append(g.Targets, albion.Target{Host: h, Port: 8080})
	}
	return g
}

func key(name string, secret []byte) *albion.Key { return &albion.Key{Name: name, Secret: secret} }

// contents is all that a State holds, in its stored form.
func contents(t interface{ Fatal(...any) }, s *albion.State) map[string]string {
	all := map[string]string{"version": fmt.Sprint(s.Version)}
	add := func(kind albion.Kind, id string) {
		data, found, err := s.Encode(albion.Change{Kind: kind, ID: id})
		if err != nil || !found {
			t.Fatal(kind, id, found, err)
		}
		all[string(kind)+" "+id] = string(data)
	}
	for v := range s.SecurityGroups.All() {
		add(albion.KindSecurityGroup, v.ID)
	}
	for v := range s.TargetGroups.All() {
		add(albion.KindTargetGroup, v.Identity())
	}
	for v := range s.LoadBalancers.All() {
		add(albion.KindLoadBalancer, v.Identity())
	}
	for v := range s.Keys.All() {
		add(albion.KindKey, v.Name)
	}
	return all
}

func same(a, b map[string]string) bool {
	if len(a) != len(b) {
		return false
	}
	for k, v := range a {
		if w, found := b[k]; !found || v != w {
			return false
		}
	}
	return true
}

func TestBeginsEmptyAndPrivate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "data")
	s := open(t, dir)
	if s.State().Version != 0 || len(contents(t, s.State())) != 1 {
		t.Errorf("a new state holds %v", contents(t, s.State()))
	}
	if runtime.GOOS == "windows" {
		return // there the directory's access list says who may read
	}
	for name, want := range map[string]os.FileMode{".": 0o700, "albion.db": 0o600, "key": 0o600} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v, want mode %o", name, info, err, want)
		}
	}
}

func TestUpdatePublishesWhatIsDurable(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	got := update(t, s, func(d *albion.Draft) { albion.Put(d, group(1, 443)) })
	if got != s.State() || got.Version != 1 {
		t.Errorf("version %d", got.Version)
	}
	if again := update(t, s, func(*albion.Draft) {}); again != got {
		t.Error("a change of nothing made another state")
	}
	closeStore(t, s)
	closeStore(t, s)
	if reopened := open(t, dir).State(); !same(contents(t, reopened), contents(t, got)) {
		t.Errorf("reopened: %v", contents(t, reopened))
	}
}

func TestAfterAnErrorNothingHasHappened(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	before := update(t, s, func(d *albion.Draft) { albion.Put(d, group(1, 443)) })
	refused := errors.New("refused")
	_, err := s.Update(t.Context(), func(d *albion.Draft) error {
		albion.Put(d, group(2, 80))
		albion.Delete[*albion.SecurityGroup](d, group(1, 0).ID)
		return refused
	})
	if !errors.Is(err, refused) {
		t.Errorf("got %v", err)
	}
	_, err = s.Update(t.Context(), func(d *albion.Draft) error {
		twin := group(3, 80)
		twin.Name = group(1, 0).Name
		albion.Put(d, twin)
		return nil
	})
	if albion.CodeOf(err) != albion.CodeDuplicateSecurityGroup {
		t.Errorf("got %v", err)
	}
	cancelled, cancel := context.WithCancelCause(t.Context())
	cancel(refused)
	if _, err := s.Update(cancelled, func(d *albion.Draft) error { albion.Put(d, group(4, 1)); return nil }); !errors.Is(err, refused) {
		t.Errorf("got %v", err)
	}
	if s.State() != before {
		t.Error("the state has changed")
	}
	closeStore(t, s)
	if _, err := s.Update(t.Context(), func(*albion.Draft) error { return nil }); !errors.Is(err, store.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	if reopened := open(t, dir).State(); !same(contents(t, reopened), contents(t, before)) {
		t.Errorf("reopened: %v", contents(t, reopened))
	}
}

func TestAFullDatabaseRefusesAndRecovers(t *testing.T) {
	dir := t.TempDir()
	s, err := store.Open(store.Config{Dir: dir, MaxSize: 128 << 10})
	if err != nil {
		t.Fatal(err)
	}
	for n := 0; err == nil && n < 1000; n++ {
		_, err = s.Update(t.Context(), func(d *albion.Draft) error {
			albion.Put(d, key(fmt.Sprintf("k%d", n), bytes.Repeat([]byte{1}, 10_000)))
			return nil
		})
	}
	if err == nil || errors.Is(err, store.ErrFailed) || !strings.Contains(err.Error(), "albion.db") {
		t.Fatalf("a full database says %v", err)
	}
	full := contents(t, s.State())
	if len(full) < 3 {
		t.Errorf("full with %d objects", len(full))
	}
	after := update(t, s, func(d *albion.Draft) { albion.Delete[*albion.Key](d, "k0") })
	closeStore(t, s)
	if reopened := open(t, dir).State(); !same(contents(t, reopened), contents(t, after)) {
		t.Error("the reopened state is another")
	}
}

func TestConcurrentUpdatesHappenOneAtATime(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	update(t, s, func(d *albion.Draft) { albion.Put(d, group(1, 0)) })
	const writers, each = 8, 10
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for range each {
				_, err := s.Update(t.Context(), func(d *albion.Draft) error {
					old, _ := d.SecurityGroups.Get(group(1, 0).ID)
					albion.Put(d, group(1, old.Ingress[0].FromPort+1)) // would be lost if two did it at once
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	closeStore(t, s)
	state := open(t, dir).State()
	g, _ := state.SecurityGroups.Get(group(1, 0).ID)
	if g.Ingress[0].FromPort != writers*each || state.Version != writers*each+1 {
		t.Errorf("counted to %d in version %d", g.Ingress[0].FromPort, state.Version)
	}
}

func TestWaitingForOnesTurnEndsWithTheContext(t *testing.T) {
	s := open(t, t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	inside, leave, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		_, err := s.Update(t.Context(), func(*albion.Draft) error {
			close(inside)
			<-leave
			return nil
		})
		done <- err
	}()
	<-inside
	cancel()
	if _, err := s.Update(ctx, func(*albion.Draft) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	close(leave)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestAPanicInAChangeLeavesTheStoreUsable(t *testing.T) {
	s := open(t, t.TempDir())
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic is gone")
			}
		}()
		_, _ = s.Update(t.Context(), func(d *albion.Draft) error {
			albion.Put(d, group(1, 1))
			panic("oh")
		})
	}()
	if state := update(t, s, func(d *albion.Draft) { albion.Put(d, group(2, 2)) }); state.SecurityGroups.Len() != 1 {
		t.Errorf("%d groups", state.SecurityGroups.Len())
	}
}

func TestAnySequenceOfUpdatesSurvivesReopening(t *testing.T) {
	base := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp(base, "")
		if err != nil {
			t.Fatal(err)
		}
		s, err := store.Open(store.Config{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = s.Close() }()
		for range rapid.IntRange(1, 8).Draw(t, "updates") {
			before := s.State()
			after, err := s.Update(context.Background(), anyChange(t))
			switch {
			case albion.CodeOf(err) != "":
				if s.State() != before {
					t.Fatal("a refused change has happened")
				}
			case err != nil:
				t.Fatal(err)
			case after != before && after.Version != before.Version+1:
				t.Fatal("version", before.Version, "became", after.Version)
			}
			if rapid.Bool().Draw(t, "reopen") {
				want := contents(t, s.State())
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				if s, err = store.Open(store.Config{Dir: dir}); err != nil {
					t.Fatal(err)
				}
				if got := contents(t, s.State()); !same(got, want) {
					t.Fatalf("reopened %v, want %v", got, want)
				}
			}
		}
	})
}

// anyChange puts and deletes a few objects of several kinds, not always with
// Validate's consent.
func anyChange(t *rapid.T) func(*albion.Draft) error {
	n := rapid.IntRange(0, 5).Draw(t, "operations")
	return func(d *albion.Draft) error {
		for range n {
			id := rapid.IntRange(0, 4).Draw(t, "id")
			switch rapid.IntRange(0, 5).Draw(t, "operation") {
			case 0:
				albion.Put(d, group(id, rapid.Uint16Min(1).Draw(t, "port")))
			case 1:
				albion.Delete[*albion.SecurityGroup](d, group(id, 0).ID)
			case 2:
				albion.Put(d, targets(id, rapid.SliceOfNDistinct(rapid.StringMatching("[a-z]{1,8}"), 0, 3, rapid.ID).Draw(t, "hosts")...))
			case 3:
				albion.Delete[*albion.TargetGroup](d, targets(id).Identity())
			case 4:
				albion.Put(d, key(fmt.Sprintf("key/%d", id), rapid.SliceOfN(rapid.Byte(), 0, 100).Draw(t, "secret")))
			case 5:
				albion.Delete[*albion.Key](d, fmt.Sprintf("key/%d", id))
			}
		}
		return nil
	}
}

func TestSecretsAreNotInTheFile(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	secret := []byte("-----a private key that nobody must find-----")
	update(t, s, func(d *albion.Draft) { albion.Put(d, key("chat", secret)); albion.Put(d, group(1, 443)) })
	update(t, s, func(d *albion.Draft) { albion.Put(d, key("chat", append(secret, '!'))) })
	closeStore(t, s)
	raw, err := os.ReadFile(filepath.Join(dir, "albion.db"))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+8 <= len(secret); i++ {
		if bytes.Contains(raw, secret[i:i+8]) {
			t.Fatalf("%q is in the file", secret[i:i+8])
		}
	}
	if !bytes.Contains(raw, []byte("group 1")) {
		t.Error("what is no secret cannot be found either: the search proves nothing")
	}
}

func TestOnlyWhatChangedIsWritten(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	update(t, s, func(d *albion.Draft) { albion.Put(d, key("one", []byte("1"))); albion.Put(d, key("two", []byte("2"))) })
	closeStore(t, s)
	before := stored(t, dir, albion.KindKey)
	s = open(t, dir)
	update(t, s, func(d *albion.Draft) { albion.Put(d, key("two", []byte("2"))); albion.Put(d, group(1, 1)) })
	closeStore(t, s)
	after := stored(t, dir, albion.KindKey)
	// A value that is sealed anew differs: its nonce does.
	if !bytes.Equal(before["one"], after["one"]) || bytes.Equal(before["two"], after["two"]) {
		t.Error("written is not what changed")
	}
}

// raw opens the database file without a Store.
func raw(t testing.TB, dir string, edit func(*bbolt.Tx) error) {
	t.Helper()
	db, err := bbolt.Open(filepath.Join(dir, "albion.db"), 0o600, &bbolt.Options{Timeout: time.Nanosecond})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(db.Update(edit), db.Close()); err != nil {
		t.Fatal(err)
	}
}

func stored(t testing.TB, dir string, kind albion.Kind) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	raw(t, dir, func(tx *bbolt.Tx) error {
		return tx.Bucket([]byte(kind)).ForEach(func(k, v []byte) error {
			all[string(k)] = bytes.Clone(v)
			return nil
		})
	})
	return all
}
