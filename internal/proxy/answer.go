package proxy

import (
	"fmt"
	"strconv"
	"time"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/wire/h1"
)

// answer is one that the balancer gives by itself.
type answer struct {
	status      int
	contentType string
	body        string
	location    []byte
}

// errorAnswer is a short page with the status, as ALB sends it.
func errorAnswer(status int) answer {
	line := fmt.Sprintf("%d %s", status, h1.StatusText(status))
	return answer{
		status:      status,
		contentType: "text/html",
		body:        "<html>\r\n<head><title>" + line + "</title></head>\r\n<body>\r\n<center><h1>" + line + "</h1></center>\r\n</body>\r\n</html>\r\n",
	}
}

func fixedAnswer(f *albion.FixedResponse) answer {
	contentType := f.ContentType
	if contentType == "" {
		contentType = "text/plain"
	}
	return answer{status: f.Status, contentType: contentType + "; charset=utf-8", body: f.Body}
}

// manner is how an answer of our own has to be given.
type manner struct {
	head   bool // to a HEAD request: without its body
	keep   bool // the connection goes on
	http10 bool // the client speaks HTTP/1.0
}

// appendAnswer appends the whole answer.
//
// Unlike AWS, which calls itself awselb/2.0, the Server field is our own name.
func appendAnswer(dst []byte, a answer, now time.Time, m manner) []byte {
	dst = h1.AppendStatusLine(dst, a.status, nil)
	dst = append(dst, "Server: albion\r\nDate: "...)
	dst = now.UTC().AppendFormat(dst, "Mon, 02 Jan 2006 15:04:05 GMT")
	if a.location != nil {
		dst = append(dst, "\r\nLocation: "...)
		dst = append(dst, a.location...)
	}
	bodiless := a.status == 204 || a.status == 304
	if !bodiless {
		if a.body != "" {
			dst = append(append(dst, "\r\nContent-Type: "...), a.contentType...)
		}
		dst = append(dst, "\r\nContent-Length: "...)
		dst = strconv.AppendInt(dst, int64(len(a.body)), 10)
	}
	switch {
	case !m.keep:
		dst = append(dst, "\r\nConnection: close"...)
	case m.http10:
		dst = append(dst, "\r\nConnection: keep-alive"...)
	}
	dst = append(dst, "\r\n\r\n"...)
	if m.head || bodiless {
		return dst
	}
	return append(dst, a.body...)
}
