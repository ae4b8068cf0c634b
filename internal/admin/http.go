package admin

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/doctor"
)

// maxRequest bounds a request's body, in bytes: a configuration file of 4 MiB,
// or PEM, in JSON's base64.
const maxRequest = 8 << 20

// Operations answers the commands. It must only be served where nobody but the
// operator can connect.
func (s *Service) Operations() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/apply", answer(s.Apply))
	mux.HandleFunc("POST /v1/certificates", answer(s.Import))
	mux.HandleFunc("POST /v1/certificates/request", answer(s.Request))
	mux.HandleFunc("POST /v1/certificates/list", answer(func(context.Context, struct{}) (*[]Certificate, error) {
		all := s.Certificates()
		return &all, nil
	}))
	mux.HandleFunc("POST /v1/certificates/show", answer(func(_ context.Context, in named) (*Certificate, error) {
		return s.Certificate(in.Name)
	}))
	mux.HandleFunc("POST /v1/certificates/export", answer(func(_ context.Context, in named) (*exported, error) {
		files, err := s.Export(in.Name)
		return (*exported)(files), err
	}))
	mux.HandleFunc("POST /v1/certificates/delete", answer(func(ctx context.Context, in named) (*Certificate, error) {
		return s.DeleteCertificate(ctx, in.Name)
	}))
	mux.HandleFunc("POST /v1/status", answer(func(context.Context, struct{}) (*Status, error) {
		status := s.Status()
		return &status, nil
	}))
	mux.HandleFunc("POST /v1/known", answer(func(context.Context, struct{}) (*doctor.Known, error) { return s.Known(), nil }))
	s.zoneOperations(mux)
	s.hookOperations(mux)
	s.adoptOperations(mux)
	s.deliveryOperations(mux)
	return mux
}

type named struct{ Name string }

// failure is how an error travels.
type failure struct {
	Code    albion.Code
	Message string
}

// answer turns an operation into a handler: JSON in, JSON out, errors with a
// code, everything once and the same for all.
func answer[In, Out any](operation func(context.Context, In) (*Out, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var in In
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
		if err == nil {
			err = json.Unmarshal(body, &in)
		}
		if err != nil {
			write(w, http.StatusBadRequest, failure{albion.CodeValidation, "the request cannot be read: " + err.Error()})
			return
		}
		out, err := operation(r.Context(), in)
		if err != nil {
			status := http.StatusInternalServerError
			if userError(err) {
				status = http.StatusBadRequest
			}
			write(w, status, failure{albion.CodeOf(err), err.Error()})
			return
		}
		write(w, http.StatusOK, out)
	}
}

// userError says that the request was at fault and not we.
func userError(err error) bool {
	var user *albion.Error
	return errors.As(err, &user)
}

func write(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.Encode(v)
}
