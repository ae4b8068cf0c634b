package awsclient

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/logging"
)

// Config says as whom and where to ask. Its zero value leaves both to the
// environment.
type Config struct {
	Region  string // "": the environment's, or us-east-1
	Profile string // of ~/.aws; "": the environment's
}

// Session asks AWS. It may be used by many at once.
type Session struct {
	cfg  aws.Config
	turn chan struct{} // held by who reads and replaces a record set
}

// Load finds credentials and region as every AWS tool does. Whether they are good
// shows at the first question.
func Load(ctx context.Context, c Config) (*Session, error) {
	// The SDK warns on standard error, in a form of its own, of what users cannot
	// change, between the lines of a log that programs read. What fails is an Error.
	options := []func(*config.LoadOptions) error{config.WithLogger(logging.Nop{})}
	if c.Region != "" {
		options = append(options, config.WithRegion(c.Region))
	}
	if c.Profile != "" {
		options = append(options, config.WithSharedConfigProfile(c.Profile))
	}
	cfg, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return nil, fmt.Errorf("awsclient: read the AWS configuration: %w", err)
	}
	cfg.Region = cmp.Or(cfg.Region, "us-east-1") // where global services such as Route 53 sign
	return &Session{cfg: cfg, turn: make(chan struct{}, 1)}, nil
}

// Region is where services are asked that are not global.
func (s *Session) Region() string { return s.cfg.Region }

// Error is what AWS answered, or why it could not be asked.
type Error struct {
	Doing  string // "list the hosted zones"
	Code   string // AWS's own, such as AccessDenied; "" when AWS was not reached
	Detail string // AWS's words, or the system's
	Advice string // what to do next; ""
}

func (e *Error) Error() string {
	text := "AWS: " + e.Doing
	if e.Code != "" {
		text += ": " + e.Code
	}
	if e.Detail != "" {
		text += ": " + e.Detail
	}
	if e.Advice != "" {
		text += "; " + e.Advice
	}
	return text
}

// explain shows an error of the SDK by what matters: AWS's code and words.
func explain(doing string, err error) error {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	e := &Error{Doing: doing, Detail: plain(err.Error())}
	var api smithy.APIError
	if errors.As(err, &api) {
		e.Code, e.Detail = api.ErrorCode(), plain(api.ErrorMessage())
	}
	switch {
	case strings.Contains(err.Error(), "credentials"):
		e.Detail = "no credentials were found, or they could not be refreshed"
		e.Advice = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, name a profile of ~/.aws with AWS_PROFILE, or give the machine a role"
	case strings.HasPrefix(e.Code, "AccessDenied"), e.Code == "UnauthorizedOperation":
		e.Advice = "allow it in the IAM policy of these credentials"
	case e.Code == "ExpiredToken", e.Code == "InvalidClientTokenId", e.Code == "SignatureDoesNotMatch":
		e.Advice = "look at the credentials, and at this machine's clock"
	}
	return e
}

// code is AWS's code of an error; "" when it has none.
func code(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}

// plain bounds words that came from outside and makes them one line.
func plain(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
	if len(s) > 500 {
		s = strings.ToValidUTF8(s[:500], "") + "…"
	}
	return strings.TrimSpace(s)
}
