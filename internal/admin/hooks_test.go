package admin_test

import (
	"io"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/admin"
)

func TestHooksComeAndGo(t *testing.T) {
	s, store := newService(t, nil)
	apply(t, s, file+"\nhooks: {declared: {shell: 'true'}}\n")
	c := admin.Direct(s)
	hook, err := c.AddHook(t.Context(), admin.HookRequest{Name: "ops", URL: "https://ops.example.com/hook", Certificates: []string{"chat"}, Secret: "s3cret"})
	if err != nil || !hook.Signed || hook.Waiting != 0 {
		t.Fatalf("%+v, %v", hook, err)
	}
	if _, err := c.AddHook(t.Context(), admin.HookRequest{Name: "ops", URL: "https://ops.example.com/other"}); err != nil {
		t.Error(err)
	}
	all, err := c.Hooks(t.Context())
	if err != nil || len(all) != 2 || all[1].URL != "https://ops.example.com/other" || !all[1].Signed {
		t.Errorf("%+v, %v", all, err)
	}
	for want, in := range map[string]admin.HookRequest{
		"there is no certificate":                     {Name: "x", Shell: "true", Certificates: []string{"nobody"}},
		"declares the hook":                           {Name: "declared", Shell: "false"},
		"exactly one of":                              {Name: "x"},
		`"alarm x" cannot be the name of a hook: use`: {Name: "alarm x", URL: "https://ops.example.com/", Secret: "s"},
		"absolute name":                               {Name: "x", Exec: []string{"reload"}},
	} {
		if _, err := c.AddHook(t.Context(), in); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%v, want %q", err, want)
		}
	}
	if _, err := c.RemoveHook(t.Context(), "declared"); err == nil || !strings.Contains(err.Error(), "take it out there") {
		t.Errorf("%v", err)
	}
	if _, err := c.RemoveHook(t.Context(), "nobody"); err == nil || !strings.Contains(err.Error(), "cert hook list") {
		t.Errorf("%v", err)
	}
	keys := store.State().Keys.Len()
	if gone, err := c.RemoveHook(t.Context(), "ops"); err != nil || gone.Name != "ops" || store.State().Keys.Len() != keys-1 {
		t.Errorf("%+v, %v", gone, err)
	}
}

func TestMetricsTellHowCertificatesFare(t *testing.T) {
	s, store := newService(t, nil)
	apply(t, s, strings.Replace(file, "chat: {domains: [chat.test]}", "chat: {domains: [chat.example.com], issuer: letsencrypt}", 1)+"\nhooks: {ops: {shell: 'true'}}\n")
	if _, err := store.Update(t.Context(), func(d *albion.Draft) error {
		albion.Put(d, &albion.Notice{ID: "1", Hook: "ops", Event: albion.EventFailed, Refused: "exit status 1"})
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(s.Public())
	defer server.Close()
	res, err := server.Client().Get(server.URL + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	server.Client().CloseIdleConnections()
	for _, want := range []string{
		`name="chat",state="pending"} 1`, `name="chat",state="ok"} 0`, `name="chat",state="at risk"} 0`, `name="chat",state="expired"} 0`,
		"albion_certificate_failures{", "albion_certificate_next_attempt_timestamp_seconds{", `albion_hook_notices_waiting{hook="ops"} 1`,
	} {
		if !strings.Contains(string(body), want) {
			t.Errorf("no %s in\n%s", want, body)
		}
	}
	if hook := s.Hooks()[0]; hook.Waiting != 1 || hook.Problem != "exit status 1" {
		t.Errorf("%+v", hook)
	}
}
