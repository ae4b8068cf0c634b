package acme

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/albion-lb/albion"
)

// How often a CA is asked when to renew, whatever it says itself (RFC 9773
// §4.3.2).
const (
	soonestCheck = time.Minute
	latestCheck  = 24 * time.Hour
	usualCheck   = 6 * time.Hour
)

// ErrNoWindow says that the CA does not tell when to renew.
var ErrNoWindow = errors.New("acme: the CA does not offer renewal information")

// Window asks the CA when to renew a certificate (RFC 9773 §4). Chosen is left
// to the caller.
func (c *Client) Window(ctx context.Context, leaf *x509.Certificate) (albion.Window, error) {
	d, err := c.ca.GetDirectory(ctx)
	if err != nil {
		return albion.Window{}, c.explain(err, situation{doing: "asking for the CA's directory"})
	}
	id := CertificateID(leaf)
	if d.RenewalInfo == "" || id == "" {
		return albion.Window{}, ErrNoWindow
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(d.RenewalInfo, "/")+"/"+id, nil)
	if err != nil {
		return albion.Window{}, fmt.Errorf("acme: the CA's address for renewal information: %w", err)
	}
	res, err := c.transport.httpClient().Do(r)
	if err != nil {
		return albion.Window{}, unreachable(err, situation{doing: "asking when to renew"})
	}
	defer func() { _ = res.Body.Close() }() // it is in memory
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return albion.Window{}, err
	}
	if res.StatusCode != http.StatusOK {
		return albion.Window{}, &albion.Setback{Kind: albion.SetbackUnavailable, Sentence: fmt.Sprintf("the CA answers %d when asked when to renew", res.StatusCode), Advice: "the lifetime decides meanwhile"}
	}
	return parseWindow(body, res.Header.Get("Retry-After"), c.cfg.Now())
}

// parseWindow reads a RenewalInfo object. A window of a second, which means now,
// is one; only one that ends before it begins is none.
func parseWindow(body []byte, retry string, now time.Time) (albion.Window, error) {
	var info struct {
		Window struct {
			Start time.Time `json:"start"`
			End   time.Time `json:"end"`
		} `json:"suggestedWindow"`
		Explanation string `json:"explanationURL"`
	}
	if err := json.Unmarshal(body, &info); err != nil {
		return albion.Window{}, fmt.Errorf("acme: renewal information: %s", words(err.Error()))
	}
	w := albion.Window{Start: info.Window.Start.UTC(), End: info.Window.End.UTC(), Check: now.Add(usualCheck)}
	// Years outside what JSON can hold again would break whoever stores the window.
	if info.Window.Start.IsZero() || !w.End.After(w.Start) || w.Start.Year() < 1970 || w.End.Year() > 9998 {
		return albion.Window{}, errors.New("acme: renewal information without a window")
	}
	if u, err := url.Parse(info.Explanation); err == nil && (u.Scheme == "https" || u.Scheme == "http") && len(info.Explanation) <= 500 {
		w.Explanation = words(info.Explanation)
	}
	if until, ok := retryAfter(retry, now); ok {
		w.Check = now.Add(min(max(until.Sub(now), soonestCheck), latestCheck))
	}
	return w, nil
}
