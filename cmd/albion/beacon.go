package main

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// beacon makes tokens, and knows the answer to each that it has made without
// keeping any. Whoever asks a server for a token through the name and gets the
// answer has reached this process. Nobody else can make a token that is answered.
type beacon struct{ key [32]byte }

func newBeacon() (*beacon, error) {
	b := new(beacon)
	_, err := rand.Read(b.key[:])
	return b, err
}

const beaconPrefix = "albion-"

// token is a fresh one, and what is answered to it.
func (b *beacon) token() (token, answer string) {
	word := beaconPrefix + strings.ToLower(rand.Text())
	token = word + "-" + b.mac("token", word)
	return token, token + "." + b.mac("answer", token)
}

// answer is what to say to a token; ok is false when it was made elsewhere.
func (b *beacon) answer(token string) (answer string, ok bool) {
	const most = 100
	i := strings.LastIndexByte(token, '-')
	if len(token) > most || i < 0 || !strings.HasPrefix(token, beaconPrefix) {
		return "", false
	}
	if !hmac.Equal([]byte(token[i+1:]), []byte(b.mac("token", token[:i]))) {
		return "", false
	}
	return token + "." + b.mac("answer", token), true
}

// mac is a tag of a text, for one purpose.
func (b *beacon) mac(purpose, text string) string {
	h := hmac.New(sha256.New, b.key[:])
	h.Write([]byte(purpose + "\x00" + text)) // a hash takes everything
	return hex.EncodeToString(h.Sum(nil)[:16])
}
