// Package shopify simulates the part of Shopify's GraphQL Admin API that a sync
// of orders, customers and products uses: token header, versions, validation
// against the real schema's names, Relay paging, search, cost-based throttling,
// installing an app by OAuth, and the answers to what goes wrong. Faults are set through its admin endpoints.
package shopify

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/vektah/gqlparser/v2/ast"

	"github.com/tandemhq/tandem/apps/sandbox/internal/shop"
	"github.com/tandemhq/tandem/apps/sandbox/internal/vendor"
)

const shopSuffix = ".myshopify.com"

// Config configures a Server.
type Config struct {
	// Data gives the data of a shop the first time it is asked for. Required.
	Data func(shop string) shop.Data
	// Now is the clock. Required.
	Now func() time.Time
	// Seed makes what is random repeatable.
	Seed uint64
	// Versions are the API versions served, oldest first. An older one is answered by
	// the oldest, an unknown one with 404.
	Versions []string
	// Limits are every shop's cost bucket until it is given one of its own.
	Limits Limits
	// ClientID and ClientSecret are those of the app that shops can install.
	ClientID, ClientSecret string
}

// Server is the simulated vendor. It is safe for concurrent use.
type Server struct {
	config Config
	schema *ast.Schema

	mu       sync.Mutex
	accounts map[string]*account
	// catalogs shares the catalog of shops that show the same file.
	catalogs map[*shop.Order]*catalog
	watchers []func(shop string, changed []vendor.Change)
}

// New returns a server. It fails when the configuration cannot be served.
func New(config Config) (*Server, error) {
	if config.Data == nil || config.Now == nil {
		return nil, errors.New("the Shopify simulator needs data and a clock")
	}
	if len(config.Versions) == 0 {
		return nil, errors.New("the Shopify simulator needs a version to serve")
	}
	if err := config.Limits.Validate(); err != nil {
		return nil, err
	}
	schema, err := loadSchema()
	if err != nil {
		return nil, err
	}
	return &Server{config: config, schema: schema, accounts: map[string]*account{}, catalogs: map[*shop.Order]*catalog{}}, nil
}

// KnowsCurrency reports whether the schema has the currency code.
func (s *Server) KnowsCurrency(code string) bool {
	return s.schema.Types["CurrencyCode"].EnumValues.ForName(code) != nil
}

// Register adds the API and its admin endpoints to a mux.
func (s *Server) Register(mux *http.ServeMux) {
	mux.HandleFunc("POST /shopify/{shop}/admin/api/{version}/graphql.json", s.graphql)
	mux.HandleFunc("GET /shopify/{shop}/admin/oauth/authorize", s.consent)
	mux.HandleFunc("POST /shopify/{shop}/admin/oauth/authorize", s.install)
	mux.HandleFunc("POST /shopify/{shop}/admin/oauth/access_token", s.token)
	mux.HandleFunc("DELETE /shopify/{shop}/admin/api_permissions/current.json", s.uninstall)
	mux.HandleFunc("POST /sandbox/shopify/{shop}/tokens/expire", s.admin(s.expireTokens))
	mux.HandleFunc("DELETE /sandbox/shopify/{shop}/tokens", s.admin(s.deleteTokens))
	vendor.RegisterDesk(mux, "/sandbox/shopify/{shop}", s.named)
	mux.HandleFunc("PUT /sandbox/shopify/{shop}/limits", s.admin(s.putLimits))
	mux.HandleFunc("GET /sandbox/shopify/{shop}/limits", s.admin(s.getLimits))
	mux.HandleFunc("DELETE /sandbox/shopify/{shop}/limits", s.admin(s.deleteLimits))
	mux.HandleFunc("POST /sandbox/shopify/{shop}/orders", s.admin(s.postOrders))
	mux.HandleFunc("POST /sandbox/shopify/{shop}/products", s.admin(s.postProducts))
	vendor.RegisterHooks(mux, "/sandbox/shopify/{shop}", vendor.Webhooks{Topics: hookTopics}, s.named)
}

