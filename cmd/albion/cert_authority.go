package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/albion-lb/albion/internal/acm"
	"github.com/albion-lb/albion/internal/admin"
)

// Variables of the environment that hold what should not be on a command line.
const (
	keyIDVariable = "ALBION_EAB_KID"
	macVariable   = "ALBION_EAB_HMAC"
)

// bindingOptions is what `cert request` is told of accounts and of other CAs.
type bindingOptions struct {
	keyID, mac string
	pairs      []string // [CA=]KID:HMAC
	fallbacks  []string
}

func (o *bindingOptions) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&o.keyID, "eab-kid", "", "for a CA that wants it (zerossl, google): the identifier that its web page shows (default $"+keyIDVariable+")")
	flags.StringVar(&o.mac, "eab-hmac", "", "and the key: @FILE, - for the input, or the key itself, which others may then see (default $"+macVariable+")")
	flags.StringArrayVar(&o.pairs, "eab", nil, "both as [CA=]KID:HMAC, where HMAC is as for --eab-hmac; repeated for several CAs")
	flags.StringArrayVar(&o.fallbacks, "ca-fallback", nil, "CA to ask while the first one cannot issue; may be repeated")
	cmd.RegisterFlagCompletionFunc("ca-fallback", cobra.FixedCompletions(acm.Issuers(), cobra.ShellCompDirectiveNoFileComp))
	for _, name := range []string{"eab", "eab-kid", "eab-hmac"} {
		cmd.RegisterFlagCompletionFunc(name, cobra.NoFileCompletions)
	}
}

// complete puts what was told into a request. in is read at most once.
func (o *bindingOptions) complete(r *admin.CertificateRequest, in io.Reader) error {
	for _, ca := range o.fallbacks {
		if _, err := acm.Directory(ca); err != nil {
			return fmt.Errorf("--ca-fallback: %w", err)
		}
		r.Fallbacks = append(r.Fallbacks, admin.Authority{Issuer: ca})
	}
	secrets := secretReader{in: in}
	var err error
	r.KeyID = o.keyID
	if r.MAC, err = secrets.read(o.mac); err != nil {
		return fmt.Errorf("--eab-hmac: %w", err)
	}
	if o.keyID == "" && o.mac == "" && len(o.pairs) == 0 {
		r.KeyID, r.MAC = os.Getenv(keyIDVariable), os.Getenv(macVariable)
	}
	for _, pair := range o.pairs {
		if err := o.pair(r, pair, &secrets); err != nil {
			return fmt.Errorf("--eab: %w", err)
		}
	}
	return nil
}

// pair puts one [CA=]KID:HMAC where it belongs. What it holds is not repeated in
// a message.
func (o *bindingOptions) pair(r *admin.CertificateRequest, text string, secrets *secretReader) error {
	keyID, mac := &r.KeyID, &r.MAC
	for i := range r.Fallbacks {
		if rest, ok := strings.CutPrefix(text, r.Fallbacks[i].Issuer+"="); ok {
			text, keyID, mac = rest, &r.Fallbacks[i].KeyID, &r.Fallbacks[i].MAC
			break
		}
	}
	text = strings.TrimPrefix(text, r.Issuer+"=")
	kid, value, ok := strings.Cut(text, ":")
	switch {
	case !ok || kid == "" || value == "":
		return errors.New("expected KID:HMAC, or CA=KID:HMAC for a CA that is named by --ca or --ca-fallback")
	case *keyID != "":
		return fmt.Errorf("the identifier for one CA is given twice, %q and %q", *keyID, kid)
	}
	var err error
	*keyID = kid
	*mac, err = secrets.read(value)
	return err
}

// secretReader reads secrets from where a command line says they are.
type secretReader struct {
	in   io.Reader
	used bool
}

const maxSecretFile = 64 << 10

func (s *secretReader) read(where string) (string, error) {
	name, file := strings.CutPrefix(where, "@")
	if where != "-" && !file {
		return where, nil
	}
	var data []byte
	var err error
	if file {
		data, err = readSecret(name)
	} else if s.used {
		err = errors.New("the input holds one secret only: give the other one as @FILE")
	} else {
		s.used = true
		data, err = io.ReadAll(io.LimitReader(s.in, maxSecretFile))
	}
	text := strings.TrimSpace(string(data))
	if err == nil && text == "" {
		err = errors.New("there is no secret in it")
	}
	return text, err
}

// readSecret reads a file that holds a secret.
func readSecret(name string) ([]byte, error) {
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s does not exist: the secret is read from it", name)
	}
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(f, maxSecretFile+1))
	if len(data) > maxSecretFile {
		err = fmt.Errorf("%s is larger than %d bytes: that is no secret", name, maxSecretFile)
	}
	return data, errors.Join(err, f.Close())
}
