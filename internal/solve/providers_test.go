package solve_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/acme"
	"github.com/albion-lb/albion/internal/awsclient/awstest"
	"github.com/albion-lb/albion/internal/resolve/resolvetest"
	"github.com/albion-lb/albion/internal/solve"
)

// serve makes BIND answer what a provider keeps, as the provider's own servers do,
// whenever somebody has looked in vain.
func (w *world) serve(zone string, keeps func(name string) []string) {
	w.onTell = func(all []albion.Wanted) {
		for _, record := range all {
			for _, value := range keeps(record.Name) {
				w.update(zone, record.Name, strings.Trim(value, `"`), true)
			}
		}
	}
}

func TestProvesNamesThroughRoute53(t *testing.T) {
	w := newWorld(t, resolvetest.Zone{Name: "example.test", Text: zoneText}, resolvetest.Zone{Name: "other.test"})
	aws := awstest.New(t)
	id := aws.Zone("example.test", false)
	aws.Zone("example.test", true)
	w.serve("example.test", func(name string) []string { return aws.TXT(id, name) })
	for _, argument := range []string{"", id, "/hostedzone/" + id} {
		s := w.solver(albion.MethodRoute53, argument)
		// Moto refuses to make a set that it has had before, and Route 53 does not.
		both := []acme.Presentation{txt("example.test", "apex"+argument), txt("*.example.test", "wild"+argument)}
		if err := s.(acme.Preparer).Prepare(t.Context(), []string{"example.test"}); err != nil {
			t.Fatal(err)
		}
		present(t, s, both...)
		present(t, s, both...)
		if got := aws.TXT(id, "_acme-challenge.example.test"); !slices.Equal(got, []string{`"apex` + argument + `"`, `"wild` + argument + `"`}) {
			t.Errorf("Route 53 has %q", got)
		}
		cleanUp(t, s, both...)
		cleanUp(t, s, both...)
		if got := aws.TXT(id, "_acme-challenge.example.test"); len(got) != 0 {
			t.Errorf("Route 53 still has %q", got)
		}
	}
	// deleg.example.test leads into a zone that this account has not.
	refused(t, w.solver(albion.MethodRoute53, "").(acme.Preparer).Prepare(t.Context(), []string{"deleg.example.test"}),
		"no public hosted zone other.test", "_acme-challenge.deleg.example.test is an alias")
	refused(t, w.solver(albion.MethodRoute53, id).Present(t.Context(), []acme.Presentation{txt("deleg.example.test", "v")}),
		"x7.other.test is not in the hosted zone "+id)
	refused(t, w.solver(albion.MethodRoute53, "Z0").(acme.Preparer).Prepare(t.Context(), []string{"example.test"}), "NoSuchHostedZone")
}

// cloudflare answers as Cloudflare's API, version 4, is described (zones,
// dns/records): written by hand, since nobody else's implementation of it can be
// had. It shows that we do what we mean to, not that Cloudflare agrees.
type cloudflare struct {
	token string

	mu      sync.Mutex // guards what follows
	records map[string]map[string]any
	calls   []string
	next    int
}

