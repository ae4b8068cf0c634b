package resolve

import "github.com/miekg/dns"

// Parse reads an answer to a question as it would come from a server, and shows
// all of it.
func Parse(name, recordType string, id uint16, raw []byte) (Answer, error) {
	q := question{name: name, recordType: recordType}
	m, err := q.message(true)
	if err != nil {
		return Answer{}, err
	}
	m.Id = id
	got, err := parse(m, raw)
	if err != nil {
		return Answer{}, err
	}
	apex(got, plain(name))
	return judge(got, q)
}

// Packed is an answer with these records, in the form of a zone file.
func Packed(name, recordType string, id uint16, lines ...string) ([]byte, error) {
	m, err := question{name: name, recordType: recordType}.message(false)
	if err != nil {
		return nil, err
	}
	m.Id, m.Response = id, true
	for _, line := range lines {
		rr, err := dns.NewRR(line)
		if err != nil {
			return nil, err
		}
		m.Answer = append(m.Answer, rr)
	}
	return m.Pack()
}

// Escaped and Text write and read the string of a TXT record.
func Escaped(value string) string { return escaped(value) }
func Text(parts ...string) string { return text(parts) }

// ParseResolvConf reads a resolv.conf.
func ParseResolvConf(raw []byte) []string { return parseResolvConf(raw) }
