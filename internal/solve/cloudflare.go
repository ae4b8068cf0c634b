package solve

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// cloudflare changes records by Cloudflare's API, version 4
// (developers.cloudflare.com/api: zones, dns/records).
type cloudflare struct {
	base   string
	header http.Header // who asks
}

// newCloudflare reads the credentials of certbot-dns-cloudflare: a token, or the
// key of a whole account.
func newCloudflare(cfg Config, file string) (*cloudflare, error) {
	const prefix = "dns_cloudflare_"
	c, err := credentials(file, prefix, "api_token", "email", "api_key")
	if err != nil {
		return nil, err
	}
	header := http.Header{"Accept": {"application/json"}, "User-Agent": {"albion"}}
	switch {
	case c["api_token"] != "" && c["api_key"] == "" && c["email"] == "":
		header.Set("Authorization", "Bearer "+c["api_token"])
	case c["api_token"] == "" && c["api_key"] != "" && c["email"] != "":
		header.Set("X-Auth-Email", c["email"])
		header.Set("X-Auth-Key", c["api_key"])
	default:
		return nil, fmt.Errorf("solve: %s: expected either %sapi_token, or %semail and %sapi_key", file, prefix, prefix, prefix)
	}
	for _, values := range header {
		if strings.ContainsFunc(values[0], func(r rune) bool { return r <= ' ' && r != ' ' || r >= 0x7f }) {
			return nil, fmt.Errorf("solve: %s: what it holds is no token: copy it anew", file)
		}
	}
	return &cloudflare{base: strings.TrimSuffix(cfg.Cloudflare, "/"), header: header}, nil
}

// cfRecord is a record as the API writes it.
type cfRecord struct {
	ID      string `json:"id,omitempty"`
	Type    string `json:"type"`
	Name    string `json:"name"`
	Content string `json:"content"`
	TTL     int    `json:"ttl,omitempty"` // seconds
	Comment string `json:"comment,omitempty"`
}

func (k *cloudflare) check(ctx context.Context, at place) error {
	_, err := k.zone(ctx, at)
	return err
}

func (k *cloudflare) add(ctx context.Context, at place, value string) error {
	zone, err := k.zone(ctx, at)
	if err != nil {
		return err
	}
	found, err := k.find(ctx, zone, at, value)
	if err != nil || len(found) > 0 {
		return err
	}
	body := cfRecord{Type: "TXT", Name: at.name, Content: `"` + value + `"`, TTL: int(recordTTL / time.Second), Comment: "proves the name to a certificate authority"}
	err = k.call(ctx, http.MethodPost, "/zones/"+zone+"/dns_records", body, nil)
	var said *cfError
	const identical = 81058 // somebody added it in between
	if errors.As(err, &said) && said.Code == identical {
		return nil
	}
	return err
}

func (k *cloudflare) remove(ctx context.Context, at place, value string) error {
	zone, err := k.zone(ctx, at)
	if err != nil {
		return err
	}
	found, err := k.find(ctx, zone, at, value)
	for _, r := range found {
		failed := k.call(ctx, http.MethodDelete, "/zones/"+zone+"/dns_records/"+url.PathEscape(r.ID), nil, nil)
		var said *cfError
		const gone = 81044
		if errors.As(failed, &said) && said.Code == gone {
			failed = nil
		}
		err = errors.Join(err, failed)
	}
	return err
}

// zone is the id of the zone that holds a name.
func (k *cloudflare) zone(ctx context.Context, at place) (string, error) {
	var zones []struct{ ID, Name string }
	if err := k.call(ctx, http.MethodGet, "/zones?"+url.Values{"name": {at.zone.Name}}.Encode(), nil, &zones); err != nil {
		return "", err
	}
	for _, z := range zones {
		if strings.EqualFold(z.Name, at.zone.Name) {
			return url.PathEscape(z.ID), nil
		}
	}
	return "", setback("Cloudflare shows no zone "+at.zone.Name+" to these credentials", "give the token Zone:DNS:Edit for the zone, or use another method if the domain's DNS is elsewhere"+at.leads(), nil)
}

// find returns the records of a name with exactly this value.
func (k *cloudflare) find(ctx context.Context, zone string, at place, value string) ([]cfRecord, error) {
	query := url.Values{"type": {"TXT"}, "name": {at.name}, "per_page": {"100"}}
	var all, found []cfRecord
	if err := k.call(ctx, http.MethodGet, "/zones/"+zone+"/dns_records?"+query.Encode(), nil, &all); err != nil {
		return nil, err
	}
	for _, r := range all {
		if r.Type == "TXT" && strings.EqualFold(r.Name, at.name) && strings.Trim(r.Content, `"`) == value {
			found = append(found, r)
		}
	}
	return found, nil
}

// cfError is what the API says is wrong.
type cfError struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
	status  string
}

func (e *cfError) Error() string {
	if e.Code == 0 {
		return "Cloudflare answered " + plain(e.status)
	}
	return fmt.Sprintf("Cloudflare: %s (code %d)", plain(e.Message), e.Code)
}

// call sends a request and reads the envelope that every answer has.
func (k *cloudflare) call(ctx context.Context, method, path string, body, result any) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	var sent io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			return err
		}
		sent = bytes.NewReader(raw)
	}
	request, err := http.NewRequestWithContext(ctx, method, k.base+path, sent)
	if err != nil {
		return err
	}
	request.Header = k.header.Clone()
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	// A redirect would carry the credentials elsewhere.
	client := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("Cloudflare cannot be reached: %w", errors.Unwrap(err)) //nolint:staticcheck // a name
	}
	defer response.Body.Close()
	return readCloudflare(response.Status, io.LimitReader(response.Body, 4<<20), result)
}

// readCloudflare reads an answer's envelope, and its result if all went well.
func readCloudflare(status string, body io.Reader, result any) error {
	var envelope struct {
		Success bool
		Errors  []cfError
		Result  json.RawMessage
	}
	if err := json.NewDecoder(body).Decode(&envelope); err != nil {
		return &cfError{status: status}
	}
	if !envelope.Success {
		e := &cfError{status: status}
		if len(envelope.Errors) > 0 {
			e.Code, e.Message = envelope.Errors[0].Code, envelope.Errors[0].Message
		}
		return e
	}
	if result == nil {
		return nil
	}
	if err := json.Unmarshal(envelope.Result, result); err != nil {
		return fmt.Errorf("Cloudflare sent something else than expected: %w", err) //nolint:staticcheck // a name
	}
	return nil
}