func (c *cloudflare) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls = append(c.calls, r.Method+" "+r.URL.Path)
	reply := func(status int, result any, problems ...any) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		json.NewEncoder(w).Encode(map[string]any{"success": status < 300, "errors": append([]any{}, problems...), "messages": []any{}, "result": result})
	}
	problem := func(status, code int, message string) {
		reply(status, nil, map[string]any{"code": code, "message": message})
	}
	const records = "/client/v4/zones/023e105f4ecef8ad9ca31a8372d0c353/dns_records"
	switch {
	case r.Header.Get("Authorization") != "Bearer "+c.token:
		problem(403, 9109, "Invalid access token")
	case r.URL.Path == "/client/v4/zones":
		found := []any{}
		if r.FormValue("name") == "example.test" {
			found = append(found, map[string]any{"id": "023e105f4ecef8ad9ca31a8372d0c353", "name": "example.test", "status": "active"})
		}
		reply(200, found)
	case r.Method == "GET" && r.URL.Path == records:
		found := []any{}
		for _, record := range c.records {
			if record["name"] == r.FormValue("name") && record["type"] == r.FormValue("type") {
				found = append(found, record)
			}
		}
		reply(200, found)
	case r.Method == "POST" && r.URL.Path == records:
		var record map[string]any
		if err := json.NewDecoder(r.Body).Decode(&record); err != nil || record["ttl"].(float64) < 60 {
			problem(400, 9021, "Invalid TTL. Must be between 60 and 86,400 seconds, or 1 for Automatic.")
			return
		}
		for _, other := range c.records {
			if other["name"] == record["name"] && other["content"] == record["content"] {
				problem(400, 81058, "An identical record already exists.")
				return
			}
		}
		c.next++
		id := "372e67954025e0ba6aaa6d586b9e0b" + string(rune('a'+c.next))
		record["id"] = id
		c.records[id] = record
		reply(200, record)
	case r.Method == "DELETE" && c.records[strings.TrimPrefix(r.URL.Path, records+"/")] != nil:
		delete(c.records, strings.TrimPrefix(r.URL.Path, records+"/"))
		reply(200, map[string]any{"id": "gone"})
	case r.Method == "DELETE":
		problem(404, 81044, "Record does not exist.")
	default:
		problem(404, 7003, "Could not route to "+r.URL.Path)
	}
}

func (c *cloudflare) values(name string) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []string
	for _, record := range c.records {
		if record["name"] == name {
			all = append(all, record["content"].(string))
		}
	}
	slices.Sort(all)
	return all
}

func TestProvesNamesThroughCloudflare(t *testing.T) {
	w := newWorld(t, resolvetest.Zone{Name: "example.test", Text: zoneText}, resolvetest.Zone{Name: "other.test"})
	c := &cloudflare{token: "Sn3lZJTBX6kkg7OdcBUAxOO963GEIyGQqnFTOFYY", records: map[string]map[string]any{
		"1": {"id": "1", "type": "TXT", "name": "_acme-challenge.example.test", "content": `"somebody-elses"`},
	}}
	server := httptest.NewServer(c)
	defer server.Close()
	w.cfg.Cloudflare = server.URL + "/client/v4"
	w.serve("example.test", c.values)
	s := w.solver(albion.MethodCloudflare, secretFile(t, "dns_cloudflare_api_token = "+c.token))
	both := []acme.Presentation{txt("example.test", "apex"), txt("*.example.test", "wild")}
	present(t, s, both...)
	present(t, s, both...)
	if got := c.values("_acme-challenge.example.test"); !slices.Equal(got, []string{`"apex"`, `"somebody-elses"`, `"wild"`}) {
		t.Errorf("Cloudflare has %q", got)
	}
	cleanUp(t, s, both...)
	cleanUp(t, s, both...)
	if got := c.values("_acme-challenge.example.test"); !slices.Equal(got, []string{`"somebody-elses"`}) {
		t.Errorf("Cloudflare still has %q", got)
	}
	refused(t, s.(acme.Preparer).Prepare(t.Context(), []string{"deleg.example.test"}), "no zone other.test", "is an alias")

	wrong := w.solver(albion.MethodCloudflare, secretFile(t, "dns_cloudflare_api_token = wrong"))
	err := wrong.Present(t.Context(), both)
	refused(t, err, "Invalid access token (code 9109)")
	if strings.Contains(err.Error(), "wrong") {
		t.Errorf("the token is shown: %v", err)
	}
	server.Close()
	refused(t, s.Present(t.Context(), both), "Cloudflare cannot be reached")
}

