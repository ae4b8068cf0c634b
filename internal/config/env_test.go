package config_test

import (
	"crypto/sha256"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/config"
)

func parse(t testing.TB, data string) *config.File {
	t.Helper()
	f, err := config.Parse("/etc/albion/albion.yaml", []byte(data))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// world is what an Apply meets outside: a clock, identities, a disk, and an
// importer that keeps what the files hold as it is.
type world struct {
	now   time.Time
	ids   uint64
	files map[string]string

	expiry time.Time // of the certificates in the files
}

func newWorld() *world {
	now := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	return &world{now: now, files: map[string]string{}, expiry: now.AddDate(0, 3, 0)}
}

func (w *world) id() [16]byte {
	w.ids++
	sum := sha256.Sum256(fmt.Appendf(nil, "%d", w.ids))
	return [16]byte(sum[:16])
}

func (w *world) readFile(name string) ([]byte, error) {
	data, ok := w.files[name]
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return []byte(data), nil
}

func (w *world) put(d *albion.Draft, c albion.Certificate, secret string) {
	c.Chain = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte(c.Chain)}))
	c.ARN, c.Created = albion.CertificateARN(w.id()), w.now
	for old := range d.Certificates.All() {
		if old.Name == c.Name {
			c.ARN, c.Created, c.Origin = old.ARN, old.Created, old.Origin
		}
	}
	c.Imported, c.NotBefore, c.NotAfter = w.now, w.now.Add(-time.Hour), w.expiry
	albion.Put(d, &c)
	albion.Put(d, &albion.Key{Name: string(c.ARN), Secret: albion.Secret(secret)})
}

func (w *world) imports(d *albion.Draft, name string, files map[string][]byte) error {
	var all strings.Builder
	for _, file := range slices.Sorted(maps.Keys(files)) {
		all.Write(files[file])
	}
	if strings.Contains(all.String(), "broken") {
		return errors.New("no certificate in these files")
	}
	if w.now.After(w.expiry) {
		return errors.New("this certificate has expired")
	}
	w.put(d, albion.Certificate{Name: name, Domains: []string{name + ".example.com"}, Chain: all.String(), Issuer: albion.Imported, KeyAlgorithm: "EC_prime256v1"}, all.String())
	return nil
}

func (w *world) local(d *albion.Draft, name string, domains []string) error {
	secret := w.id()
	w.put(d, albion.Certificate{Name: name, Domains: domains, Chain: fmt.Sprint(secret), Issuer: albion.Local, KeyAlgorithm: "EC_prime256v1"}, string(secret[:]))
	return nil
}

func (w *world) request(d *albion.Draft, want config.Requested) error {
	request := &albion.Request{
		Directory: "https://" + strings.TrimPrefix(want.Issuer, "https://") + "/", Email: want.Email, Domains: want.Domains,
		KeyType: albion.KeyType(want.KeyType), Profile: want.Profile,
	}
	if want.Roots != "" {
		request.Roots = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte(want.Roots)}))
	}
	for old := range d.Certificates.All() {
		if old.Name == want.Name && reflect.DeepEqual(old.Request, request) {
			return nil
		}
	}
	w.put(d, albion.Certificate{Name: want.Name, Domains: want.Domains, Chain: want.Name, Issuer: albion.ACME, Request: request, Pending: true}, "key")
	return nil
}

// getenv knows every variable but one.
func (w *world) getenv(name string) string {
	if name == "UNSET" {
		return ""
	}
	return "the value of " + name
}

func (w *world) env() config.Env {
	return config.Env{Now: w.now, ID: w.id, ReadFile: w.readFile, Getenv: w.getenv, Import: w.imports, Local: w.local, Request: w.request}
}

// run applies a file to a State, and checks the result as the store would.
func (w *world) run(f *config.File, state *albion.State) (*albion.State, []config.Change, error) {
	if state == nil {
		state = &albion.State{}
	}
	d := albion.NewDraft(state)
	changes, err := f.Apply(d, w.env())
	if err != nil {
		return nil, nil, err
	}
	next, err := d.Finish()
	if err != nil {
		return nil, nil, f.Locate(err)
	}
	return next, changes, nil
}

func tryApply(f *config.File, state *albion.State) (*albion.State, []config.Change, error) {
	return newWorld().run(f, state)
}

func apply(t testing.TB, f *config.File, state *albion.State) (*albion.State, []config.Change) {
	t.Helper()
	next, changes, err := tryApply(f, state)
	if err != nil {
		t.Fatal(err)
	}
	return next, changes
}
