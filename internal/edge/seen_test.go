package edge_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/edge"
)

func TestMetricsAddUp(t *testing.T) {
	w, http, https := newWorld(t, edge.Config{}), freePort(t), freePort(t)
	server := echo(t)
	w.apply(func(d *albion.Draft) {
		balancer(d, func(lb *albion.LoadBalancer) { lb.AccessLog.File = filepath.Join(t.TempDir(), "a.log") })
		group(d, "servers", time.Second, server)
		certificate(t, d, "a", "chat.test")
		plain(d, "http", http, forward("servers"))
		rule(d, "http", "/own", 1, fixed("own"))
		secure(d, "https", https, forward("servers"), "a")
	})
	c, s := dial(t, at(http)), dialTLS(t, at(https), "chat.test")
	for range 5 {
		c.want("hello")
	}
	for range 3 {
		c.get("/own")
	}
	s.want("hello")
	dial(t, at(https)).get("/")
	ws := socket(t, "ws://"+at(http)+"/")
	if err := exchange(ws, "counted"); err != nil {
		t.Fatal(err)
	}
	at := func(port int, more ...string) string {
		return fmt.Sprint("load_balancer=app/web/7765620000000000", " port=", port, strings.Join(append([]string{""}, more...), " "))
	}
	const targetGroup = "target_group=targetgroup/servers/7365727665727300"
	c.get("/own") // after it, everything before has been counted
	for name, want := range map[string]float64{
		"albion_connections_active " + at(http):                     2,
		"albion_connections_total " + at(http):                      2,
		"albion_tunnels_active " + at(http):                         1,
		"albion_connections_refused_total " + at(http):              0,
		"albion_answers_total " + at(http, "code=5xx"):              0,
		"albion_target_answers_total " + at(http, "code=2xx"):       5,
		"albion_target_answers_total " + at(https, "code=2xx"):      1,
		"albion_tls_handshakes_total " + at(https, "result=ok"):     1,
		"albion_tls_handshakes_total " + at(https, "result=failed"): 1,
		"albion_targets " + targetGroup + " state=unavailable":      1,
		"albion_target_outstanding " + targetGroup:                  1,
		"albion_target_answer_seconds " + at(http):                  5,
	} {
		if got, ok := metrics(w)[name]; !ok || got != want {
			t.Errorf("%s is %v (there: %v), want %v", name, got, ok, want)
		}
	}
	got := metrics(w)
	for _, name := range []string{"albion_requests_total " + at(http), "albion_answers_total " + at(http, "code=2xx")} {
		if got[name] < 8 || got[name] > 9 {
			t.Errorf("%s is %v", name, got[name])
		}
	}
	for _, name := range []string{"albion_received_bytes_total " + at(http), "albion_sent_bytes_total " + at(http)} {
		if got[name] < 100 {
			t.Errorf("%s is %v", name, got[name])
		}
	}
	if own := got["albion_own_answers_total "+at(http, "code=2xx")]; own < 3 || own > 4 {
		t.Errorf("own answers: %v", own)
	}
	found := false
	for name := range got {
		found = found || strings.HasPrefix(name, "albion_access_log_dropped_total file=")
	}
	if !found {
		t.Error("nothing says how many log lines were dropped")
	}
}

// metrics is what is measured, by name and labels; of a histogram, how often.
func metrics(w *world) map[string]float64 {
	all := map[string]float64{}
	for _, m := range w.edge.Metrics() {
		name := m.Name
		for _, l := range m.Labels {
			name += " " + l.Name + "=" + l.Value
		}
		if m.Help == "" {
			w.t.Errorf("%s has no help", name)
		}
		value := m.Value
		for _, n := range m.Counts {
			value += float64(n)
		}
		all[name] = value
	}
	return all
}