func TestReadsOnlyEnvelopesOfCloudflares(t *testing.T) {
	w := newWorld(t, resolvetest.Zone{Name: "example.test", Text: zoneText})
	for body, words := range map[string]string{
		"<html>502</html>":                  "502 Bad Gateway",
		`{"success":false,"errors":[]}`:     "502 Bad Gateway",
		`{"success":true,"result":"x"}`:     "something else than expected",
		strings.Repeat("[", 5<<20):          "502 Bad Gateway",
		`{"success":true,"result":[]}` + "": "no zone example.test",
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusBadGateway)
			w.Write([]byte(body))
		}))
		w.cfg.Cloudflare = server.URL
		s := w.solver(albion.MethodCloudflare, secretFile(t, "dns_cloudflare_email = a@example.test\ndns_cloudflare_api_key = k\n"))
		refused(t, s.(acme.Preparer).Prepare(t.Context(), []string{"example.test"}), words)
		server.Close()
	}
}

func TestRefusesCredentialsThatAreNone(t *testing.T) {
	for name, test := range map[string]struct {
		method albion.Method
		text   string
		words  string
	}{
		"no key":            {albion.MethodRFC2136, "dns_rfc2136_server = 192.0.2.1\ndns_rfc2136_name = k", "dns_rfc2136_secret is missing"},
		"no algorithm":      {albion.MethodRFC2136, "dns_rfc2136_server = 192.0.2.1\ndns_rfc2136_name = k\ndns_rfc2136_secret = c2VjcmV0", "HMAC-MD5"},
		"signed queries":    {albion.MethodRFC2136, "dns_rfc2136_server = 192.0.2.1\ndns_rfc2136_name = k\ndns_rfc2136_secret = c2VjcmV0\ndns_rfc2136_algorithm = HMAC-SHA256\ndns_rfc2136_sign_query = true", "sign_query is not built"},
		"not base64":        {albion.MethodRFC2136, "dns_rfc2136_server = 192.0.2.1\ndns_rfc2136_name = k\ndns_rfc2136_secret = ?hidden?\ndns_rfc2136_algorithm = HMAC-SHA256", "not base64"},
		"no port":           {albion.MethodRFC2136, "dns_rfc2136_server = 192.0.2.1\ndns_rfc2136_port = 0\ndns_rfc2136_name = k\ndns_rfc2136_secret = c2VjcmV0\ndns_rfc2136_algorithm = HMAC-SHA256", "is no port"},
		"unknown key":       {albion.MethodCloudflare, "dns_cloudflare_token = hidden", "dns_cloudflare_token is not known"},
		"token and key":     {albion.MethodCloudflare, "dns_cloudflare_api_token = hidden\ndns_cloudflare_api_key = hidden\n", "expected either"},
		"nothing":           {albion.MethodCloudflare, "# empty\n", "expected either"},
		"no lines":          {albion.MethodCloudflare, "hidden", "line 1: expected key = value"},
		"a quote":           {albion.MethodCloudflare, "dns_cloudflare_api_token = \"hidden", "do not end"},
		"twice":             {albion.MethodCloudflare, "dns_cloudflare_api_token = hidden\ndns_cloudflare_api_token = hidden", "line 2: dns_cloudflare_api_token is there twice"},
		"a broken token":    {albion.MethodCloudflare, "dns_cloudflare_api_token = \"hid\x01den\"", "is no token"},
		"not text, too big": {albion.MethodCloudflare, strings.Repeat("hidden", 20000), "no file with credentials"},
	} {
		_, err := solve.New(solve.Config{}).For(t.Context(), &albion.Request{Method: test.method, Argument: secretFile(t, test.text)}, nil)
		if err == nil || !strings.Contains(err.Error(), test.words) || strings.Contains(err.Error(), "hidden") {
			t.Errorf("%s: %v; want %q", name, err, test.words)
		}
	}
	var s *albion.Setback
	if _, err := solve.New(solve.Config{}).For(t.Context(), &albion.Request{Method: albion.MethodCloudflare, Argument: "/not/there"}, nil); !errors.As(err, &s) || s.Sentence != "the file with the credentials, /not/there, cannot be read" {
		t.Errorf("a file that is not there: %v", err)
	}
}
