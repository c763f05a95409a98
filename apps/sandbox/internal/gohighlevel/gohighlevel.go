// Package gohighlevel simulates the part of HighLevel's API (v3) that syncs of contacts, opportunities and transactions use, and
// that enters contacts and opportunities and begins workflows. The
// contacts are the shop's customers, the transactions its orders, and who bought often is an opportunity.
package gohighlevel

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tandemhq/tandem/apps/sandbox/internal/shop"
	"github.com/tandemhq/tandem/apps/sandbox/internal/vendor"
	"github.com/tandemhq/tandem/pkg/money"
)

const host = "services.leadconnectorhq.com"

// maxPage is the most entries of a page of any kind.
const maxPage = 100

type server struct {
	*vendor.Vendor
	*desk
}

// Register adds HighLevel to a mux.
func Register(mux *http.ServeMux, w vendor.World) {
	failed := func(status int, message string) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) {
			vendor.WriteJSON(w, status, failure{status, message, http.StatusText(status)})
		}
	}
	s := server{desk: newDesk()}
	s.Vendor = vendor.New(vendor.Options{
		Name: "gohighlevel", World: w, KeyPrefix: "pit-",
		Tokens: vendor.Tokens{Prefix: "eyJ", Access: 86399 * time.Second, Refresh: 365 * 24 * time.Hour, Rotates: true},
		Words: vendor.Refusals{
			Broken:       func(w http.ResponseWriter, status int) { failed(status, "Internal server error")(w) },
			Unauthorized: failed(http.StatusUnauthorized, "Invalid token: access token is invalid"),
		},
		Told: func(h http.Header, b vendor.Budget) {
			h.Set("X-RateLimit-Max", strconv.Itoa(b.Requests))
			h.Set("X-RateLimit-Remaining", strconv.Itoa(b.Left))
			h.Set("X-RateLimit-Interval-Milliseconds", strconv.FormatFloat(1000*b.Seconds, 'f', 0, 64))
		},
		Throttled: func(w http.ResponseWriter, _ int, _ time.Duration) {
			w.Header().Set("X-RateLimit-Max", "100")
			w.Header().Set("X-RateLimit-Remaining", "0")
			w.Header().Set("X-RateLimit-Interval-Milliseconds", "10000")
			failed(http.StatusTooManyRequests, "Too Many Requests")(w)
		},
	})
	s.Webhooks = s.webhooks()
	s.handle(mux, "GET "+host+"/locations/{id}", nil, s.location)
	s.handle(mux, "POST "+host+"/contacts/search", nil, s.contacts)
	s.handle(mux, "GET "+host+"/opportunities/search", []string{"locationId", "status", "order", "limit", "startAfter", "startAfterId"}, s.opportunities)
	s.handle(mux, "GET "+host+"/payments/transactions", []string{"altId", "altType", "limit", "offset", "startAt", "endAt"}, s.transactions)
	s.handle(mux, "POST "+host+"/contacts/{$}", nil, s.enter)
	s.handle(mux, "GET "+host+"/contacts/{id}", nil, s.contact)
	s.handle(mux, "PUT "+host+"/contacts/{id}", nil, s.edit)
	s.handle(mux, "POST "+host+"/contacts/{id}/workflow/{workflow}", nil, s.enroll)
	s.handle(mux, "GET "+host+"/opportunities/pipelines", []string{"locationId"}, s.pipelines)
	s.handle(mux, "POST "+host+"/opportunities/{$}", nil, s.enterDeal)
	s.handle(mux, "PUT "+host+"/opportunities/{id}", nil, s.editDeal)
	s.handle(mux, "GET "+host+"/workflows/{$}", []string{"locationId"}, s.workflows)
	s.HandlePage(mux, vendor.Page{Path: "marketplace.gohighlevel.com/v2/oauth/chooselocation", Code: "code"})
	s.HandleToken(mux, "POST "+host+"/oauth/token", func(r *http.Request) string {
		return cmp.Or(r.PostFormValue("refreshToken"), r.PostFormValue("code"))
	}, s.token)
	s.RegisterAdmin(mux)
	s.RegisterTruth(mux, s.truth)
}

// failure is how HighLevel says that something is wrong.
type failure struct {
	StatusCode int    `json:"statusCode"`
	Message    any    `json:"message"` // a list for 422
	Error      string `json:"error,omitempty"`
}

func unprocessable(messages ...string) vendor.Answer {
	return vendor.Answer{Status: http.StatusUnprocessableEntity, Body: failure{http.StatusUnprocessableEntity, messages, "Unprocessable Entity"}}
}

