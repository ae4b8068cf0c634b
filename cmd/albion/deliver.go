package main

import (
	"context"
	"errors"
	"time"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/acm"
	"github.com/albion-lb/albion/internal/awsclient"
	"github.com/albion-lb/albion/internal/certbot"
	"github.com/albion-lb/albion/internal/deliver"
)

// deliver brings certificates to where the State wants them.
func (s *server) deliver(ctx context.Context) error {
	changed, end := s.changes(ctx)
	defer end()
	runner := deliver.Runner{
		State: s.store.State, Changed: changed, Update: s.store.Update, Now: time.Now, After: time.After, Log: s.log,
		To: map[albion.DeliveryKind]deliver.Place{
			albion.Live: func(_ context.Context, v *albion.Delivery, cert *albion.Certificate, files acm.Files) error {
				_, err := certbot.WriteLive(v.To, cert.Name, certbot.PEM(files))
				return err
			},
			albion.InACM: func(ctx context.Context, v *albion.Delivery, _ *albion.Certificate, files acm.Files) error {
				return importIntoACM(ctx, v.To, files)
			},
		},
	}
	return runner.Run(ctx)
}

// atACM opens a session where a certificate in AWS is.
func atACM(ctx context.Context, arn string) (*awsclient.Session, error) {
	region, err := albion.ACMRegion(arn)
	if err != nil {
		return nil, err
	}
	return awsclient.Load(ctx, awsclient.Config{Region: region})
}

// importIntoACM replaces the contents of a certificate in AWS.
func importIntoACM(ctx context.Context, arn string, files acm.Files) error {
	session, err := atACM(ctx, arn)
	if err != nil {
		return err
	}
	return awsSetback(session.ImportACM(ctx, arn, forACM(files)))
}

// forACM is a certificate as ACM takes it: the leaf and what follows it apart.
func forACM(files acm.Files) awsclient.ACMContents {
	return awsclient.ACMContents{Certificate: files.Cert, Chain: files.Chain, Key: files.Privkey}
}

// awsSetback says what AWS did as other setbacks are said.
func awsSetback(err error) error {
	var e *awsclient.Error
	if !errors.As(err, &e) {
		return err
	}
	sentence := "AWS refused to " + e.Doing
	kind := albion.SetbackRefused
	if e.Code == "" {
		sentence, kind = "AWS could not be asked to "+e.Doing, albion.SetbackUnavailable
	}
	words := e.Detail
	if e.Code != "" {
		words = e.Code + ": " + e.Detail
	}
	return &albion.Setback{Kind: kind, Sentence: sentence, Advice: e.Advice, Words: words}
}
