package config_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/config"
)

func TestUpPutsHTTPSInFrontOfServers(t *testing.T) {
	data, err := config.Up(config.UpOptions{Domains: []string{"chat.example.com"}, To: []string{"127.0.0.1:8080", "[::1]:8081"}})
	if err != nil {
		t.Fatal(err)
	}
	state, _ := apply(t, parse(t, string(data)), nil)
	group := only(t, state.TargetGroups)
	if len(group.Targets) != 2 || group.Attributes.Stickiness.Type != albion.SockJS || group.HealthCheck.Matcher != "200-499" {
		t.Errorf("the target group is %+v", group)
	}
	certificate := only(t, state.Certificates)
	if certificate.Name != "chat.example.com" || certificate.Issuer != albion.Local || !slices.Equal(certificate.Domains, []string{"chat.example.com"}) {
		t.Errorf("the certificate is %+v", certificate)
	}
	if lb := only(t, state.LoadBalancers); len(lb.Addresses) != 0 || len(lb.SecurityGroups) != 0 {
		t.Errorf("the load balancer is %+v", lb)
	}
	for l := range state.Listeners.All() {
		switch {
		case l.Port == 80 && l.Protocol == albion.HTTP && l.Default.Redirect.Protocol == "HTTPS" && l.Default.Redirect.Port == "443":
		case l.Port == 443 && l.Protocol == albion.HTTPS && l.Default.Forward.Groups[0].Group == group.ARN && l.Certificates[0] == certificate.ARN:
		default:
			t.Errorf("a listener is %+v", l)
		}
	}
}

func TestUpSaysWhatItNeeds(t *testing.T) {
	ok := config.UpOptions{Domains: []string{"a.example.com"}, To: []string{"127.0.0.1:1"}}
	for name, c := range map[string]struct {
		change func(o *config.UpOptions)
		want   string
	}{
		"no domain":    {func(o *config.UpOptions) { o.Domains = nil }, "which domain?"},
		"no server":    {func(o *config.UpOptions) { o.To = nil }, "which server?"},
		"url":          {func(o *config.UpOptions) { o.To = []string{"http://127.0.0.1:1"} }, "leave out http://"},
		"domain url":   {func(o *config.UpOptions) { o.Domains = []string{"https://a.example.com"} }, "is not a domain name"},
		"new line":     {func(o *config.UpOptions) { o.Domains = []string{"a\nb: c"} }, "is not a domain name"},
		"one port":     {func(o *config.UpOptions) { o.HTTPPort = 443 }, "port 443 cannot be"},
		"key alone":    {func(o *config.UpOptions) { o.Key = "k" }, "needs the certificate"},
		"two sources":  {func(o *config.UpOptions) { o.Certificate, o.Certbot = "c", "d" }, "not from both"},
		"issuer":       {func(o *config.UpOptions) { o.Issuer = "acme" }, `issuer "acme" is not known`},
		"file, issuer": {func(o *config.UpOptions) { o.Certificate, o.Issuer = "c", albion.Local }, "has no issuer"},
		"file name":    {func(o *config.UpOptions) { o.Certificate = "\xff" }, "is not UTF-8"},
	} {
		t.Run(name, func(t *testing.T) {
			o := ok
			c.change(&o)
			if data, err := config.Up(o); err == nil || data != nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// Whatever up takes, its file is taken too, and means what was said.
func TestUpIsAlwaysTaken(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringMatching(`[a-z0-9]([a-z0-9-]{0,6}[a-z0-9])?(\.[a-z]{2,4})?`)
		path := rapid.StringMatching(`[ -~é\\]{1,12}`).Filter(func(s string) bool { return strings.Trim(s, " ") != "" })
		o := config.UpOptions{
			Domains: rapid.SliceOfNDistinct(rapid.Custom(func(t *rapid.T) string {
				return rapid.SampledFrom([]string{"", "*."}).Draw(t, "wildcard") + name.Draw(t, "domain") + rapid.SampledFrom([]string{".example.com", ".bücher.example", ".例え.テスト"}).Draw(t, "below")
			}), 1, 3, rapid.ID).Draw(t, "domains"),
			To: rapid.SliceOfNDistinct(rapid.Custom(func(t *rapid.T) string {
				host := rapid.SampledFrom([]string{"127.0.0.1", "[::1]", "localhost", "null", "chat.internal", "no"}).Draw(t, "host")
				return host + rapid.SampledFrom([]string{":1", ":8080", ":65535"}).Draw(t, "port")
			}), 1, 4, rapid.ID).Draw(t, "to"),
			Addresses: rapid.SampledFrom([][]netip.Addr{nil, {netip.MustParseAddr("127.0.0.1")}, {netip.MustParseAddr("::1"), netip.MustParseAddr("127.0.0.1")}}).Draw(t, "addresses"),
			HTTPPort:  rapid.SampledFrom([]uint16{0, 8080}).Draw(t, "http"),
			HTTPSPort: rapid.SampledFrom([]uint16{0, 8443}).Draw(t, "https"),
		}
		switch rapid.IntRange(0, 2).Draw(t, "source") {
		case 1:
			o.Certificate, o.Key = path.Draw(t, "certificate"), path.Draw(t, "key")
		case 2:
			o.Certbot = path.Draw(t, "certbot")
		}
		data, err := config.Up(o)
		if err != nil {
			t.Fatal(err)
		}
		f, err := config.Parse("albion.yaml", data)
		if err != nil {
			t.Fatalf("%v\n%s", err, data)
		}
		w := newWorld()
		for _, file := range config.Files(f) {
			w.files[file] = "pem"
		}
		state, _, err := w.run(f, nil)
		if err != nil {
			t.Fatalf("%v\n%s", err, data)
		}
		if o.Certificate == "" && o.Certbot == "" {
			for c := range state.Certificates.All() {
				if !slices.Equal(c.Domains, o.Domains) {
					t.Fatalf("domains %q became %q", o.Domains, c.Domains)
				}
			}
		}
		for g := range state.TargetGroups.All() {
			var to []string
			for _, target := range g.Targets {
				to = append(to, target.String())
			}
			if !slices.Equal(to, o.To) {
				t.Fatalf("targets %q became %q", o.To, to)
			}
		}
	})
}
