package world

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/tandemhq/tandem/apps/devstack/internal/settings"
)

// health is the answer of /healthz and /readyz.
type health struct {
	Status string `json:"status"`
	PID    int    `json:"pid"`
	// Data is the directory whose data this devstack serves.
	Data string `json:"data"`
	// Kept is true for a devstack that outlives runs.
	Kept bool `json:"kept"`
}

func routes(o Options, inbox http.Handler) http.Handler {
	mux := http.NewServeMux()
	state := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		// Whoever asked may have left: nothing to do about it.
		_ = json.NewEncoder(w).Encode(health{Status: "ready", PID: os.Getpid(), Data: o.Settings.Data, Kept: o.Settings.Keep})
	}
	mux.HandleFunc("GET /healthz", state)
	mux.HandleFunc("GET /readyz", state)
	mux.Handle("/inbox", inbox)
	mux.Handle("/inbox/", inbox)
	mux.Handle("GET /{$}", http.RedirectHandler("/inbox", http.StatusSeeOther))
	if o.Sandbox != nil {
		mux.Handle("/", o.Sandbox)
	}
	if o.Settings.Loopback() {
		return ownNamesOnly(mux)
	}
	return mux
}

// ownNamesOnly refuses requests to any name but this machine's loopback: a page of another site could
// otherwise let its own name resolve to 127.0.0.1 and read the mails.
func ownNamesOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.Host)
		if err != nil {
			host = r.Host
		}
		if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
			http.Error(w, "devstack answers to localhost only", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// look asks the devstack at the settings' address who it is.
func look(ctx context.Context, s settings.Settings) (health, error) {
	var found health
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.HTTP()+"/healthz", nil)
	if err != nil {
		return found, err
	}
	response, err := (&http.Client{Timeout: 2 * time.Second}).Do(request)
	if err != nil {
		return found, err
	}
	err = json.NewDecoder(response.Body).Decode(&found)
	return found, errors.Join(err, response.Body.Close())
}

// Kept reports whether a devstack that was started to be kept serves the same data.
func Kept(ctx context.Context, s settings.Settings) bool {
	found, err := look(ctx, s)
	return err == nil && found.Kept && found.Data == s.Data
}

// watch waits until ctx ends, and fails when the kept devstack goes.
func watch(ctx context.Context, s settings.Settings) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if !Kept(ctx, s) && ctx.Err() == nil {
			return errors.New("the devstack that was kept running has ended (make up starts it again)")
		}
	}
}
