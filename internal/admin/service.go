package admin

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/acm"
	"github.com/albion-lb/albion/internal/config"
)

// Store is where the State lives. Update may block on a disk; after an error
// nothing has changed.
type Store interface {
	State() *albion.State
	Update(ctx context.Context, change func(*albion.Draft) error) (*albion.State, error)
}

// Config is what a Service needs. Seen, Metrics and Healthy may be nil when no
// data plane runs in this process.
type Config struct {
	Store   Store
	Seen    func() albion.Seen
	Metrics func() []albion.Metric
	Wanted  func(albion.ARN) []albion.Wanted // what a certificate's order waits for; nil: nothing
	Refused func() *Refusal                  // the last edit of the watched file, when it was refused; nil: none is watched
	// Provable says what is wrong with the file, folder or program that a request
	// names to prove names by; nil: nobody looks.
	Provable func(context.Context, *albion.Request) error
	Beacon   func() (token, answer string) // what the data plane answers at the CA's place; nil: nothing
	Version  string
	Now      func() time.Time // nil: time.Now
	Rand     io.Reader        // nil: crypto/rand
}

// Service is the operations. Its methods may be called from anywhere.
type Service struct{ cfg Config }

// New makes a Service.
func New(cfg Config) *Service {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Rand == nil {
		cfg.Rand = rand.Reader
	}
	return &Service{cfg: cfg}
}

// ApplyRequest is a configuration file to make true.
type ApplyRequest struct {
	Name   string // of the file, for messages; what it refers to is relative to its folder
	Data   []byte
	DryRun bool // say what would change, and change nothing
}

// ApplyResult is what changed, or would.
type ApplyResult struct {
	Changes []Change
	DryRun  bool
	Version uint64 // of the State afterwards
}

// Change is one thing that applying a file does to one object.
type Change struct {
	Verb    string // add, change or remove
	Kind    string
	Name    string
	Details []string `json:",omitempty"`
	Text    string   // the same in one line
}

var errDryRun = errors.New("nothing is kept of a dry run")

// Apply makes a file true, whole or not at all.
func (s *Service) Apply(ctx context.Context, in ApplyRequest) (*ApplyResult, error) {
	file, err := config.Parse(in.Name, in.Data)
	if err != nil {
		return nil, err
	}
	out := &ApplyResult{DryRun: in.DryRun, Changes: []Change{}}
	state, err := s.cfg.Store.Update(ctx, func(d *albion.Draft) error {
		changes, err := file.Apply(d, s.env())
		if err != nil {
			return err
		}
		for _, c := range changes {
			out.Changes = append(out.Changes, Change{c.Verb, string(c.Kind), c.Name, c.Details, c.String()})
		}
		if !in.DryRun {
			return nil
		}
		if _, err := d.Finish(); err != nil {
			return err
		}
		return errDryRun
	})
	if errors.Is(err, errDryRun) {
		state, err = s.cfg.Store.State(), nil
	}
	if err != nil {
		return nil, file.Locate(err)
	}
	out.Version = state.Version
	return out, nil
}

// env gives a configuration file what it needs of others.
func (s *Service) env() config.Env {
	now := s.cfg.Now()
	return config.Env{
		Now: now, ID: s.id, ReadFile: readFile, Getenv: os.Getenv,
		Import: func(d *albion.Draft, name string, files map[string][]byte) error {
			var sources []acm.Source
			for file, pem := range files {
				sources = append(sources, acm.Source{Name: file, PEM: pem})
			}
			bundle, err := acm.Read(now, sources...)
			if err != nil {
				return err
			}
			_, err = acm.Put(d, acm.Import{Name: name, Bundle: bundle, Origin: albion.OriginFile, Now: now, ID: s.id()})
			return err
		},
		Request: func(d *albion.Draft, want config.Requested) error {
			_, _, err := acm.Request(d, acm.CARequest{
				Name: want.Name, Domains: want.Domains, Issuer: want.Issuer, Roots: want.Roots, Email: want.Email,
				Challenge: want.Challenge, Zones: want.Zones, KeyType: want.KeyType, Profile: want.Profile,
				KeyID: want.KeyID, MAC: want.MAC, Fallbacks: choices(want.Fallbacks),
				Origin: albion.OriginFile, Now: now, Rand: s.cfg.Rand, ID: s.id(),
			})
			return err
		},
		Local: func(d *albion.Draft, name string, domains []string) error {
			_, _, err := acm.Local(d, acm.LocalRequest{
				Name: name, Domains: domains, Origin: albion.OriginFile, Now: now, Rand: s.cfg.Rand, ID: s.id(),
			})
			return err
		},
	}
}

// maxFile bounds what a configuration file can make us read, in bytes.
const maxFile = 1 << 20

func readFile(name string) ([]byte, error) {
	f, err := os.Open(filepath.Clean(name))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = errors.New("is larger than 1 MiB")
	}
	return data, err
}

func (s *Service) id() (id [16]byte) {
	// crypto/rand does not fail; another reader that does gives a zero identity,
	// which Validate refuses to have twice.
	io.ReadFull(s.cfg.Rand, id[:])
	return id
}
