// Package vendor is what simulated vendors share: accounts that people authorize or that have keys, tokens that survive a
// restart, limits, faults and counts. What a vendor's API looks like is in its own package. Shopify, whose tokens belong to
// shops, shares the faults only.
package vendor

import (
	"encoding/json"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/tandemhq/tandem/apps/sandbox/internal/shop"
)

// World is what a simulator is about: the same business for accounts of the same name at every vendor.
type World struct {
	Now func() time.Time
	// ClientID and ClientSecret are those of the app that people can authorize.
	ClientID, ClientSecret string
	// HookSecret is what the app's webhooks are signed with by vendors that have secrets of their own for them.
	HookSecret string
	// Data is what the shop of an account has, false where the name is none of a shop.
	Data func(account string) (shop.Data, bool)
	// Parameters are what the shop's business is made from; they tell its advertising.
	Parameters func(account string) shop.Parameters
	// Watch has somebody told of orders that are added to the shop of an account, or changed. Optional.
	Watch func(tell func(account string, changed []Change))
	// AdDays spares simulators of advertising platforms to make the same days for every page. Optional.
	AdDays *AdDays
}

// Options are one vendor.
type Options struct {
	// Name is the platform's name of it, as in the admin endpoints: "meta-ads".
	Name string
	World
	Tokens Tokens
	// KeyPrefix begins every key; what follows, up to the next underscore, is the account: pk_demo, or pk_demo_1. Empty where there are
	// no keys.
	KeyPrefix string
	// Token is the token or key of a request; that of "Authorization: Bearer" when nil.
	Token func(r *http.Request) string
	// Words are the vendor's for what goes wrong.
	Words Refusals
	// Told writes what answers say of the limits; nil where they say nothing.
	Told func(h http.Header, b Budget)
	// Throttled refuses a request that comes too early, after wait.
	Throttled func(w http.ResponseWriter, status int, wait time.Duration)
	Webhooks  Webhooks
}

// Vendor is a simulated vendor. It is safe for concurrent use.
type Vendor struct {
	Options
	mu       sync.Mutex
	accounts map[string]*Account
}

// New is a vendor whose every well-formed name is an account.
func New(o Options) *Vendor {
	if o.Token == nil {
		o.Token = Bearer
	}
	return &Vendor{Options: o, accounts: map[string]*Account{}}
}

// Bearer is the token of "Authorization: Bearer".
func Bearer(r *http.Request) string {
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	return token
}

// Account is one account at a vendor.
type Account struct {
	Desk
	Name string

	mu     sync.Mutex
	limits Limits
	asked  []time.Time // those that the limits count still, the oldest first
	grants grants
	hooks  Hooks
}

// TheHooks are the account's webhooks.
func (a *Account) TheHooks() *Hooks { return &a.hooks }

// TheDesk is where the account's requests are counted.
func (a *Account) TheDesk() *Desk { return &a.Desk }

// Limits are how often an account may be asked: so many requests in any time of so many seconds. Zero is no limit.
type Limits struct {
	Requests int     `json:"requests"`
	Seconds  float64 `json:"seconds"`
	// Path is how the paths of the operations end that count; empty for all.
	Path string `json:"path,omitempty"`
}

func (l Limits) window() time.Duration { return time.Duration(l.Seconds * float64(time.Second)) }

func (l Limits) about(path string) bool { return l.Requests > 0 && strings.HasSuffix(path, l.Path) }

