package albion_test

import (
	"slices"
	"strings"
	"testing"
	"unicode"

	"pgregory.net/rapid"

	"github.com/albion-lb/albion"
)

// TestEveryErrorIsFitToBeShown validates States full of whatever somebody may
// send: no panic, every error says what it is about, and no message can break a
// line of a log or carry a secret.
func TestEveryErrorIsFitToBeShown(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := albion.NewDraft(&albion.State{})
		hostile := rapid.SampledFrom([]string{"\r\n", "\x1b[31m", "\x00", "é", "#{", "%"}).Draw(t, "hostile")
		for range rapid.IntRange(1, 12).Draw(t, "objects") {
			_, put := everything(t)
			put(d)
		}
		parent := albion.ARN("a" + hostile)
		secret := "the-secret" + strings.Repeat("x", 65<<10)
		albion.Put(d, &albion.Key{Name: string(parent), Secret: albion.Secret(secret)})
		albion.Put(d, &albion.LoadBalancer{ARN: parent, Name: hostile, SecurityGroups: []string{hostile}})
		albion.Put(d, &albion.Listener{ARN: parent, LoadBalancer: parent, Protocol: albion.Protocol(hostile), SSLPolicy: hostile, Certificates: []albion.ARN{parent}})
		albion.Put(d, &albion.Rule{ARN: parent, Listener: parent, Action: anyAction(t, []string{hostile}), Conditions: []albion.Condition{
			{Field: albion.ConditionField(hostile), Values: []string{hostile}}, {Field: albion.ConditionField(hostile)},
			{Field: albion.HostHeader, Values: []string{hostile}}, {Field: albion.PathPattern, Values: []string{hostile}},
		}})
		err := albion.Validate(&d.State)
		for _, e := range all(t, err) {
			if e.Code == "" || !slices.Contains(albion.Kinds(), e.Kind) || e.Message == "" {
				t.Fatalf("%+v", e)
			}
			if _, ok, _ := d.Encode(albion.Change{Kind: e.Kind, ID: e.ID}); !ok {
				t.Fatalf("%q speaks of %s %q, which is not there", e.Message, e.Kind, e.ID)
			}
			if strings.ContainsFunc(e.Message, unicode.IsControl) || len(e.Message) > 2048 || strings.Contains(e.Message, "the-secret") {
				t.Fatalf("%q", e.Message)
			}
		}
		if again := albion.Validate(&d.State); again.Error() != err.Error() {
			t.Fatalf("%v\nand then\n%v", err, again)
		}
	})
}
