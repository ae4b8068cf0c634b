package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// importers is how many certificates are imported at a time.
const importers = 8

// importTime is how long importing may take in all.
const importTime = 4 * time.Minute

// importHalf puts half of the certificates into a data folder of Albion's, once,
// through the socket that its commands use.
func (r *runner) importHalf(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, importTime)
	defer cancel()
	r.store = filepath.Join(r.dir, "store")
	s, err := r.setup(&work{})
	if err != nil {
		return err
	}
	defer os.RemoveAll(s.Dir)
	s.Data = r.store
	in, err := launch(ctx, r.peers[0], s)
	if err != nil {
		return err
	}
	defer in.stop()
	socket := filepath.Join(r.store, "albion.sock")
	transport := &http.Transport{
		MaxIdleConnsPerHost: importers,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", socket)
		},
	}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	half := r.many[:imported(len(r.many))]
	var wg sync.WaitGroup
	errs := make([]error, importers)
	for i := range importers {
		wg.Go(func() {
			for n := i; n < len(half) && errs[i] == nil; n += importers {
				errs[i] = importOne(ctx, client, half[n])
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func importOne(ctx context.Context, client *http.Client, c certificate) error {
	pem, err := os.ReadFile(c.Combined)
	if err != nil {
		return err
	}
	type source struct {
		Name string
		PEM  []byte
	}
	body, err := json.Marshal(struct {
		Name    string
		Sources []source
	}{c.Name, []source{{c.Combined, pem}}})
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://albion/v1/certificates", bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	said, err := io.ReadAll(io.LimitReader(res.Body, 64<<10))
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("bench: importing %s: %s: %s", c.Name, res.Status, lastLines(said))
	}
	return err
}
