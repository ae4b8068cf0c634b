package admin

import (
	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/acm"
	"github.com/albion-lb/albion/internal/config"
)

// Authority is a CA and what it wants to know, on its way from a command.
type Authority struct {
	Issuer  string // a name, or the https URL of a directory
	Roots   string `json:",omitempty"` // PEM; who vouches for the CA's server
	Profile string `json:",omitempty"`
	KeyID   string `json:",omitempty"` // identifier of the account elsewhere that ours is bound to
	MAC     string `json:",omitempty"` // its key, a secret: it is sealed where it arrives
}

// fallbacks are the CAs of a command to fall back on.
func fallbacks(all []Authority) []acm.Choice {
	var out []acm.Choice
	for _, a := range all {
		out = append(out, acm.Choice{Issuer: a.Issuer, Roots: a.Roots, Profile: a.Profile, KeyID: a.KeyID, MAC: mac(a.MAC)})
	}
	return out
}

// mac is a key; nil when there is none.
func mac(text string) albion.Secret {
	if text == "" {
		return nil
	}
	return albion.Secret(text)
}

// choices are the CAs of a file to fall back on.
func choices(all []config.Authority) []acm.Choice {
	var out []acm.Choice
	for _, a := range all {
		out = append(out, acm.Choice(a))
	}
	return out
}