// handle serves an operation with the parameters that it takes and no others.
func (s server) handle(mux *http.ServeMux, pattern string, parameters []string, answer func(a *vendor.Account, r *http.Request, q url.Values) vendor.Answer) {
	s.Handle(mux, pattern, func(a *vendor.Account, r *http.Request) vendor.Answer {
		if r.Header.Get("Version") != "v3" {
			return vendor.Answer{Status: http.StatusUnauthorized, Body: failure{http.StatusUnauthorized, "version header is invalid", "Unauthorized"}}
		}
		q := r.URL.Query()
		for name := range q {
			if !slices.Contains(parameters, name) {
				return unprocessable("property " + name + " should not exist")
			}
		}
		return answer(a, r, q)
	})
}

func elsewhere() vendor.Answer {
	return vendor.Answer{Status: http.StatusForbidden, Body: failure{http.StatusForbidden, "The token does not have access to this location.", "Forbidden"}}
}

// token is POST /oauth/token.
func (s server) token(r *http.Request) vendor.Answer {
	refused := func(status int, message string) vendor.Answer {
		return vendor.Answer{Status: status, Body: failure{status, message, http.StatusText(status)}}
	}
	switch {
	case r.Header.Get("Version") != "v3":
		return refused(http.StatusUnauthorized, "version header is invalid")
	case !s.App(r.PostFormValue("clientId"), r.PostFormValue("clientSecret")):
		return refused(http.StatusUnauthorized, "Invalid client credentials!")
	}
	var granted vendor.Granted
	var ok bool
	switch r.PostFormValue("grantType") {
	case "authorization_code":
		granted, ok = s.Redeem(r.PostFormValue("code"), r.PostFormValue("redirectUri"), "")
	case "refresh_token":
		granted, ok = s.Refresh(r.PostFormValue("refreshToken"))
	default:
		return unprocessable("grantType must be one of authorization_code, refresh_token, client_credentials")
	}
	if !ok {
		return refused(http.StatusBadRequest, "Invalid grant: the code or refresh token is invalid")
	}
	return vendor.OK(map[string]any{
		"accessToken": granted.Access, "refreshToken": granted.Refresh, "tokenType": "Bearer", "expiresIn": granted.ExpiresIn, "scope": granted.Scopes, "userType": "Location",
		"locationId": granted.Account.Name, "companyId": "company-of-" + granted.Account.Name, "userId": "owner-of-" + granted.Account.Name,
	})
}

func (s server) location(a *vendor.Account, r *http.Request, _ url.Values) vendor.Answer {
	if r.PathValue("id") != a.Name {
		return elsewhere()
	}
	return vendor.OK(map[string]any{"location": map[string]any{
		"id": a.Name, "companyId": "company-of-" + a.Name, "name": a.Name, "country": s.country(a), "timezone": "Etc/UTC", "email": "owner@" + a.Name + ".example.com",
	}})
}

