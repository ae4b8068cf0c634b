package admin

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/albion-lb/albion"
)

// Public shows what may be seen by whoever reaches the admin address: /metrics
// for Prometheus, /healthz, and /status in JSON.
func (s *Service) Public() http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), collector{s})
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4}))
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) { write(w, http.StatusOK, s.publicStatus()) })
	mux.HandleFunc("GET /healthz", s.healthz)
	return mux
}

// publicStatus keeps to the operator what a refused file says: its lines are
// quoted with what is wrong with them.
func (s *Service) publicStatus() Status {
	status := s.Status()
	if r := status.Refused; r != nil {
		status.Refused = &Refusal{File: r.File, At: r.At, Problem: "`albion status` and the log say what is wrong"}
	}
	return withoutPlaces(status)
}

// healthz answers 200 while every listener serves, and 503 with the reasons
// otherwise.
func (s *Service) healthz(w http.ResponseWriter, _ *http.Request) {
	problems := []string{}
	for _, l := range s.Status().Listeners {
		if l.State != "serving" {
			problems = append(problems, describeProblem(l))
		}
	}
	for _, n := range s.Status().NameServers {
		if n.State != "serving" {
			problems = append(problems, describeNameServer(n))
		}
	}
	status, word := http.StatusOK, "ok"
	if len(problems) > 0 {
		status, word = http.StatusServiceUnavailable, "failed"
	}
	write(w, status, map[string]any{"status": word, "problems": problems})
}

func describeProblem(l Listener) string {
	text := "listener " + l.Name + ": " + l.State
	if l.Problem != "" {
		text += ": " + l.Problem
	}
	return text
}

// collector shows our own counts to Prometheus.
type collector struct{ service *Service }

// Describe says nothing: which metrics there are depends on the State.
func (collector) Describe(chan<- *prometheus.Desc) {}

func (c collector) Collect(out chan<- prometheus.Metric) {
	metrics := c.service.certificateMetrics()
	if c.service.cfg.Metrics != nil {
		metrics = append(metrics, c.service.cfg.Metrics()...)
	}
	for _, m := range metrics {
		var names, values []string
		for _, l := range m.Labels {
			names, values = append(names, l.Name), append(values, l.Value)
		}
		desc := prometheus.NewDesc(m.Name, m.Help, names, nil)
		metric, err := constant(desc, &m, values)
		if err != nil {
			metric = prometheus.NewInvalidMetric(desc, err)
		}
		out <- metric
	}
}

func constant(desc *prometheus.Desc, m *albion.Metric, labels []string) (prometheus.Metric, error) {
	switch m.Kind {
	case albion.Counter:
		return prometheus.NewConstMetric(desc, prometheus.CounterValue, m.Value, labels...)
	case albion.Gauge:
		return prometheus.NewConstMetric(desc, prometheus.GaugeValue, m.Value, labels...)
	}
	buckets, total := map[float64]uint64{}, uint64(0)
	for i, n := range m.Counts {
		total += n
		if i < len(m.Bounds) {
			buckets[m.Bounds[i]] = total
		}
	}
	return prometheus.NewConstHistogram(desc, total, m.Sum, buckets, labels...)
}
