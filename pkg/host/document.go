package host

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gorilla/mux"
	"github.com/swaggest/swgui"
	"github.com/swaggest/swgui/v5emb"

	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/topology"
)

// Document is an OpenAPI document as far as merging needs to know it.
type Document map[string]json.RawMessage

// documentOf is a group's own document.
func documentOf(api huma.API) (Document, error) {
	text, err := json.Marshal(api.OpenAPI())
	if err != nil {
		return nil, fmt.Errorf("write the OpenAPI document: %w", err)
	}
	var d Document
	return d, json.Unmarshal(text, &d)
}

const introduction = "Sign in with `POST /api/auth/login` and give its `access_token` to **Authorize**. " +
	"Every error is a problem (RFC 9457) with a stable `code`. Lists are read with `limit` and `cursor`; " +
	"a POST that carries an `Idempotency-Key` can be repeated. `x-permission` is what an operation needs."

// Merge joins the groups' documents into one. Schemas carry their group's name, so no two groups have
// one of the same name.
func Merge(title, version string, documents []Document) (Document, error) {
	paths, schemas := map[string]json.RawMessage{}, map[string]json.RawMessage{}
	for _, d := range documents {
		var p map[string]json.RawMessage
		var c struct {
			Schemas map[string]json.RawMessage `json:"schemas"`
		}
		if err := unmarshal(d["paths"], &p); err != nil {
			return nil, fmt.Errorf("paths: %w", err)
		}
		if err := unmarshal(d["components"], &c); err != nil {
			return nil, fmt.Errorf("components: %w", err)
		}
		for name, path := range p {
			paths[name] = path
		}
		for name, schema := range c.Schemas {
			schemas[name] = schema
		}
	}
	merged := Document{"openapi": json.RawMessage(`"3.1.0"`)}
	for name, part := range map[string]any{
		"info":  map[string]string{"title": title, "version": version, "description": introduction},
		"paths": paths,
		"components": map[string]any{
			"schemas":         schemas,
			"securitySchemes": map[string]any{"bearer": map[string]string{"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
		},
	} {
		text, err := json.Marshal(part)
		if err != nil {
			return nil, err
		}
		merged[name] = text
	}
	return merged, nil
}

func unmarshal(text json.RawMessage, into any) error {
	if len(text) == 0 {
		return nil
	}
	return json.Unmarshal(text, into)
}

// mountDocuments serves each hosted group's document, the whole API's, and a page to read it with that
// fetches nothing from elsewhere.
func (h *Host) mountDocuments(router *mux.Router) {
	for name, g := range h.groups {
		// Written when it is asked for: most processes never are.
		g.document = sync.OnceValues(func() (Document, error) { return documentOf(g.api) })
		router.Path("/api/" + string(name) + "/openapi.json").Methods(readMethods...).HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			d, err := g.document()
			if err != nil {
				h.log.ErrorContext(r.Context(), "document of a group", "group", name, "error", err)
				problem.Write(w, problem.New(http.StatusInternalServerError, problem.CodeInternal, "the document cannot be written"))
				return
			}
			writeJSON(w, http.StatusOK, d)
		})
	}
	whole := &cached[Document]{keep: 10 * time.Second, make: h.wholeDocument, now: h.now}
	router.Path("/openapi.json").Methods(readMethods...).HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		writeJSON(w, http.StatusOK, whole.get(r.Context()))
	})
	router.Path("/").Methods(readMethods...).Handler(http.RedirectHandler("/docs", http.StatusSeeOther)) // for who opens the bare address
	router.PathPrefix("/docs").Methods(readMethods...).Handler(v5emb.NewHandlerWithConfig(swgui.Config{
		Title: "Tandem API", SwaggerJSON: "/openapi.json", BasePath: "/docs",
		SettingsUI: map[string]string{"docExpansion": `"list"`, "tagsSorter": `"alpha"`, "persistAuthorization": "true"},
	}))
}

// wholeDocument is that of all groups, wherever they are hosted. A group that does not answer is missing
// from it, which is no reason to have none.
func (h *Host) wholeDocument(ctx context.Context) Document {
	var documents []Document
	for _, name := range topology.Groups() {
		document := func() (Document, error) { return h.gateway.Document(ctx, name) }
		if g := h.groups[name]; g != nil && (h.gateway == nil || h.isHome(name)) {
			document = g.document
		} else if h.gateway == nil {
			continue
		}
		d, err := document()
		if err != nil {
			h.log.WarnContext(ctx, "document of a group", "group", name, "error", err)
			continue
		}
		documents = append(documents, d)
	}
	merged, err := Merge("Tandem", h.c.Version, documents)
	if err != nil {
		h.log.ErrorContext(ctx, "merge documents", "error", err)
	}
	return merged
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the client may be gone; there is nobody left to tell
}
