package admin_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/acm"
	"github.com/albion-lb/albion/internal/admin"
)

// clients are the two ways to the operations: over a socket and in the process.
func clients(t *testing.T, service *admin.Service) map[string]*admin.Client {
	t.Helper()
	// A socket's name is short: t.TempDir's would not do.
	dir, err := os.MkdirTemp("", "albion")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(service.Operations())
	server.Listener.Close()
	server.Listener = l
	server.Start()
	t.Cleanup(server.Close)
	return map[string]*admin.Client{"socket": admin.Dial(path), "direct": admin.Direct(service)}
}

func TestOperationsAreTheSameOverASocket(t *testing.T) {
	service, s := newService(t, nil)
	for way, client := range clients(t, service) {
		t.Run(way, func(t *testing.T) {
			ctx := t.Context()
			if _, err := client.Apply(ctx, admin.ApplyRequest{Name: "albion.yaml", Data: []byte(file)}); err != nil {
				t.Fatal(err)
			}
			imported, err := client.Import(ctx, admin.ImportRequest{Name: way, Sources: []acm.Source{certificate(t, "shop.test")}})
			if err != nil || imported.Certificate.Name != way {
				t.Fatalf("%+v, %v", imported, err)
			}
			all, err := client.Certificates(ctx)
			if err != nil || !slices.IsSortedFunc(all, func(a, b admin.Certificate) int { return strings.Compare(a.Name, b.Name) }) || len(all) < 2 {
				t.Errorf("%+v, %v", all, err)
			}
			shown, err := client.Certificate(ctx, way)
			if err != nil || !strings.Contains(shown.Chain, "BEGIN CERTIFICATE") || strings.Contains(shown.Chain, "PRIVATE") {
				t.Errorf("%+v, %v", shown, err)
			}
			files, err := client.Export(ctx, way)
			want, exportErr := acm.Export(s.State(), way)
			if err != nil || exportErr != nil || !reflect.DeepEqual(*files, want) {
				t.Errorf("exported %v, %v: %v", err, exportErr, files)
			}
			status, err := client.Status(ctx)
			if err != nil || len(status.Listeners) != 2 || status.Version != "test" || !strings.Contains(status.Authority, "BEGIN CERTIFICATE") {
				t.Errorf("%+v, %v", status, err)
			}
			if _, err := client.DeleteCertificate(ctx, way); err != nil {
				t.Error(err)
			}
			// What the user did wrong keeps its code on the way.
			if _, err := client.Certificate(ctx, way); albion.CodeOf(err) != albion.CodeCertificateNotFound {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestClientSaysThatTheServerIsGone(t *testing.T) {
	_, err := admin.Dial(filepath.Join(t.TempDir(), "nothing.sock")).Status(t.Context())
	if err == nil || !strings.Contains(err.Error(), "the running server does not answer") {
		t.Errorf("error %v", err)
	}
}

func serve(h http.Handler, method, path, body string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, path, strings.NewReader(body)))
	return w
}

func TestOperationsRefuseNonsense(t *testing.T) {
	service, s := newService(t, nil)
	before := s.State()
	for _, c := range []struct {
		method, path, body string
		status             int
	}{
		{"POST", "/v1/apply", "", http.StatusBadRequest},
		{"POST", "/v1/apply", "[]", http.StatusBadRequest},
		{"POST", "/v1/apply", `{"Data":"not base64!"}`, http.StatusBadRequest},
		{"POST", "/v1/apply", `{"Data":"` + strings.Repeat("A", 9<<20) + `"}`, http.StatusBadRequest},
		{"POST", "/v1/certificates", `{"Name":"x"}`, http.StatusBadRequest},
		{"POST", "/v1/certificates/delete", `{"Name":"x"}`, http.StatusBadRequest},
		{"GET", "/v1/status", "", http.StatusMethodNotAllowed},
		{"POST", "/v1/nothing", "{}", http.StatusNotFound},
		{"POST", "/metrics", "", http.StatusNotFound},
	} {
		if w := serve(service.Operations(), c.method, c.path, c.body); w.Code != c.status {
			t.Errorf("%s %s: %d %s", c.method, c.path, w.Code, w.Body)
		}
	}
	if s.State() != before {
		t.Error("nonsense has changed the State")
	}
}

func TestPublicChangesNothingAndShowsNoSecret(t *testing.T) {
	service, s := newService(t, nil)
	apply(t, service, file)
	before := s.State()
	for _, path := range []string{"/v1/apply", "/v1/certificates", "/v1/certificates/export", "/v1/certificates/delete", "/v1/status"} {
		if w := serve(service.Public(), "POST", path, `{"Name":"chat"}`); w.Code != http.StatusNotFound {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
	for _, path := range []string{"/status", "/metrics", "/healthz"} {
		for _, method := range []string{"POST", "PUT", "DELETE"} {
			if w := serve(service.Public(), method, path, "{}"); w.Code != http.StatusMethodNotAllowed {
				t.Errorf("%s %s: %d", method, path, w.Code)
			}
		}
		body := serve(service.Public(), "GET", path, "").Body.String()
		if strings.Contains(body, "PRIVATE KEY") {
			t.Errorf("%s shows a key", path)
		}
	}
	if s.State() != before {
		t.Error("the State has changed")
	}
}

func TestHealthzNamesWhatDoesNotServe(t *testing.T) {
	problem := "port 8080 is in use by another program"
	service, _ := newService(t, func(c *admin.Config) {
		state := c.Store.State
		c.Seen = func() (seen albion.Seen) {
			for l := range state().Listeners.All() {
				seen.Listeners = append(seen.Listeners, albion.ListenerSeen{Listener: l.ARN, Serving: problem == "", Problem: problem})
			}
			return seen
		}
	})
	apply(t, service, file)
	w := serve(service.Public(), "GET", "/healthz", "")
	if w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), "web:8080: failed: "+problem) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	problem = ""
	if w = serve(service.Public(), "GET", "/healthz", ""); w.Code != http.StatusOK {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestMetricsAreWhatPrometheusReads(t *testing.T) {
	labels := []albion.Label{{Name: "port", Value: `8"0`}}
	service, _ := newService(t, func(c *admin.Config) {
		c.Metrics = func() []albion.Metric {
			return []albion.Metric{
				{Name: "albion_requests_total", Help: "Requests.", Kind: albion.Counter, Labels: labels, Value: 5},
				{Name: "albion_targets", Help: "Targets.", Kind: albion.Gauge, Value: 2},
				{Name: "albion_seconds", Help: "Time.", Kind: albion.Histogram, Bounds: []float64{.1, 1}, Counts: []uint64{1, 2, 3}, Sum: 9},
			}
		}
	})
	apply(t, service, file)
	w := serve(service.Public(), "GET", "/metrics", "")
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	if m := families["albion_requests_total"].GetMetric()[0]; m.GetCounter().GetValue() != 5 || m.GetLabel()[0].GetValue() != `8"0` {
		t.Errorf("%v", m)
	}
	h := families["albion_seconds"].GetMetric()[0].GetHistogram()
	if h.GetSampleCount() != 6 || h.GetSampleSum() != 9 || h.GetBucket()[0].GetCumulativeCount() != 1 || h.GetBucket()[1].GetCumulativeCount() != 3 {
		t.Errorf("%v", h)
	}
	if expiry := families["albion_certificate_expiry_timestamp_seconds"]; len(expiry.GetMetric()) != 1 {
		t.Errorf("%v", expiry)
	}
}

// FuzzOperations sends anything to every operation: the answer is JSON with a
// status that says whose fault it was, and what is refused changes nothing.
func FuzzOperations(f *testing.F) {
	paths := []string{"apply", "certificates", "certificates/list", "certificates/show", "certificates/export", "certificates/delete", "status"}
	for i := range paths {
		f.Add(uint8(i), []byte(`{"Name":"chat"}`))
	}
	f.Add(uint8(0), []byte(`{"Name":"a.yaml","Data":"bG9hZF9iYWxhbmNlcnM6IHt9Cg=="}`))
	f.Add(uint8(1), []byte(`{"Name":"a","Sources":[{"Name":"x","PEM":"LS0tLS1CRUdJTg=="}]}`))
	f.Add(uint8(1), []byte(`[[[[`))
	service, s := newService(f, nil)
	operations := service.Operations()
	f.Fuzz(func(t *testing.T, which uint8, body []byte) {
		before := s.State()
		w := httptest.NewRecorder()
		r := httptest.NewRequest("POST", "/v1/"+paths[int(which)%len(paths)], bytes.NewReader(body))
		operations.ServeHTTP(w, r)
		if w.Code != http.StatusOK && w.Code != http.StatusBadRequest && w.Code != http.StatusInternalServerError {
			t.Errorf("status %d", w.Code)
		}
		answer, err := io.ReadAll(w.Body)
		if err != nil || !json.Valid(answer) {
			t.Errorf("not JSON: %s", answer)
		}
		if w.Code != http.StatusOK && s.State() != before {
			t.Error("what was refused has changed the State")
		}
	})
}
