package shopify

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"strconv"
	"time"
)

// object answers the fields of one GraphQL object. A value is nil, a string, an
// int, a bool, a time (zero is null), an object or a list of objects.
type object interface {
	resolve(f *field) (any, error)
}

// fixed is an object with values known beforehand.
type fixed map[string]any

func (o fixed) resolve(f *field) (any, error) {
	value, known := o[f.name]
	if !known {
		return nil, errUnresolved(f)
	}
	return value, nil
}

// execution runs one plan against one catalog.
type execution struct {
	shop    string
	catalog *catalog
	now     time.Time
	faults  pageFaults

	returned map[*field]int // nodes of each connection, for the actual cost
	searches []searchReport
}

// searchReport tells the client what of its search was ignored.
type searchReport struct {
	Path     []string  `json:"path"`
	Query    string    `json:"query"`
	Warnings []warning `json:"warnings"`
}

// run writes the plan's data as JSON.
func (e *execution) run(p *plan) ([]byte, *responseError) {
	e.returned = map[*field]int{}
	var out bytes.Buffer
	if err := write(&out, p.root, e); err != nil {
		var failed *responseError
		if !errors.As(err, &failed) {
			failed = &responseError{Message: err.Error()}
		}
		return nil, failed
	}
	return out.Bytes(), nil
}

// resolve answers the fields of QueryRoot.
func (e *execution) resolve(f *field) (any, error) {
	value, err := e.root(f)
	if err != nil {
		return nil, &responseError{Message: err.Error(), Locations: locationsOf(f), Path: []string{f.key}}
	}
	return value, nil
}

func (e *execution) root(f *field) (any, error) {
	switch f.name {
	case "shop":
		return fixed{
			"id": gid("Shop", e.shopID()), "name": e.shop, "email": "owner@example.com",
			"myshopifyDomain": e.shop + shopSuffix, "currencyCode": e.catalog.data.Currency, "ianaTimezone": "Etc/UTC",
			"plan": fixed{"displayName": "Basic", "publicDisplayName": "Basic", "partnerDevelopment": false, "shopifyPlus": false},
		}, nil
	case "currentAppInstallation":
		var scopes []object
		for _, handle := range []string{"read_all_orders", "read_customers", "read_orders", "read_products"} {
			scopes = append(scopes, fixed{"handle": handle, "description": handle})
		}
		return fixed{"id": gid("AppInstallation", e.shopID()+1), "accessScopes": scopes}, nil
	case "orders", "customers", "products":
		page, warnings, err := connectionOf(e.catalog, f, e.now, e.faults)
		if err != nil {
			return nil, err
		}
		e.returned[f] = len(page.nodes)
		if len(warnings) > 0 {
			query, _ := f.args["query"].(string)
			e.searches = append(e.searches, searchReport{Path: []string{f.key}, Query: query, Warnings: warnings})
		}
		return page, nil
	case "ordersCount":
		return e.ordersCount(f)
	case "order":
		return lookup("Order", f, e.catalog.orders)
	case "customer":
		return lookup("Customer", f, e.catalog.customers)
	case "product":
		return lookup("Product", f, e.catalog.products)
	}
	return nil, errUnresolved(f)
}

func lookup[N object](kind string, f *field, byID map[int64]N) (any, error) {
	id, valid := idOf(kind, f.args["id"])
	if !valid {
		return nil, fmt.Errorf("Invalid global id '%v'", f.args["id"]) //nolint:staticcheck // the vendor's words
	}
	if n, found := byID[id]; found {
		return n, nil
	}
	return nil, nil
}

func (e *execution) ordersCount(f *field) (any, error) {
	query, _ := f.args["query"].(string)
	matches, _, err := parseSearch(query, orderFields, e.now)
	if err != nil {
		return nil, fmt.Errorf("invalid search query: %w", err)
	}
	n := len(e.catalog.orders)
	if matches != nil {
		n = 0
		for _, o := range e.catalog.orders {
			if matches(o) {
				n++
			}
		}
	}
	if limit, bounded := f.args["limit"].(int64); bounded && int64(n) > limit {
		return fixed{"count": int(limit), "precision": "AT_LEAST"}, nil
	}
	return fixed{"count": n, "precision": "EXACT"}, nil
}

func (e *execution) shopID() int64 {
	h := fnv.New32a()
	h.Write([]byte(e.shop))
	return int64(h.Sum32()) + 1
}

func write(out *bytes.Buffer, fields []*field, o object) error {
	out.WriteByte('{')
	for i, f := range fields {
		if i > 0 {
			out.WriteByte(',')
		}
		out.WriteString(f.prefix)
		if f.name == "__typename" {
			writeString(out, f.parentType)
			continue
		}
		value, err := o.resolve(f)
		if err != nil {
			return err
		}
		if err := writeValue(out, f, value); err != nil {
			return err
		}
	}
	out.WriteByte('}')
	return nil
}

func writeValue(out *bytes.Buffer, f *field, value any) error {
	switch v := value.(type) {
	case nil:
		out.WriteString("null")
	case string:
		writeString(out, v)
	case int:
		out.WriteString(strconv.Itoa(v))
	case bool:
		out.WriteString(strconv.FormatBool(v))
	case time.Time:
		if v.IsZero() {
			out.WriteString("null")
		} else {
			out.WriteByte('"')
			out.Write(v.AppendFormat(out.AvailableBuffer(), time.RFC3339))
			out.WriteByte('"')
		}
	case object:
		return write(out, f.selected, v)
	case []object:
		out.WriteByte('[')
		for i, item := range v {
			if i > 0 {
				out.WriteByte(',')
			}
			if err := write(out, f.selected, item); err != nil {
				return err
			}
		}
		out.WriteByte(']')
	default:
		return fmt.Errorf("no JSON form for %T at %s.%s", value, f.parentType, f.name)
	}
	return nil
}

// writeString spares the encoder for the strings that need no escape, nearly all.
func writeString(out *bytes.Buffer, s string) {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			quoted, _ := json.Marshal(s)
			out.Write(quoted)
			return
		}
	}
	out.WriteByte('"')
	out.WriteString(s)
	out.WriteByte('"')
}
