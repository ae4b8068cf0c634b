package edge

import (
	"cmp"
	"maps"
	"slices"
	"strconv"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/proxy"
)

// Seen tells how listeners and targets fare.
func (e *Edge) Seen() albion.Seen {
	e.mu.Lock()
	defer e.mu.Unlock()
	seen := albion.Seen{Targets: e.targets.Seen()}
	for arn, p := range e.ports {
		l := albion.ListenerSeen{Listener: arn, Connections: p.live.Connections(), Serving: p.problem == nil}
		if p.problem != nil {
			l.Problem = p.problem.Error()
		}
		for _, at := range p.places() {
			if socket := p.sockets[at]; socket != nil {
				l.Address = socket.Addr().String()
				break
			}
		}
		seen.Listeners = append(seen.Listeners, l)
	}
	slices.SortFunc(seen.Listeners, func(a, b albion.ListenerSeen) int { return cmp.Compare(a.Listener, b.Listener) })
	return seen
}

// Metrics measures everything that is counted, by the names of Prometheus'
// conventions; CloudWatch's names are in the Help texts.
func (e *Edge) Metrics() []albion.Metric {
	e.mu.Lock()
	defer e.mu.Unlock()
	var all []albion.Metric
	for _, arn := range slices.Sorted(maps.Keys(e.ports)) {
		all = append(all, e.ports[arn].metrics()...)
	}
	for _, file := range slices.Sorted(maps.Keys(e.logs)) {
		l := e.logs[file]
		all = append(all, count("albion_access_log_dropped_total", "Access log lines that could not be written in time.",
			l.log.Dropped(), albion.Label{Name: "file", Value: file}))
	}
	return append(all, targetMetrics(e.targets.Seen())...)
}

func (p *port) metrics() []albion.Metric {
	c, m := p.now.Load(), &p.live.Metrics
	labels := []albion.Label{
		{Name: "load_balancer", Value: c.view.LoadBalancer},
		{Name: "port", Value: strconv.Itoa(int(c.listener.Port))},
	}
	with := func(more ...albion.Label) []albion.Label { return append(slices.Clone(labels), more...) }
	all := []albion.Metric{
		gauge("albion_connections_active", "Clients connected now (ActiveConnectionCount).", float64(p.live.Connections()), labels...),
		gauge("albion_tunnels_active", "WebSockets open now.", float64(m.Tunnels.Load()), labels...),
		count("albion_connections_total", "Connections served (NewConnectionCount).", m.Connections.Load(), labels...),
		count("albion_connections_refused_total", "Connections refused by a security group or for their number (RejectedConnectionCount).", p.refused.Load(), labels...),
		count("albion_panics_total", "Connections that a mistake in the program ended.", m.Panics.Load(), labels...),
		count("albion_requests_total", "Requests (RequestCount).", m.Requests.Load(), labels...),
		count("albion_received_bytes_total", "Bytes from clients (ProcessedBytes).", m.Received.Load(), labels...),
		count("albion_sent_bytes_total", "Bytes to clients (ProcessedBytes).", m.Sent.Load(), labels...),
		count("albion_tls_handshakes_total", "TLS handshakes.", p.handshakes.Load(), with(albion.Label{Name: "result", Value: "ok"})...),
		count("albion_tls_handshakes_total", "TLS handshakes.", p.handshakesFailed.Load(), with(albion.Label{Name: "result", Value: "failed"})...),
		latency(&m.Latency, labels),
	}
	for hundreds := 1; hundreds <= 5; hundreds++ {
		code := albion.Label{Name: "code", Value: strconv.Itoa(hundreds) + "xx"}
		all = append(all,
			count("albion_answers_total", "Answers to clients, by status.", m.Answers[hundreds].Load(), with(code)...),
			count("albion_own_answers_total", "Answers that no target gave (HTTPCode_ELB_*).", m.OwnAnswers[hundreds].Load(), with(code)...),
			count("albion_target_answers_total", "Answers of targets (HTTPCode_Target_*).", m.Targets[hundreds].Load(), with(code)...),
		)
	}
	return all
}

// targetMetrics counts targets by group and state (HealthyHostCount, …), and
// what they are doing.
func targetMetrics(seen []albion.TargetSeen) []albion.Metric {
	type key struct {
		group albion.ARN
		state albion.HealthState
	}
	states, outstanding := map[key]int{}, map[albion.ARN]int{}
	for _, t := range seen {
		states[key{t.Group, t.Health.State}]++
		outstanding[t.Group] += t.Outstanding
	}
	var all []albion.Metric
	for k, n := range states {
		all = append(all, gauge("albion_targets", "Targets by state (HealthyHostCount, UnHealthyHostCount).", float64(n),
			albion.Label{Name: "target_group", Value: k.group.Tail()}, albion.Label{Name: "state", Value: string(k.state)}))
	}
	for group, n := range outstanding {
		all = append(all, gauge("albion_target_outstanding", "Requests and tunnels in flight.", float64(n),
			albion.Label{Name: "target_group", Value: group.Tail()}))
	}
	return all
}

func latency(h *proxy.Histogram, labels []albion.Label) albion.Metric {
	m := albion.Metric{
		Name: "albion_target_answer_seconds", Help: "From the request's last byte to the head of the target's answer (TargetResponseTime).",
		Kind: albion.Histogram, Labels: labels, Bounds: proxy.LatencyBounds[:], Sum: float64(h.Micros.Load()) / 1e6,
	}
	for i := range h.Buckets {
		m.Counts = append(m.Counts, h.Buckets[i].Load())
	}
	return m
}

func count(name, help string, value uint64, labels ...albion.Label) albion.Metric {
	return albion.Metric{Name: name, Help: help, Kind: albion.Counter, Labels: labels, Value: float64(value)}
}

func gauge(name, help string, value float64, labels ...albion.Label) albion.Metric {
	return albion.Metric{Name: name, Help: help, Kind: albion.Gauge, Labels: labels, Value: value}
}
