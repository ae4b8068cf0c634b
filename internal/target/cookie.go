package target

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"time"

	"github.com/albion-lb/albion/internal/wire"
)

// ALB's page "Sticky sessions for your Application Load Balancer": the names,
// the second cookie for requests from other sites, and an Expires of seven days
// whatever the duration, which is kept inside.
const (
	cookieName     = "AWSALB"
	cookieNameCORS = "AWSALBCORS"
	cookieLife     = 7 * 24 * time.Hour
	// httpDate is IMF-fixdate of RFC 9110 §5.6.7.
	httpDate = "Mon, 02 Jan 2006 15:04:05 GMT"
)

// What a request may cost: a client has at most one cookie of each name for each
// path and domain that it could have got one for.
const (
	maxCookies = 4
	maxCookie  = 600 // characters: a host name of 253 and what surrounds it
)

// issued is the cookies that one target gives out in one second.
type issued struct {
	second int64
	values [][]byte
}

// cookies returns this second's cookies.
func (t *Target) cookies() [][]byte {
	now := t.now()
	if was := t.issued.Load(); was != nil && was.second == now.Unix() {
		return was.values
	}
	value := t.seal(now.Unix())
	expires := now.Add(cookieLife).UTC().Format(httpDate)
	is := &issued{second: now.Unix(), values: [][]byte{
		[]byte(cookieName + "=" + value + "; Expires=" + expires + "; Path=/"),
		[]byte(cookieNameCORS + "=" + value + "; Expires=" + expires + "; Path=/; SameSite=None; Secure"),
	}}
	t.issued.Store(is)
	return is.values
}

// seal makes a cookie's value: base64 of a nonce and, sealed under the registry's
// key for this group alone, eight bytes of Unix time and the target's name.
func (t *Target) seal(second int64) string {
	aead := t.group.registry.aead
	plain := append(binary.BigEndian.AppendUint64(nil, uint64(second)), t.name...)
	nonce := make([]byte, aead.NonceSize(), aead.NonceSize()+len(plain)+aead.Overhead())
	rand.Read(nonce)
	return base64.StdEncoding.EncodeToString(aead.Seal(nonce, nonce, plain, []byte(t.group.arn)))
}

// unseal returns what a cookie's value says, false when it is not ours, for
// another group, or damaged.
func (g *Group) unseal(value []byte) (second int64, name []byte, ok bool) {
	if len(value) == 0 || len(value) > maxCookie {
		return 0, nil, false
	}
	sealed := make([]byte, base64.StdEncoding.DecodedLen(len(value)))
	n, err := base64.StdEncoding.Decode(sealed, value)
	aead := g.registry.aead
	if err != nil || n < aead.NonceSize() {
		return 0, nil, false
	}
	nonce, body := sealed[:aead.NonceSize()], sealed[aead.NonceSize():n]
	plain, err := aead.Open(body[:0], nonce, body, []byte(g.arn))
	if err != nil || len(plain) < 8 {
		return 0, nil, false
	}
	return int64(binary.BigEndian.Uint64(plain)), plain[8:], true
}

// recall returns the target that the request's cookie names, nil when it has no
// valid one, or one whose target does not keep its clients.
func (g *Group) recall(v *view, r *wire.Request) *Target {
	var found *Target
	tried := 0
	for i := range r.Fields {
		if r.Fields[i].ID != wire.Cookie {
			continue
		}
		eachCookie(r.Fields[i].Value, func(value []byte) bool {
			tried++
			found = g.remembered(v, value)
			return found == nil && tried < maxCookies
		})
		if found != nil || tried >= maxCookies {
			break
		}
	}
	return found
}

func (g *Group) remembered(v *view, value []byte) *Target {
	second, name, ok := g.unseal(value)
	if !ok {
		return nil
	}
	// Both ends are rounded down to a second, so that the duration is never cut.
	if age := g.registry.cfg.Now().Unix() - second; age > int64(v.settings.Attributes.Stickiness.Duration/time.Second) {
		return nil
	}
	i, ok := v.byName[string(name)]
	if !ok || !v.keeps[i] {
		return nil
	}
	return v.registered[i]
}

// eachCookie gives yield the values of the stickiness cookies in a Cookie field
// (RFC 6265 §4.2.1) until it returns false.
func eachCookie(field []byte, yield func(value []byte) bool) {
	for len(field) > 0 {
		var pair []byte
		pair, field, _ = bytes.Cut(field, []byte{';'})
		name, value, ok := bytes.Cut(bytes.Trim(pair, " \t"), []byte{'='})
		if !ok || string(name) != cookieName && string(name) != cookieNameCORS {
			continue
		}
		if !yield(value) {
			return
		}
	}
}