var accountName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,99}$`)

// Account finds an account by its name.
func (v *Vendor) Account(name string) (*Account, bool) {
	if !accountName.MatchString(name) {
		return nil, false
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.accounts[name] == nil {
		v.accounts[name] = &Account{Name: name}
	}
	return v.accounts[name], true
}

// spend takes one request from the limits, or tells how long to wait for it.
func (a *Account) spend(path string, now time.Time) (wait time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.limits.about(path) {
		return 0
	}
	a.asked = slices.DeleteFunc(a.asked, func(at time.Time) bool { return now.Sub(at) >= a.limits.window() })
	if len(a.asked) >= a.limits.Requests {
		return max(time.Millisecond, a.limits.window()-now.Sub(a.asked[0])).Round(time.Millisecond)
	}
	a.asked = append(a.asked, now)
	return 0
}

// Budget is what is left of an account's limits.
type Budget struct {
	Limits
	// Asked is the path of the request.
	Asked string
	// Left is how many requests there are, Reset when the window ends that began with the oldest that counts.
	Left  int
	Reset time.Duration
}

// budget is the account's after a request, false where that does not count.
func (a *Account) budget(path string, now time.Time) (Budget, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	b := Budget{Limits: a.limits, Asked: path, Left: a.limits.Requests - len(a.asked)}
	if len(a.asked) > 0 {
		b.Reset = a.limits.window() - now.Sub(a.asked[0])
	}
	return b, a.limits.about(path)
}

// Answer is what a vendor answers with, of a status: JSON, or nothing when Body is nil.
type Answer struct {
	Status int
	Body   any
	// Header is what the answer has beside, or in the place of, its type and length.
	Header http.Header
}

// OK is an answer with status 200.
func OK(body any) Answer { return Answer{Status: http.StatusOK, Body: body} }

// Handle serves an operation of the vendor's API at a host and path, such as "GET graph.facebook.com/{version}/me", for whoever has a
// token or key.
func (v *Vendor) Handle(mux *http.ServeMux, pattern string, handle func(a *Account, r *http.Request) Answer) {
	method, path, _ := strings.Cut(pattern, " ")
	mux.HandleFunc(method+" /vendors/"+path, func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, MaxBody)
		a, accepted := v.accountOf(v.Token(r))
		if a == nil {
			v.Words.Unauthorized(w)
			return
		}
		v.serve(w, r, a, path, func() (Answer, bool) {
			if !accepted {
				a.Count(func(c *Counts) { c.Unauthorized++ })
				v.Words.Unauthorized(w)
				return Answer{}, false
			}
			if wait := a.spend(r.URL.Path, v.Now()); wait > 0 {
				a.Count(func(c *Counts) { c.Throttled++ })
				v.Throttled(w, 0, wait)
				return Answer{}, false
			}
			answer := handle(a, r)
			if b, limited := a.budget(r.URL.Path, v.Now()); limited && v.Told != nil && answer.Status < http.StatusBadRequest {
				if answer.Header == nil {
					answer.Header = http.Header{}
				}
				v.Told(answer.Header, b)
			}
			return answer, true
		})
	})
}

// serve counts a request, plays the fault that it meets, and writes its answer; false was answered already.
func (v *Vendor) serve(w http.ResponseWriter, r *http.Request, a *Account, operation string, answer func() (Answer, bool)) {
	a.Begin()
	a.Count(func(c *Counts) { c.ByOperation[operation]++ })
	fault, faulty := a.Take(RequestFaults...)
	if faulty && fault.Kind == Throttle {
		a.Count(func(c *Counts) { c.Throttled++ })
		v.Throttled(w, fault.Status, time.Second)
		return
	}
	if faulty && !fault.Play(w, r, v.Words) {
		return
	}
	out, ok := answer()
	if !ok {
		return
	}
	if out.Body == nil {
		maps.Copy(w.Header(), out.Header)
		w.WriteHeader(out.Status)
		return
	}
	body, err := json.Marshal(out.Body)
	if err != nil {
		v.Words.Broken(w, http.StatusInternalServerError)
		return
	}
	body = a.Spoil(body)
	if faulty && fault.Kind == Truncated {
		BreakOff(w, body)
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	maps.Copy(w.Header(), out.Header)
	w.WriteHeader(out.Status)
	_, _ = w.Write(body)
}

// RegisterAdmin adds the vendor's admin endpoints, below /sandbox/vendors/{vendor}/{account}.
func (v *Vendor) RegisterAdmin(mux *http.ServeMux) { v.RegisterAdminAs(mux, v.Name) }

// RegisterAdminAs adds them below another of the platform's names of the vendor.
func (v *Vendor) RegisterAdminAs(mux *http.ServeMux, name string) {
	path := "/sandbox/vendors/" + name + "/{account}"
	find := func(r *http.Request) (*Account, bool) { return v.Account(r.PathValue("account")) }
	RegisterDesk(mux, path, find)
	v.registerHooks(mux, path, find)
	mux.HandleFunc("PUT "+path+"/limits", Admin(find, func(a *Account, r *http.Request) (int, any, error) {
		var l Limits
		if err := Decode(r, &l); err != nil {
			return 0, nil, err
		}
		a.mu.Lock()
		defer a.mu.Unlock()
		a.limits, a.asked = l, nil
		return http.StatusOK, l, nil
	}))
	mux.HandleFunc("POST "+path+"/tokens/expire", Admin(find, func(a *Account, _ *http.Request) (int, any, error) {
		a.expire(v.Now())
		return http.StatusNoContent, nil, nil
	}))
	mux.HandleFunc("DELETE "+path+"/tokens", Admin(find, func(a *Account, _ *http.Request) (int, any, error) {
		a.Revoke(v.Now())
		if topic := v.Webhooks.Removed; topic != "" {
			v.Tell(a, topic, v.Webhooks.Event(a, topic))
			a.hooks.End()
		}
		return http.StatusNoContent, nil, nil
	}))
}
