package sockjs_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/albion-lb/albion/sockjs"
)

// A service that shouts back, and a client without WebSockets.
func Example() {
	shout := sockjs.New("/shout", sockjs.Options{}, func(s *sockjs.Session) {
		for {
			msg, err := s.Recv(context.Background())
			if err != nil || s.Send(strings.ToUpper(msg)) != nil {
				return
			}
		}
	})
	web := httptest.NewServer(shout)
	defer web.Close()

	post := func(endpoint, body string) {
		resp, err := http.Post(web.URL+"/shout/000/mysession/"+endpoint, "text/plain", strings.NewReader(body))
		if err != nil {
			fmt.Println(err)
			return
		}
		defer resp.Body.Close()
		frame, err := io.ReadAll(resp.Body)
		fmt.Printf("%s: %d %q %v\n", endpoint, resp.StatusCode, frame, err)
	}
	post("xhr", "")
	post("xhr_send", `["hello"]`)
	post("xhr", "")

	if err := shout.Shutdown(context.Background()); err != nil {
		fmt.Println(err)
	}
	post("xhr", "")
	// Output:
	// xhr: 200 "o\n" <nil>
	// xhr_send: 204 "" <nil>
	// xhr: 200 "a[\"HELLO\"]\n" <nil>
	// xhr: 200 "c[3000,\"Go away!\"]\n" <nil>
}
