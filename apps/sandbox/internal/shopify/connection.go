package shopify

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"sort"
	"strconv"
	"time"
)

// maxPage is the most nodes of one page.
const maxPage = 250

// connection is one page of a view.
type connection struct {
	key   string // sort key
	nodes []node // in the order in which they are answered
	first node   // the page's ends in the order of the view
	last  node
	next  bool
	prev  bool
}

// pageFaults is what a simulated fault does to a page.
type pageFaults struct {
	// duplicate and reorder report whether the next page has to be spoilt so; asking
	// uses the fault up.
	duplicate func() bool
	reorder   func() (shuffle func(n int, swap func(i, j int)), on bool)
}

// connectionOf answers a root field that lists records.
func connectionOf(c *catalog, f *field, now time.Time, faults pageFaults) (*connection, []warning, error) {
	first, hasFirst := f.args["first"].(int64)
	last, hasLast := f.args["last"].(int64)
	if !hasFirst && !hasLast {
		return nil, nil, fmt.Errorf("you must provide one of first or last")
	}
	for name, n := range map[string]int64{"first": first, "last": last} {
		if n < 0 || n > maxPage {
			return nil, nil, fmt.Errorf("%s must be between 0 and %d, got %d", name, maxPage, n)
		}
	}
	query, _ := f.args["query"].(string)
	matches, warnings, err := parseSearch(query, searchFields[f.name], now)
	if err != nil {
		return nil, nil, fmt.Errorf("invalid search query: %w", err)
	}
	key, _ := f.args["sortKey"].(string)
	reverse, _ := f.args["reverse"].(bool)
	view := c.view(f.name, key)
	if matches != nil {
		kept := make([]node, 0, len(view))
		for _, n := range view {
			if matches(n) {
				kept = append(kept, n)
			}
		}
		view = kept
	}
	if reverse {
		view = slices.Clone(view)
		slices.Reverse(view)
	}
	start, end := 0, len(view)
	for _, name := range []string{"after", "before"} {
		cursor, given := f.args[name].(string)
		if !given {
			continue
		}
		at, err := decodeCursor(cursor, key)
		if err != nil {
			return nil, nil, err
		}
		if name == "after" {
			start = sort.Search(len(view), func(i int) bool {
				order := position(view[i], key).compare(at)
				return (order > 0) != reverse && order != 0
			})
		} else {
			end = sort.Search(len(view), func(i int) bool {
				order := position(view[i], key).compare(at)
				return order == 0 || (order > 0) != reverse
			})
		}
	}
	end = max(start, end)
	if hasFirst {
		if overlap := min(start, max(1, int(first)/5)); overlap > 0 && first > 1 && start < end && faults.duplicate() {
			start -= overlap
		}
		end = min(end, start+int(first))
	}
	if hasLast {
		start = max(start, end-int(last))
	}
	page := &connection{key: key, nodes: view[start:end], prev: start > 0, next: end < len(view)}
	if len(page.nodes) > 0 {
		page.first, page.last = page.nodes[0], page.nodes[len(page.nodes)-1]
	}
	if len(page.nodes) > 1 {
		if shuffle, on := faults.reorder(); on {
			page.nodes = slices.Clone(page.nodes)
			shuffle(len(page.nodes), func(i, j int) { page.nodes[i], page.nodes[j] = page.nodes[j], page.nodes[i] })
		}
	}
	return page, warnings, nil
}

var searchFields = map[string]map[string]valueKind{
	"orders": orderFields, "ordersCount": orderFields, "customers": customerFields, "products": productFields,
}

func (c *connection) resolve(f *field) (any, error) {
	switch f.name {
	case "nodes":
		list := make([]object, len(c.nodes))
		for i, n := range c.nodes {
			list[i] = n
		}
		return list, nil
	case "edges":
		list := make([]object, len(c.nodes))
		for i, n := range c.nodes {
			list[i] = edge{n, c.key}
		}
		return list, nil
	case "pageInfo":
		info := fixed{"hasNextPage": c.next, "hasPreviousPage": c.prev, "startCursor": nil, "endCursor": nil}
		if c.first != nil {
			info["startCursor"], info["endCursor"] = encodeCursor(c.first, c.key), encodeCursor(c.last, c.key)
		}
		return info, nil
	}
	return nil, errUnresolved(f)
}

type edge struct {
	node node
	key  string
}

func (e edge) resolve(f *field) (any, error) {
	if f.name == "cursor" {
		return encodeCursor(e.node, e.key), nil
	}
	return e.node, nil
}

// cursor has the fields of the vendor's cursors, which name a record and its
// value of the sort key, so that paging goes on although orders were added.
type cursor struct {
	LastID    int64  `json:"last_id"`
	LastValue string `json:"last_value"`
}

const cursorTime = "2006-01-02 15:04:05.000000"

func encodeCursor(n node, key string) string {
	at := position(n, key)
	value := strconv.FormatInt(at.id, 10)
	if key != "ID" {
		value = at.at.Format(cursorTime)
	}
	return base64.StdEncoding.EncodeToString([]byte(`{"last_id":` + strconv.FormatInt(at.id, 10) + `,"last_value":"` + value + `"}`))
}

func decodeCursor(s, key string) (place, error) {
	invalid := fmt.Errorf("Invalid cursor for current pagination sort.") //nolint:staticcheck,revive // the vendor's words
	raw, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return place{}, invalid
	}
	var c cursor
	if err := json.Unmarshal(raw, &c); err != nil {
		return place{}, invalid
	}
	if key == "ID" {
		if c.LastValue != strconv.FormatInt(c.LastID, 10) {
			return place{}, invalid
		}
		return place{id: c.LastID}, nil
	}
	at, err := time.Parse(cursorTime, c.LastValue)
	if err != nil {
		return place{}, invalid
	}
	return place{at: at, id: c.LastID}, nil
}