var shopName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,99}$`)

// account finds a shop by its handle or its myshopify.com domain, in any case.
// Every well-formed name is a shop.
func (s *Server) account(name string) (*account, bool) {
	name = strings.TrimSuffix(strings.ToLower(name), shopSuffix)
	if !shopName.MatchString(name) {
		return nil, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if a, known := s.accounts[name]; known {
		return a, true
	}
	a := &account{
		shop: name, seed: s.config.Seed, catalog: s.catalogOf(s.config.Data(name)),
		bucket: bucket{Limits: s.config.Limits, available: s.config.Limits.MaximumAvailable, at: s.config.Now()},
	}
	s.accounts[name] = a
	return a, true
}

func (s *Server) catalogOf(data shop.Data) *catalog {
	if data.Parameters != nil || len(data.Orders) == 0 {
		return newCatalog(data)
	}
	c, known := s.catalogs[data.Orders[0]]
	if !known {
		c = newCatalog(data)
		s.catalogs[data.Orders[0]] = c
	}
	return c
}

// Data is the present data of a shop, false if the name is not one.
func (s *Server) Data(name string) (shop.Data, bool) {
	a, valid := s.account(name)
	if !valid {
		return shop.Data{}, false
	}
	return a.current().data, true
}

// ValidToken reports whether the sandbox takes an access token that no app was given.
// Every shop accepts any token that begins with shpat_ and has at least eight
// characters, except those that begin with shpat_revoked.
func ValidToken(token string) bool {
	return strings.HasPrefix(token, "shpat_") && len(token) >= 8 && !strings.HasPrefix(token, "shpat_revoked")
}

var versionName = regexp.MustCompile(`^[0-9]{4}-(01|04|07|10)$`)

// version is the version that answers a request for the given one.
func (s *Server) version(asked string) (string, bool) {
	if slices.Contains(s.config.Versions, asked) {
		return asked, true
	}
	if oldest := s.config.Versions[0]; versionName.MatchString(asked) && asked < oldest {
		return oldest, true
	}
	return "", false
}

type graphqlRequest struct {
	Query         string         `json:"query"`
	OperationName string         `json:"operationName"`
	Variables     map[string]any `json:"variables"`
}

type graphqlResponse struct {
	Data       json.RawMessage `json:"data,omitempty"`
	Errors     []responseError `json:"errors,omitempty"`
	Extensions *extensions     `json:"extensions,omitempty"`
}

// encode puts the parts together by hand: the encoder would scan the data, which is
// JSON already and most of the answer, once more.
func (a graphqlResponse) encode() ([]byte, error) {
	data := a.Data
	a.Data = nil
	rest, err := json.Marshal(a)
	if err != nil {
		return nil, fmt.Errorf("encode GraphQL answer: %w", err)
	}
	if data == nil {
		return rest, nil
	}
	return slices.Concat([]byte(`{"data":`), data, []byte(","), rest[1:]), nil
}

type extensions struct {
	Cost   costReport     `json:"cost"`
	Search []searchReport `json:"search,omitempty"`
}

type costReport struct {
	RequestedQueryCost int            `json:"requestedQueryCost"`
	ActualQueryCost    *int           `json:"actualQueryCost"`
	ThrottleStatus     throttleStatus `json:"throttleStatus"`
}

type throttleStatus struct {
	MaximumAvailable   decimal `json:"maximumAvailable"`
	CurrentlyAvailable int64   `json:"currentlyAvailable"`
	RestoreRate        decimal `json:"restoreRate"`
}

// decimal is written with a decimal point, as the vendor does: 1000.0. A client
// that reads it into an integer fails here as it would there.
type decimal float64

// MarshalJSON implements json.Marshaler.
func (d decimal) MarshalJSON() ([]byte, error) {
	return strconv.AppendFloat(nil, float64(d), 'f', 1, 64), nil
}

const unauthorizedBody = `{"errors":"[API] Invalid API key or access token (unrecognized login or wrong password)"}`

func (s *Server) graphql(w http.ResponseWriter, r *http.Request) {
	a, valid := s.account(r.PathValue("shop"))
	if !valid {
		writeRaw(w, http.StatusNotFound, `{"errors":"Not Found"}`)
		return
	}
	a.Begin()
	fault, faulty := a.Take(vendor.RequestFaults...)
	if faulty && !fault.Play(w, r, s.words(a)) {
		return
	}
	if !a.accepts(r.Header.Get("X-Shopify-Access-Token"), s.config.Now()) {
		s.refuseToken(w, a)
		return
	}
	version, known := s.version(r.PathValue("version"))
	if !known {
		writeRaw(w, http.StatusNotFound, `{"errors":"Not Found"}`)
		return
	}
	w.Header().Set("X-Shopify-API-Version", version)
	request, status := readRequest(w, r)
	if status != http.StatusOK {
		writeRaw(w, status, `{"errors":{"query":"Required parameter missing or invalid"}}`)
		return
	}
	answer := s.answer(a, request, faulty && fault.Kind == vendor.Throttle)
	body, err := answer.encode()
	if err != nil {
		writeRaw(w, http.StatusInternalServerError, `{"errors":"Internal Server Error"}`)
		return
	}
	body = a.Spoil(body)
	if faulty && fault.Kind == vendor.Truncated {
		vendor.BreakOff(w, body)
	}
	status = http.StatusOK
	if faulty && fault.Kind == vendor.Throttle {
		status = fault.StatusOr(status)
	}
	writeRaw(w, status, string(body))
}

// words are the vendor's for faults.
func (s *Server) words(a *account) vendor.Refusals {
	return vendor.Refusals{
		Broken:       func(w http.ResponseWriter, status int) { writeRaw(w, status, `{"errors":"Internal Server Error"}`) },
		Unauthorized: func(w http.ResponseWriter) { s.refuseToken(w, a) },
	}
}

func (s *Server) refuseToken(w http.ResponseWriter, a *account) {
	a.Count(func(c *vendor.Counts) { c.Unauthorized++ })
	w.Header().Set("WWW-Authenticate", `Basic Realm="Shopify API Authentication"`)
	writeRaw(w, http.StatusUnauthorized, unauthorizedBody)
}

// readRequest reads a query as JSON or, with the content type application/graphql,
// as the plain body.
func readRequest(w http.ResponseWriter, r *http.Request) (graphqlRequest, int) {
	var request graphqlRequest
	body := http.MaxBytesReader(w, r.Body, vendor.MaxBody)
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch {
	case err == nil && media == "application/json":
		decoder := json.NewDecoder(body)
		decoder.UseNumber()
		err = decoder.Decode(&request)
	case err == nil && media == "application/graphql":
		var text []byte
		text, err = io.ReadAll(body)
		request.Query = string(text)
	default:
		err = errors.New("content type")
	}
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return request, http.StatusRequestEntityTooLarge
	case err != nil || strings.TrimSpace(request.Query) == "":
		return request, http.StatusBadRequest
	}
	return request, http.StatusOK
}

// answer runs a query and settles its cost.
func (s *Server) answer(a *account, request graphqlRequest, forceThrottle bool) graphqlResponse {
	p, refused := planOf(s.schema, request.Query, request.OperationName, request.Variables)
	if refused != nil {
		a.Count(func(c *vendor.Counts) { c.ByOperation["invalid"]++ })
		return graphqlResponse{Errors: refused}
	}
	a.Count(func(c *vendor.Counts) { c.ByOperation[p.operation]++ })
	price := max(1, cost(p.root, requested))
	if price > costQueryMax {
		return graphqlResponse{Errors: []responseError{tooCostly(price)}}
	}
	if forceThrottle || !a.pay(price, s.config.Now()) {
		a.Count(func(c *vendor.Counts) { c.Throttled++ })
		status := a.throttle(s.config.Now())
		if forceThrottle {
			status.CurrentlyAvailable = 0
		}
		return graphqlResponse{
			Errors:     []responseError{throttled()},
			Extensions: &extensions{Cost: costReport{RequestedQueryCost: price, ThrottleStatus: status}},
		}
	}
	e := &execution{shop: a.shop, catalog: a.current(), now: s.config.Now(), faults: a.pageFaults()}
	data, failed := e.run(p)
	actual := max(1, cost(p.root, func(f *field) int { return e.returned[f] }))
	a.refund(price-actual, s.config.Now())
	response := graphqlResponse{Data: data, Extensions: &extensions{
		Cost:   costReport{RequestedQueryCost: price, ActualQueryCost: &actual, ThrottleStatus: a.throttle(s.config.Now())},
		Search: e.searches,
	}}
	if failed != nil {
		response.Data, response.Errors = json.RawMessage("null"), []responseError{*failed}
	}
	return response
}

func writeRaw(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(body))
}
