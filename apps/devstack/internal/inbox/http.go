package inbox

import (
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Limits of one list.
const (
	defaultLimit = 50
	maxLimit     = 500
)

//go:embed page.html
var pages embed.FS

// Handler serves the inbox below /inbox: the page and the JSON, and takes text messages. Messages carry
// tokens that sign people in, so requests that another site's page makes are refused.
func Handler(store *Store, log *slog.Logger) (http.Handler, error) {
	page, err := template.New("page.html").
		Funcs(template.FuncMap{"links": links, "ago": ago(store.now)}).
		ParseFS(pages, "page.html")
	if err != nil {
		return nil, fmt.Errorf("read the inbox page: %w", err)
	}
	h := &handler{store: store, page: page, log: log}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /inbox", h.showList)
	mux.HandleFunc("GET /inbox/mail/{id}", h.showMessage)
	mux.HandleFunc("GET /inbox/mail/{id}/html", h.showHTML)
	mux.HandleFunc("POST /inbox/clear", h.clearFromPage)
	mux.HandleFunc("GET /inbox/messages", h.list)
	mux.HandleFunc("GET /inbox/messages/{id}", h.get)
	mux.HandleFunc("DELETE /inbox/messages", h.clear)
	mux.HandleFunc("POST /inbox/sms", h.takeSMS)
	return http.NewCrossOriginProtection().Handler(mux), nil
}

type handler struct {
	store *Store
	page  *template.Template
	log   *slog.Logger
}

// view is what the page shows: a list, and one message when it is asked for.
type view struct {
	To       string
	Messages []Summary
	Message  *Message
}

func (h *handler) showList(w http.ResponseWriter, r *http.Request) {
	to := strings.TrimSpace(r.URL.Query().Get("to"))
	h.render(w, view{To: to, Messages: h.store.List(to, maxLimit)})
}

func (h *handler) showMessage(w http.ResponseWriter, r *http.Request) {
	m, err := h.store.Get(r.PathValue("id"))
	if err != nil {
		h.fail(w, err)
		return
	}
	h.render(w, view{Messages: h.store.List("", maxLimit), Message: &m})
}

// showHTML serves a mail's HTML where it can do nothing: no script, no form, nothing fetched, an origin
// of its own. Its links open in a new window.
func (h *handler) showHTML(w http.ResponseWriter, r *http.Request) {
	m, err := h.store.Get(r.PathValue("id"))
	if err != nil {
		h.fail(w, err)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy",
		"sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:")
	w.Header().Set("Referrer-Policy", "no-referrer")
	h.write(w, []byte(`<!doctype html><base target="_blank">`+m.HTML))
}

func (h *handler) clearFromPage(w http.ResponseWriter, r *http.Request) {
	if err := h.store.Clear(); err != nil {
		h.fail(w, err)
		return
	}
	http.Redirect(w, r, "/inbox", http.StatusSeeOther)
}

func (h *handler) list(w http.ResponseWriter, r *http.Request) {
	limit := defaultLimit
	if text := r.URL.Query().Get("limit"); text != "" {
		var err error
		if limit, err = strconv.Atoi(text); err != nil || limit < 1 || limit > maxLimit {
			h.problem(w, http.StatusBadRequest, fmt.Sprintf("limit is a number from 1 to %d", maxLimit))
			return
		}
	}
	h.json(w, http.StatusOK, "application/json", map[string]any{
		"messages": h.store.List(strings.TrimSpace(r.URL.Query().Get("to")), limit),
	})
}

func (h *handler) get(w http.ResponseWriter, r *http.Request) {
	m, err := h.store.Get(r.PathValue("id"))
	if err != nil {
		h.fail(w, err)
		return
	}
	h.json(w, http.StatusOK, "application/json", m)
}

func (h *handler) clear(w http.ResponseWriter, _ *http.Request) {
	if err := h.store.Clear(); err != nil {
		h.fail(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (h *handler) fail(w http.ResponseWriter, err error) {
	if errors.Is(err, ErrNotFound) {
		h.problem(w, http.StatusNotFound, "The inbox has no such message.")
		return
	}
	h.log.Error("the inbox failed", "error", err)
	h.problem(w, http.StatusInternalServerError, "The inbox could not be read; the log says why.")
}

// problem answers as RFC 9457 says.
func (h *handler) problem(w http.ResponseWriter, status int, detail string) {
	h.json(w, status, "application/problem+json", map[string]any{
		"status": status, "title": http.StatusText(status), "detail": detail,
	})
}

func (h *handler) json(w http.ResponseWriter, status int, contentType string, value any) {
	content, err := json.Marshal(value)
	if err != nil {
		h.log.Error("the inbox failed", "error", err)
		status, content = http.StatusInternalServerError, nil
	}
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	h.write(w, content)
}

func (h *handler) render(w http.ResponseWriter, v view) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy",
		"default-src 'none'; style-src 'unsafe-inline'; frame-src 'self'; form-action 'self'; frame-ancestors 'none'")
	w.Header().Set("Referrer-Policy", "no-referrer")
	if err := h.page.Execute(w, v); err != nil {
		h.log.Error("the inbox page failed", "error", err)
	}
}

func (h *handler) write(w http.ResponseWriter, content []byte) {
	if _, err := w.Write(content); err != nil {
		h.log.Debug("the reader left", "error", err)
	}
}

var address = regexp.MustCompile(`https?://[^\s<>"]*[^\s<>".,;:!?)\]]`)

// segment is a piece of a text; URL is set if it is a link.
type segment struct{ Text, URL string }

// links cuts a text where its URLs are, so that a page can make them links.
func links(text string) []segment {
	var segments []segment
	end := 0
	for _, at := range address.FindAllStringIndex(text, -1) {
		segments = append(segments, segment{Text: text[end:at[0]]}, segment{Text: text[at[0]:at[1]], URL: text[at[0]:at[1]]})
		end = at[1]
	}
	return append(segments, segment{Text: text[end:]})
}

// ago tells how long ago a message came, as people say it.
func ago(now func() time.Time) func(time.Time) string {
	return func(at time.Time) string {
		switch since := now().Sub(at); {
		case since < time.Minute:
			return "just now"
		case since < time.Hour:
			return fmt.Sprintf("%d min ago", int(since.Minutes()))
		case since < 24*time.Hour:
			return fmt.Sprintf("%d h ago", int(since.Hours()))
		default:
			return at.Local().Format("2 Jan 2006")
		}
	}
}
