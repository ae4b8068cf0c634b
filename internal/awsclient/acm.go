package awsclient

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/acm"
)

// ACMCertificate is a certificate in AWS Certificate Manager.
type ACMCertificate struct {
	ARN          string
	Domain       string
	Names        []string
	Imported     bool   // and not issued by Amazon, whose certificates nobody can replace
	Status       string // ISSUED, EXPIRED, …
	KeyAlgorithm string // RSA_2048, EC_prime256v1, …
	Serial       string // hexadecimal with colons
	NotAfter     time.Time
	InUseBy      []string // ARNs
}

// ACMContents is what is imported, in PEM.
type ACMContents struct {
	Certificate []byte // the leaf, alone
	Chain       []byte // what leads from it to the root, without the leaf; nil: nothing
	Key         []byte
}

// DescribeACM reads the certificate with this ARN, in the Session's region.
func (s *Session) DescribeACM(ctx context.Context, arn string) (ACMCertificate, error) {
	out, err := acm.NewFromConfig(s.cfg).DescribeCertificate(ctx, &acm.DescribeCertificateInput{CertificateArn: aws.String(arn)})
	if err != nil {
		return ACMCertificate{}, s.explainACM("look at the certificate in ACM (acm:DescribeCertificate)", err)
	}
	c := out.Certificate
	// ACM writes RSA-2048 in answers, and RSA_2048 where one asks.
	algorithm := strings.ReplaceAll(string(c.KeyAlgorithm), "-", "_")
	return ACMCertificate{
		ARN: aws.ToString(c.CertificateArn), Domain: aws.ToString(c.DomainName), Names: c.SubjectAlternativeNames,
		Imported: c.Type == "IMPORTED", Status: string(c.Status), KeyAlgorithm: algorithm, Serial: strings.ToLower(aws.ToString(c.Serial)),
		NotAfter: aws.ToTime(c.NotAfter), InUseBy: slices.Clone(c.InUseBy),
	}, nil
}

// ImportACM replaces the contents of the certificate with this ARN, which keeps it
// and so stays with the load balancers that show it.
func (s *Session) ImportACM(ctx context.Context, arn string, contents ACMContents) error {
	_, err := acm.NewFromConfig(s.cfg).ImportCertificate(ctx, &acm.ImportCertificateInput{
		CertificateArn: aws.String(arn), Certificate: contents.Certificate, CertificateChain: contents.Chain, PrivateKey: contents.Key,
	})
	return s.explainACM("import into ACM (acm:ImportCertificate)", err)
}

// explainACM adds what ACM's codes mean here.
func (s *Session) explainACM(doing string, err error) error {
	err = explain(doing, err)
	var e *Error
	if !errors.As(err, &e) {
		return err
	}
	switch {
	case e.Code == "ResourceNotFoundException":
		e.Advice = "there is no such certificate in " + s.Region() + " for these credentials: look at the ARN, and whose account the credentials are (aws sts get-caller-identity)"
	case e.Code == "ValidationException" && strings.Contains(e.Detail, "key"):
		e.Advice = "ACM keeps the type and size of a certificate's key at every import: request the certificate with the same kind of key (--key rsa or ecdsa), or import it once as a new one"
	case e.Code == "ValidationException":
		e.Advice = "what ACM takes is on its page \"Prerequisites for importing certificates\""
	case e.Code == "LimitExceededException", e.Code == "ThrottlingException":
		e.Advice = "ACM's quota is used up for now; it is tried again"
	case e.Code == "UnrecognizedClientException", e.Code == "InvalidSignatureException", e.Code == "ExpiredTokenException", e.Code == "IncompleteSignatureException":
		e.Advice = "look at the credentials, and at this machine's clock"
	case e.Code == "" && e.Advice == "":
		e.Advice = "AWS was not reached: look at the network and at the region " + s.Region()
	}
	return e
}
