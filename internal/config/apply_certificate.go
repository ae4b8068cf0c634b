package config

import (
	"bytes"
	"encoding/pem"

	"github.com/albion-lb/albion"
)

func (a *applier) certificate(c certificate) {
	old := a.old.certificates[c.name]
	// Even when it cannot be made, what refers to it is not wrong as well.
	a.certificates[c.name] = ""
	var err error
	var at place
	if c.requests() {
		at = c.at.find("issuer")
		err = a.requested(c)
	} else if len(c.domains) > 0 {
		at = c.at.find("domains")
		err = a.local(c, old)
	} else {
		at = c.at.find(c.files[0].key)
		err = a.imported(c, old)
	}
	if err != nil {
		p := a.f.problem(at, "certificate %s: %s", quote(c.name), err)
		p.Err = err
		a.found = append(a.found, p)
		return
	}
	now := a.certificateNamed(c.name)
	if now == nil { // its files could not be read, and that has been said
		return
	}
	if now.Origin != albion.OriginFile {
		mine := *now
		mine.Origin = albion.OriginFile
		albion.Put(a.d, &mine)
		now = &mine
	}
	a.declare(albion.KindCertificate, string(now.ARN), c.at)
	a.certificates[c.name] = now.ARN
	defer a.deliver(c, now.ARN)
	if now != old {
		base := &albion.Certificate{Origin: albion.OriginFile}
		if old != nil {
			base = old
		}
		a.say(verb(old), albion.KindCertificate, c.name, diff(certificateFacts(base), certificateFacts(now)))
	}
}

func (a *applier) certificateNamed(name string) *albion.Certificate {
	c, _ := a.d.CertificateNamed(name)
	return c
}

// local makes a certificate unless there is one for these names: when it is
// renewed is not the file's to say.
func (a *applier) local(c certificate, old *albion.Certificate) error {
	if old != nil && old.Issuer == albion.Local && sameDomains(old.Domains, c.domains) {
		return nil
	}
	return a.env.Local(a.d, c.name, c.domains)
}

// imported imports a certificate when its files say something new. What they
// say is seen in a Draft that is thrown away, so that reading the same files
// again changes nothing.
func (a *applier) imported(c certificate, old *albion.Certificate) error {
	files := map[string][]byte{}
	readable := true
	for _, s := range c.files {
		data, err := a.env.ReadFile(s.path)
		if err != nil {
			p := a.f.problem(c.at.find(s.key), "certificate %s: %s", quote(c.name), err)
			p.Err = err
			a.found, readable = append(a.found, p), false
			continue
		}
		files[s.path] = data
	}
	if !readable {
		return nil
	}
	if old != nil {
		state := a.d.State
		trial := albion.NewDraft(&state)
		if err := a.env.Import(trial, c.name, files); err != nil {
			// One that has run out since it was imported is no reason to refuse
			// everything else that the file says.
			if a.env.Now.After(old.NotAfter) && holdsLeaf(files, old.Chain) {
				return nil
			}
			return err
		}
		if sameContents(&a.d.State, &trial.State, string(old.ARN)) {
			return nil
		}
	}
	return a.env.Import(a.d, c.name, files)
}

// holdsLeaf says whether the first certificate of a chain is in the files.
func holdsLeaf(files map[string][]byte, chain string) bool {
	leaf, _ := pem.Decode([]byte(chain))
	if leaf == nil {
		return false
	}
	for _, data := range files {
		for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
			if bytes.Equal(block.Bytes, leaf.Bytes) {
				return true
			}
		}
	}
	return false
}

// sameContents says whether two States hold the same chain and key for a
// certificate.
func sameContents(a, b *albion.State, arn string) bool {
	before, ok := a.Certificates.Get(arn)
	after, ok2 := b.Certificates.Get(arn)
	if !ok || !ok2 || before.Chain != after.Chain || before.Issuer != after.Issuer {
		return false
	}
	key, ok := a.Keys.Get(arn)
	key2, ok2 := b.Keys.Get(arn)
	return ok && ok2 && bytes.Equal(key.Secret, key2.Secret)
}
