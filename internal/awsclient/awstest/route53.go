package awstest

import (
	"fmt"
	"html"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

const route53 = "/2013-04-01/hostedzone"

// Zone makes a hosted zone and returns its id.
func (s *Server) Zone(name string, private bool) string {
	s.t.Helper()
	vpc := ""
	if private {
		vpc = "<VPC><VPCRegion>eu-central-1</VPCRegion><VPCId>vpc-1</VPCId></VPC>"
	}
	text := s.send("POST", route53, fmt.Sprintf(`<?xml version="1.0"?>
<CreateHostedZoneRequest xmlns="https://route53.amazonaws.com/doc/2013-04-01/"><Name>%s</Name>%s<CallerReference>%s-%v</CallerReference>
<HostedZoneConfig><Comment>test</Comment><PrivateZone>%v</PrivateZone></HostedZoneConfig></CreateHostedZoneRequest>`, name, vpc, name, private, private))
	m := regexp.MustCompile(`<Id>/hostedzone/(\w+)</Id>`).FindStringSubmatch(text)
	if m == nil {
		s.t.Fatalf("no zone in %s", text)
	}
	return m[1]
}

// TXT returns the values of a TXT record set, sorted, as Route 53 writes them.
func (s *Server) TXT(zone, name string) []string {
	s.t.Helper()
	text := s.send("GET", route53+"/"+zone+"/rrset?type=TXT&maxitems=1&name="+name+".", "")
	var all []string
	for _, set := range strings.SplitAfter(text, "</ResourceRecordSet>") {
		if !strings.Contains(set, "<Name>"+name+".</Name>") || !strings.Contains(set, "<Type>TXT</Type>") {
			continue
		}
		for _, m := range regexp.MustCompile(`<Value>([^<]*)</Value>`).FindAllStringSubmatch(set, -1) {
			all = append(all, html.UnescapeString(m[1]))
		}
	}
	slices.Sort(all)
	return all
}

// send asks Route 53's API and returns the document.
func (s *Server) send(method, path, body string) string {
	s.t.Helper()
	request, err := http.NewRequestWithContext(s.t.Context(), method, s.Endpoint+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	// Which service is meant, moto reads from the signature's scope, which it does not check.
	request.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260101/us-east-1/route53/aws4_request, SignedHeaders=host, Signature=x")
	request.Close = true
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode >= 300 {
		s.t.Fatalf("%s %s: %s %s %v", method, path, response.Status, text, err)
	}
	return string(text)
}
