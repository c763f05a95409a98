package host

import (
	"net/http"
	"strings"

	"github.com/gorilla/mux"

	"github.com/tandemhq/tandem/pkg/events"
)

// isSidecarPath tells the paths that only this app's sidecar may call.
func isSidecarPath(path string) bool {
	return strings.HasPrefix(path, "/dapr/") || strings.HasPrefix(path, "/job/")
}

// mountSidecar serves what the sidecar asks: which events the hosted groups take, the events, and the
// schedules that fire.
func (h *Host) mountSidecar(router *mux.Router, firings http.Handler) {
	router.Path("/dapr/config").Methods(http.MethodGet).Handler(h.sidecarOnly(http.HandlerFunc(
		func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, http.StatusOK, struct{}{}) })))
	router.Path("/dapr/subscribe").Methods(http.MethodGet).Handler(h.sidecarOnly(http.HandlerFunc(
		func(w http.ResponseWriter, _ *http.Request) {
			all := []events.Subscription{}
			for _, name := range h.hosted {
				all = append(all, h.groups[name].consumer.Subscriptions()...)
			}
			writeJSON(w, http.StatusOK, all)
		})))
	for _, name := range h.hosted {
		router.PathPrefix("/dapr/events/" + string(name) + "/").Methods(http.MethodPost).Handler(h.sidecarOnly(h.groups[name].consumer))
	}
	router.PathPrefix("/job/").Methods(http.MethodPost).Handler(h.sidecarOnly(firings))
}
