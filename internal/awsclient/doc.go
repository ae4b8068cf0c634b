// Package awsclient asks AWS itself, with the credentials and the region that
// every AWS tool finds: the environment, ~/.aws, a web identity, or the role of
// the machine. AWS_ENDPOINT_URL and AWS_ENDPOINT_URL_ROUTE_53 lead elsewhere.
//
//	session, err := awsclient.Load(ctx, awsclient.Config{})
//	zones, err := session.Zones(ctx, "example.com")
//	change, err := session.AddTXT(ctx, zones[0].ID, awsclient.TXT{Name: name, Value: value})
//
// It is the only package that names the AWS SDK, and shows none of its types. It
// decides nothing.
package awsclient
