package awsclient_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/albion-lb/albion/internal/awsclient"
)

// A machine in EC2 without credentials: the SDK asks the metadata service, and has
// something to say of its age. A log in JSON stays one.
func TestTheSDKWritesNothingOfItsOwn(t *testing.T) {
	var asked atomic.Int32
	metadata := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if r.Method == http.MethodPut { // the token of the service's second version
			http.Error(w, "no", http.StatusForbidden)
			return
		}
		http.NotFound(w, r)
	}))
	defer metadata.Close()
	empty := filepath.Join(t.TempDir(), "none")
	for name, value := range map[string]string{
		"AWS_EC2_METADATA_SERVICE_ENDPOINT": metadata.URL, "AWS_EC2_METADATA_DISABLED": "false", "AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "",
		"AWS_PROFILE": "", "AWS_CONFIG_FILE": empty, "AWS_SHARED_CREDENTIALS_FILE": empty,
	} {
		t.Setenv(name, value)
	}
	said, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	defer said.Close()
	usual := os.Stderr
	os.Stderr = said
	s, err := awsclient.Load(t.Context(), awsclient.Config{})
	os.Stderr = usual
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Zones(t.Context(), "example.com"); err == nil || asked.Load() == 0 {
		t.Errorf("%v after %d questions", err, asked.Load())
	}
	if text, err := os.ReadFile(said.Name()); err != nil || len(text) > 0 {
		t.Errorf("%s%v", text, err)
	}
}
