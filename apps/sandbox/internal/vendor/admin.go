package vendor

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// MaxBody is the most bytes of a request to a vendor.
const MaxBody = 1 << 20

// WriteJSON writes an answer in JSON; a nil body is none.
func WriteJSON(w http.ResponseWriter, status int, body any) {
	if body == nil {
		w.WriteHeader(status)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

// Decode reads a JSON body that has no other fields than into.
func Decode(r *http.Request, into any) error {
	decoder := json.NewDecoder(r.Body)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return fmt.Errorf("read JSON body: %w", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("read JSON body: more after the first value")
	}
	return nil
}

// Handler answers an admin endpoint of something with a status and a JSON body.
type Handler[T any] func(of T, r *http.Request) (int, any, error)

// Admin serves an admin endpoint of what find finds by the path.
func Admin[T any](find func(r *http.Request) (T, bool), handle Handler[T]) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		of, known := find(r)
		if !known {
			WriteJSON(w, http.StatusNotFound, map[string]string{"error": "no such account"})
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, 16*MaxBody)
		status, body, err := handle(of, r)
		if err != nil {
			WriteJSON(w, http.StatusBadRequest, map[string]string{"error": err.Error()})
			return
		}
		WriteJSON(w, status, body)
	}
}

// RegisterDesk adds the admin endpoints of faults and requests below a path.
func RegisterDesk[T interface{ TheDesk() *Desk }](mux *http.ServeMux, path string, find func(r *http.Request) (T, bool)) {
	desk := func(handle Handler[*Desk]) http.HandlerFunc {
		return Admin(find, func(of T, r *http.Request) (int, any, error) { return handle(of.TheDesk(), r) })
	}
	mux.HandleFunc("POST "+path+"/faults", desk(func(d *Desk, r *http.Request) (int, any, error) {
		f := Fault{Times: 1}
		if err := Decode(r, &f); err != nil {
			return 0, nil, err
		}
		if err := f.Validate(); err != nil {
			return 0, nil, err
		}
		d.Add(f)
		return http.StatusCreated, f, nil
	}))
	mux.HandleFunc("GET "+path+"/faults", desk(func(d *Desk, _ *http.Request) (int, any, error) {
		return http.StatusOK, map[string]any{"faults": d.Pending()}, nil
	}))
	mux.HandleFunc("DELETE "+path+"/faults", desk(func(d *Desk, _ *http.Request) (int, any, error) {
		d.Clear()
		return http.StatusNoContent, nil, nil
	}))
	mux.HandleFunc("GET "+path+"/requests", desk(func(d *Desk, _ *http.Request) (int, any, error) {
		return http.StatusOK, d.Requests(), nil
	}))
	mux.HandleFunc("DELETE "+path+"/requests", desk(func(d *Desk, _ *http.Request) (int, any, error) {
		d.Forget()
		return http.StatusNoContent, nil, nil
	}))
}

// Truth is what an account has, in the platform's own terms: by kind of record and the vendor's id, fields as the record has them.
type Truth map[string]map[string]map[string]any

// RegisterTruth adds the admin endpoint that tells what an account has, which a sync of it has to arrive at.
func (v *Vendor) RegisterTruth(mux *http.ServeMux, truth func(a *Account) Truth) {
	v.RegisterTruthAs(mux, v.Name, truth)
}

// RegisterTruthAs adds it below another of the platform's names of the vendor.
func (v *Vendor) RegisterTruthAs(mux *http.ServeMux, name string, truth func(a *Account) Truth) {
	find := func(r *http.Request) (*Account, bool) { return v.Account(r.PathValue("account")) }
	mux.HandleFunc("GET /sandbox/vendors/"+name+"/{account}/truth", Admin(find, func(a *Account, _ *http.Request) (int, any, error) {
		return http.StatusOK, truth(a), nil
	}))
}
