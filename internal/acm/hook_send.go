package acm

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/albion-lb/albion"
)

// Headers of what is sent to a hook.
const (
	EventHeader     = "Albion-Event"     // renewed, …
	NoticeHeader    = "Albion-Notice"    // the ID: what comes again under the same one was sent before
	SignatureHeader = "Albion-Signature" // t=UNIX SECONDS,v1=HEX; see Sign
)

// Document is what hooks are sent, in JSON. It holds no secret.
type Document struct {
	ID          string // of the notice; the same at every attempt
	Event       albion.EventKind
	At          time.Time
	Certificate Subject
	CA          string   `json:",omitempty"` // host of the CA that issued or refused
	Problem     *Problem `json:",omitempty"`
}

// Subject is the certificate that an event is about.
type Subject struct {
	Name     string
	ARN      albion.ARN
	Domains  []string
	Serial   string // of the contents that there are
	NotAfter time.Time
}

// Problem is what is wrong, what to do next, and the CA's own words.
type Problem struct {
	Sentence, Advice string
	Words            string `json:",omitempty"`
}

func document(n *albion.Notice) ([]byte, error) {
	doc := Document{
		ID: n.ID, Event: n.Event, At: n.At, CA: n.CA,
		Certificate: Subject{n.Name, n.Certificate, n.Domains, n.Serial, n.NotAfter},
	}
	if p := n.Problem; p != nil {
		doc.Problem = &Problem{p.Sentence, p.Advice, p.Words}
	}
	return json.Marshal(doc)
}

// Sign is the signature of a body that is sent at a moment: HMAC-SHA256 over the
// Unix seconds, a dot, and the body.
func Sign(secret albion.Secret, at time.Time, body []byte) string {
	seconds := strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(seconds + ".")) // a hash takes everything
	mac.Write(body)
	return "t=" + seconds + ",v1=" + hex.EncodeToString(mac.Sum(nil))
}

// send tells an address; an answer of 2xx has taken the notice. Redirects are not
// followed: what was sent would not be sent again.
func (h *Herald) send(ctx context.Context, hook *albion.Hook, n *albion.Notice, secret albion.Secret) error {
	body, err := document(n)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, hook.URL, bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", h.Agent)
	r.Header.Set(EventHeader, string(n.Event))
	r.Header.Set(NoticeHeader, n.ID)
	if len(secret) > 0 {
		r.Header.Set(SignatureHeader, Sign(secret, h.Now(), body))
	}
	res, err := h.HTTP.RoundTrip(r)
	if err != nil {
		return err
	}
	answer, _ := io.ReadAll(io.LimitReader(res.Body, 4<<10)) // what it says is for the log only
	if err := res.Body.Close(); err != nil {
		return err
	}
	if res.StatusCode/100 != 2 {
		return fmt.Errorf("it answers %d: %s", res.StatusCode, logged(answer))
	}
	return nil
}
