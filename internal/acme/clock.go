package acme

import (
	"context"
	"net/http"
	"time"
)

// Clock asks the CA what time it is: ahead is how far this machine's clock is
// before the CA's, and known whether the CA has said. What it answers else is of
// no interest here.
func (c *Client) Clock(ctx context.Context) (ahead time.Duration, known bool, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, c.cfg.Directory, nil)
	if err != nil {
		return 0, false, err
	}
	r.Header.Set("User-Agent", c.cfg.UserAgent)
	res, err := c.transport.httpClient().Do(r)
	if err != nil {
		if ctx.Err() != nil {
			return 0, false, context.Cause(ctx)
		}
		return 0, false, unreachable(err, situation{doing: "asking for the CA's directory"})
	}
	if err := res.Body.Close(); err != nil { // it is in memory
		return 0, false, err
	}
	ahead, known = c.Skew()
	return ahead, known, nil
}