// country is one whose currency is the shop's.
func (s server) country(a *vendor.Account) string {
	data, _ := s.Data(a.Name)
	return cmp.Or(map[string]string{"EUR": "DE", "GBP": "GB", "JPY": "JP"}[data.Currency], "US")
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// cut is a page of entries, spoilt where a fault says so. The last entry stays the last, since the next page begins after it; where that
// begins at an offset, what is repeated makes the page longer.
func cut[E any](a *vendor.Account, all []E, start, limit int, offsets bool) []E {
	start = min(start, len(all))
	end := min(start+limit, len(all))
	if overlap := min(start, limit/5); overlap > 0 && start < end {
		if _, on := a.Take(vendor.DuplicatePage); on {
			if start -= overlap; !offsets {
				end = min(start+limit, len(all))
			}
		}
	}
	page := slices.Clone(all[start:end])
	if n := len(page) - 1; n > 1 {
		if _, on := a.Take(vendor.ReorderPages); on {
			slices.Reverse(page[:n])
		}
	}
	return page
}

func contactID(id int64) string { return fmt.Sprintf("contact%d", id) }

// contacts is POST /contacts/search, which takes one filter, of the time of the last change, and that order.
func (s server) contacts(a *vendor.Account, r *http.Request, _ url.Values) vendor.Answer {
	var asked struct {
		LocationID string `json:"locationId"`
		PageLimit  int    `json:"pageLimit"`
		Sort       []struct {
			Field     string `json:"field"`
			Direction string `json:"direction"`
		} `json:"sort"`
		Filters []struct {
			Field    string `json:"field"`
			Operator string `json:"operator"`
			Value    struct {
				GTE time.Time `json:"gte"`
			} `json:"value"`
		} `json:"filters"`
		SearchAfter []json.RawMessage `json:"searchAfter"`
	}
	if err := vendor.Decode(r, &asked); err != nil {
		return unprocessable(err.Error())
	}
	var since time.Time
	for _, f := range asked.Filters {
		if f.Field != "dateUpdated" || f.Operator != "range" {
			return unprocessable("filters must be of dateUpdated")
		}
		since = f.Value.GTE
	}
	switch {
	case asked.LocationID != a.Name:
		return elsewhere()
	case asked.PageLimit < 1 || asked.PageLimit > maxPage:
		return unprocessable("pageLimit must not be greater than 100")
	case len(asked.Sort) != 1 || asked.Sort[0].Field != "dateUpdated" || asked.Sort[0].Direction != "asc":
		return unprocessable("sort must be of dateUpdated, asc")
	}
	all := slices.DeleteFunc(s.known(a), func(c person) bool { return c.UpdatedAt.Before(since) })
	slices.SortFunc(all, func(a, b person) int {
		return cmp.Or(a.UpdatedAt.Compare(b.UpdatedAt), cmp.Compare(a.ID, b.ID))
	})
	start := 0
	if len(asked.SearchAfter) > 0 {
		var at int64
		var id string
		if len(asked.SearchAfter) != 2 || json.Unmarshal(asked.SearchAfter[0], &at) != nil || json.Unmarshal(asked.SearchAfter[1], &id) != nil {
			return unprocessable("searchAfter must be that of a contact")
		}
		start = slices.IndexFunc(all, func(c person) bool {
			return c.UpdatedAt.UnixMilli() > at || c.UpdatedAt.UnixMilli() == at && c.ID > numberOf(id, "contact")
		})
		if start < 0 {
			start = len(all)
		}
	}
	list := []any{}
	for _, c := range cut(a, all, start, asked.PageLimit, false) {
		entry := c.answer(a)
		entry["searchAfter"] = []any{c.UpdatedAt.UnixMilli(), contactID(c.ID)}
		list = append(list, entry)
	}
	return vendor.OK(map[string]any{"contacts": list, "total": len(all)})
}

func numberOf(id, prefix string) int64 {
	n, _ := strconv.ParseInt(strings.TrimPrefix(id, prefix), 10, 64)
	return n
}

// opportunities is GET /opportunities/search.
func (s server) opportunities(a *vendor.Account, _ *http.Request, q url.Values) vendor.Answer {
	limit, err := strconv.Atoi(cmp.Or(q.Get("limit"), "20"))
	switch {
	case q.Get("locationId") != a.Name:
		return elsewhere()
	case err != nil || limit < 1 || limit > maxPage:
		return unprocessable("limit must not be greater than 100")
	case q.Get("status") != "all" || q.Get("order") != "added_asc":
		return unprocessable("status must be all and order added_asc here")
	}
	all, start := s.deals(a), 0
	if id := q.Get("startAfterId"); id != "" {
		i := slices.IndexFunc(all, func(o opportunity) bool { return o.ID == id })
		if i < 0 || q.Get("startAfter") != strconv.FormatInt(all[i].Created.UnixMilli(), 10) {
			return unprocessable("startAfter and startAfterId must be those of a page")
		}
		start = i + 1
	}
	list, meta := []any{}, map[string]any{"total": len(all)}
	for _, o := range cut(a, all, start, limit, false) {
		list = append(list, o.answer(a))
		meta["startAfter"], meta["startAfterId"] = o.Created.UnixMilli(), o.ID
	}
	return vendor.OK(map[string]any{"opportunities": list, "meta": meta})
}

// paid are the orders that are transactions, newest first.
func (s server) paid(a *vendor.Account) []*shop.Order {
	data, _ := s.Data(a.Name)
	var all []*shop.Order
	for _, o := range data.Orders {
		if o.Total > 0 && !o.CreatedAt.After(s.Now()) {
			all = append(all, o)
		}
	}
	slices.SortFunc(all, func(a, b *shop.Order) int { return cmp.Or(b.CreatedAt.Compare(a.CreatedAt), cmp.Compare(b.ID, a.ID)) })
	return all
}

func transactionID(o *shop.Order) string { return fmt.Sprintf("transaction%d", o.ID) }

func status(o *shop.Order) string {
	if o.Status == shop.Pending {
		return "pending"
	}
	return "succeeded"
}

// transactions is GET /payments/transactions.
func (s server) transactions(a *vendor.Account, _ *http.Request, q url.Values) vendor.Answer {
	limit, err := strconv.Atoi(cmp.Or(q.Get("limit"), "10"))
	offset, offsetErr := strconv.Atoi(cmp.Or(q.Get("offset"), "0"))
	from, fromErr := time.Parse(time.DateOnly, cmp.Or(q.Get("startAt"), "1970-01-01"))
	switch {
	case q.Get("altId") != a.Name || q.Get("altType") != "location":
		return elsewhere()
	case err != nil || limit < 1 || limit > maxPage || offsetErr != nil || offset < 0:
		return unprocessable("limit must not be greater than 100, offset not less than 0")
	case fromErr != nil:
		return unprocessable("startAt must be a date")
	}
	all := slices.DeleteFunc(s.paid(a), func(o *shop.Order) bool { return o.CreatedAt.Before(from) })
	people := s.people(a)
	list := []any{}
	for _, o := range cut(a, all, offset, limit, true) {
		t := map[string]any{
			"_id": transactionID(o), "altId": a.Name, "altType": "location", "currency": strings.ToLower(o.Currency), "amount": json.Number(o.Total.String()),
			"amountRefunded": json.Number(o.Refunded.String()), "status": status(o), "liveMode": !o.Test, "entityType": "order", "entityId": o.Name, "entitySourceType": "funnel",
			"paymentProviderType": "stripe", "createdAt": stamp(o.CreatedAt), "updatedAt": stamp(o.UpdatedAt),
		}
		if who := people[o.CustomerID]; who != nil {
			t["contactId"], t["contactEmail"] = contactID(who.ID), who.Email
		}
		list = append(list, t)
	}
	return vendor.OK(map[string]any{"data": list, "totalCount": len(all)})
}

func (s server) people(a *vendor.Account) map[int64]*shop.Customer {
	data, _ := s.Data(a.Name)
	people := map[int64]*shop.Customer{}
	for _, c := range data.Customers {
		people[c.ID] = c
	}
	return people
}

// truth is what the platform has to say of an account.
func (s server) truth(a *vendor.Account) vendor.Truth {
	micro := func(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000000Z") }
	minor := func(a shop.Amount, currency string) int64 {
		for range money.MinorDigits(currency) {
			a *= 10
		}
		return int64(a / 10_000)
	}
	data, _ := s.Data(a.Name)
	contacts, deals, payments := map[string]map[string]any{}, map[string]map[string]any{}, map[string]map[string]any{}
	for _, c := range s.known(a) {
		of := map[string]any{
			"vendor": "gohighlevel", "created_at": micro(c.CreatedAt), "updated_at": micro(c.UpdatedAt), "stage": c.Type, "subscribed": !c.DND,
		}
		for name, text := range map[string]string{"email": strings.ToLower(c.Email), "phone": c.Phone, "first_name": c.FirstName, "last_name": c.LastName} {
			if text != "" {
				of[name] = text
			}
		}
		contacts[contactID(c.ID)] = of
	}
	for _, o := range s.deals(a) {
		of := map[string]any{
			"vendor": "gohighlevel", "name": o.Name, "pipeline": o.Pipeline, "stage": o.Stage, "created_at": micro(o.Created), "updated_at": micro(o.Updated),
			"amount_minor": minor(o.Value, data.Currency), "currency": data.Currency, "status": strings.Replace(o.Status, "abandoned", "lost", 1),
		}
		switch {
		case o.Status != "open":
			of["closed_at"] = micro(o.Changed)
		case o.Expected != "":
			of["closed_at"] = o.Expected + "T00:00:00.000000Z"
		}
		deals[o.ID] = of
	}
	people := s.people(a)
	for _, o := range s.paid(a) {
		outcome := status(o)
		switch {
		case outcome == "pending":
		case o.Refunded == o.Total:
			outcome = "refunded"
		case o.Refunded > 0:
			outcome = "partially_refunded"
		}
		payment := map[string]any{
			"vendor": "gohighlevel", "order_id": o.Name, "created_at": micro(o.CreatedAt), "amount_minor": minor(o.Total, o.Currency), "refunded_minor": minor(o.Refunded, o.Currency),
			"fee_minor": 0, "currency": o.Currency, "status": outcome, "method": "stripe", "live_mode": !o.Test,
		}
		if who := people[o.CustomerID]; who != nil {
			payment["email"] = who.Email
		}
		payments[transactionID(o)] = payment
	}
	return vendor.Truth{"contacts": contacts, "deals": deals, "payments": payments}
}
