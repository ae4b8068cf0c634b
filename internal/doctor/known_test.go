package doctor_test

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/doctor"
)

func TestWhatAStateTells(t *testing.T) {
	d := albion.NewDraft(&albion.State{})
	own := netip.MustParseAddr("192.0.2.7")
	albion.Put(d, &albion.NameService{Addresses: []netip.Addr{own}})
	request := &albion.Request{Directory: "https://ca.example/directory", Roots: "PEM", Fallbacks: []albion.CA{{Directory: "https://other.example/"}}}
	albion.Put(d, &albion.Certificate{ARN: "arn:1", Name: "chat", Domains: []string{"chat.example.com"}, Serial: "0a:0b", Pending: true, Request: request, NotAfter: time.Unix(9, 0)})
	albion.Put(d, &albion.Certificate{ARN: "arn:2", Name: "www", Request: request})
	albion.Put(d, &albion.Issuance{Certificate: "arn:1", Last: &albion.Setback{Sentence: "port 80 is closed"}})
	albion.Put(d, &albion.Registration{ID: "a", Directory: request.Directory, URL: "https://ca.example/account/1"})
	albion.Put(d, &albion.Registration{ID: "b", Directory: "https://other.example/", URL: "https://other.example/2"})
	albion.Put(d, &albion.Listener{ARN: "arn:l443", Protocol: albion.HTTPS, Port: 443})
	albion.Put(d, &albion.Listener{ARN: "arn:l80", Protocol: albion.HTTP, Port: 80})
	albion.Put(d, &albion.TargetGroup{ARN: "arn:g", Name: "chat", Targets: []albion.Target{{Host: "10.0.0.5", Port: 8080}, {Host: "::1", Port: 81}}})
	albion.Put(d, &albion.TargetGroup{ARN: "arn:h", Name: "same", Targets: []albion.Target{{Host: "10.0.0.5", Port: 8080}}})
	k := doctor.Know(&d.State, true, albion.Seen{Listeners: []albion.ListenerSeen{{Listener: "arn:l443", Problem: "in use"}}})
	if !k.Running || !slices.Equal(k.Addresses, []netip.Addr{own}) || !slices.Equal(k.Targets, []string{"10.0.0.5:8080", "[::1]:81"}) {
		t.Errorf("%+v", k)
	}
	if want := []doctor.CA{{Directory: request.Directory, Roots: "PEM", Account: "https://ca.example/account/1"}, {Directory: "https://other.example/", Account: "https://other.example/2"}}; !slices.Equal(k.CAs, want) {
		t.Errorf("CAs are %+v", k.CAs)
	}
	if want := []doctor.Listener{{Port: 80}, {Port: 443, Secure: true, Problem: "in use"}}; !slices.Equal(k.Listeners, want) {
		t.Errorf("listeners are %+v", k.Listeners)
	}
	if c := k.Certificates[0]; c.Name != "chat" || !c.Pending || c.Problem != "port 80 is closed" || c.Serial != "0a:0b" {
		t.Errorf("%+v", c)
	}
}
