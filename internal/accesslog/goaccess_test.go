package accesslog_test

import (
	"encoding/json"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/albion-lb/albion/internal/accesslog"
)

// report is the part of GoAccess's JSON report that counts.
type report struct {
	General struct {
		Total  int `json:"total_requests"`
		Valid  int `json:"valid_requests"`
		Failed int `json:"failed_requests"`
	} `json:"general"`
}

func TestGoAccessReadsTheFile(t *testing.T) {
	program, err := exec.LookPath("goaccess")
	if err != nil {
		t.Fatal("goaccess is missing: apt-get install -y goaccess")
	}
	records := readable()
	file := filepath.Join(t.TempDir(), "access.log")
	l, stop := running(t, accesslog.Config{File: file})
	for _, r := range records {
		l.Write(r)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}

	out := filepath.Join(t.TempDir(), "report.json")
	cmd := exec.CommandContext(t.Context(), program, file, "--log-format=AWSALB", "--no-global-config", "-o", out)
	cmd.Env = append(os.Environ(), "LC_ALL=C", "HOME="+t.TempDir())
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("goaccess: %v\n%s", err, said)
	}
	text, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	var got report
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if got.General.Failed != 0 || got.General.Valid != len(records) || got.General.Total != len(records) {
		t.Errorf("of %d lines goaccess read %+v", len(records), got.General)
	}
	for _, want := range []string{"/chat/info", "/chat/000/abcdefgh/websocket"} {
		if !strings.Contains(string(text), strings.ReplaceAll(want, "/", `\/`)) {
			t.Errorf("%s is missing in the report: %+v", want, got)
		}
	}
}

// readable is a day's worth of what a balancer sees.
func readable() []*accesslog.Record {
	var all []*accesslog.Record
	for i := range 200 {
		r := forwarded()
		r.Time = r.Time.Add(time.Duration(i) * time.Minute)
		r.Client = netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), uint16(1024+i))
		switch i % 9 {
		case 1:
			r.Type, r.Status, r.TargetStatus, r.URI = accesslog.WSS, 101, 101, []byte("/chat/000/abcdefgh/websocket")
		case 2:
			r.Client = netip.AddrPortFrom(netip.MustParseAddr("2001:db8::9"), 443)
		case 3:
			r.Target, r.TargetStatus, r.Status, r.RequestProcessing, r.TargetProcessing, r.ResponseProcessing = "", 0, 503, 0, 0, 0
		case 4:
			r.Type, r.Cipher, r.TLSVersion, r.Domain, r.Port = accesslog.HTTP, 0, 0, "", 80
		case 5:
			r.UserAgent = []byte("Mozilla/5.0 \"quoted\" \\ \x00\xff\n")
		case 6:
			r.Type, r.Proto, r.UserAgent, r.Method = accesslog.H2, "HTTP/2.0", nil, []byte("POST")
		case 7:
			r.URI, r.Classification, r.ClassificationReason = []byte("/search?q=\"a b\"&r=%20é"), "Ambiguous", "BadUri"
		case 8:
			r.Method, r.Status, r.Target, r.TargetStatus = nil, 400, "", 0
		}
		all = append(all, r)
	}
	return all
}
