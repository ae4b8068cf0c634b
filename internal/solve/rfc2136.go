package solve

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/albion-lb/albion/internal/resolve"
)

// rfc2136 changes records by dynamic updates, signed with a key.
type rfc2136 struct {
	resolver   *resolve.Resolver
	host, port string
	key        resolve.Key
}

// newRFC2136 reads the credentials of certbot-dns-rfc2136.
func newRFC2136(r *resolve.Resolver, file string) (*rfc2136, error) {
	const prefix = "dns_rfc2136_"
	c, err := credentials(file, prefix, "server", "port", "name", "secret", "algorithm", "sign_query")
	if err != nil {
		return nil, err
	}
	for _, key := range []string{"server", "name", "secret"} {
		if c[key] == "" {
			return nil, fmt.Errorf("solve: %s: %s is missing", file, prefix+key)
		}
	}
	if c["algorithm"] == "" {
		return nil, fmt.Errorf("solve: %s: %salgorithm is missing; certbot takes HMAC-MD5 then, which is broken and not spoken here: name the key's algorithm, such as HMAC-SHA512", file, prefix)
	}
	if sign := c["sign_query"]; sign != "" && !strings.EqualFold(sign, "false") {
		return nil, fmt.Errorf("solve: %s: %ssign_query is not built: zones are found by the public DNS, without the key; leave it out", file, prefix)
	}
	port := cmp.Or(c["port"], "53")
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return nil, fmt.Errorf("solve: %s: %sport is no port", file, prefix)
	}
	k := resolve.Key{Name: c["name"], Algorithm: c["algorithm"], Secret: c["secret"]}
	if err := k.Check(); err != nil {
		return nil, fmt.Errorf("solve: %s: %w", file, err)
	}
	return &rfc2136{resolver: r, host: strings.Trim(c["server"], "[]"), port: port, key: k}, nil
}

// check has nothing to look at: what a key may do shows when it does it.
func (k *rfc2136) check(context.Context, place) error { return nil }

func (k *rfc2136) add(ctx context.Context, at place, value string) error {
	return k.update(ctx, at, value, k.resolver.AddTXT)
}

func (k *rfc2136) remove(ctx context.Context, at place, value string) error {
	return k.update(ctx, at, value, k.resolver.RemoveTXT)
}

// update sends the update to the first address of the server that can be reached.
func (k *rfc2136) update(ctx context.Context, at place, value string, do func(context.Context, resolve.Update) error) error {
	addresses, err := k.resolver.Reach(ctx, k.host, k.port)
	if err != nil {
		return err
	}
	for _, address := range addresses {
		err = do(ctx, resolve.Update{Server: address, Zone: at.zone.Name, Name: at.name, Value: value, TTL: recordTTL, Key: k.key})
		if !errors.Is(err, resolve.Unreachable) && !errors.Is(err, resolve.Timeout) {
			return err
		}
	}
	return err
}
