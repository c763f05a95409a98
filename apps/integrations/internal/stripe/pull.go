package stripe

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"strconv"
	"time"

	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
)

const (
	// eventsKept is how long Stripe keeps events, 30 days, less a day of doubt.
	eventsKept = 29 * 24 * time.Hour
	// eventsPage is the most events that are read at once, since each may cost another request.
	eventsPage = 20
)

// kind is a kind of objects that Stripe lists by their creation, newest first, and nothing else. What changes later is told by events
// only.
type kind struct {
	// path is where they are: "charges".
	path string
	// expand names what is to come in full rather than as an id.
	expand []string
	// events are the types of those that may be about a change of one, at most 20.
	events []string
}

// object is an object of a kind.
type object interface {
	id() string
	// addTo adds it to records as every vendor's is kept.
	addTo(ctx context.Context, c *Connector, a connector.Account, records *connector.Records) error
}

// place is where a pull is.
type place struct {
	// Began is when the first page was asked for, in Unix seconds. What changed before has been read when the last page is.
	Began int64 `json:"began"`
	// Events tells that the new objects are read and now come those that changed.
	Events bool `json:"events,omitempty"`
	// After is the id of the last entry of the page before.
	After string `json:"after,omitempty"`
}

// list is a page of Stripe's.
type list[O any] struct {
	Data    []O  `json:"data"`
	HasMore bool `json:"has_more"`
}

// pull reads objects of a kind. Without a time there is one list, of all there are. With one there are two: what was made since, then
// the events since, each of which says only that something happened to an object, which is read as it is now. For what an event
// carries is the object as it was, in the version of the API of that time, and events come newest first. When the time is further back
// than events go, everything is read again: a refund may come months after its charge, and no list would show it.
//
// The order is not that of changes, so only the last page says how far the stream is read: up to when the first was asked for.
func pull[O object](c *Connector, k kind) func(context.Context, connector.Account, connector.Request) (connector.Page, error) {
	return func(ctx context.Context, a connector.Account, r connector.Request) (connector.Page, error) {
		at := place{Began: c.web.Now().Unix()}
		if r.Cursor != "" {
			if err := json.Unmarshal([]byte(r.Cursor), &at); err != nil {
				return connector.Page{}, connector.BadAnswer("a cursor that is none: %.100q", r.Cursor)
			}
		}
		since := r.Since
		if time.Unix(at.Began, 0).Sub(since) > eventsKept {
			since = time.Time{}
		}
		var page connector.Page
		var last string
		var err error
		if at.Events {
			last, err = changed[O](ctx, c, a, k, since, query(since, at.After, min(r.Size, eventsPage)), &page)
		} else {
			last, err = made[O](ctx, c, a, k, query(since, at.After, r.Size), &page)
		}
		switch {
		case err != nil:
			return connector.Page{}, err
		case last != "" && last == at.After:
			return connector.Page{}, connector.BadAnswer("a next page that is this one")
		case last == "" && (at.Events || since.IsZero()):
			page.Changed = time.Unix(at.Began, 0).UTC()
			return page, nil
		}
		at.Events, at.After = at.Events || last == "", last
		next, err := json.Marshal(at)
		page.Next = string(next)
		return page, err
	}
}

// query asks for a page of what was made since a time, zero for all.
func query(since time.Time, after string, limit int) url.Values {
	q := url.Values{"limit": {strconv.Itoa(limit)}}
	if !since.IsZero() {
		q.Set("created[gte]", strconv.FormatInt(since.Unix(), 10))
	}
	if after != "" {
		q.Set("starting_after", after)
	}
	return q
}

// made reads a page of new objects. Last is the id to go on after, empty at the end.
func made[O object](ctx context.Context, c *Connector, a connector.Account, k kind, q url.Values, into *connector.Page) (last string, err error) {
	for _, field := range k.expand {
		q.Add("expand[]", "data."+field)
	}
	var got list[connector.Row[O]]
	if err := c.get(ctx, a, k.path, q, &got); err != nil {
		return "", err
	}
	for _, o := range got.Data {
		if err := add(ctx, c, a, o, into); err != nil {
			return "", err
		}
	}
	if !got.HasMore {
		return "", nil
	}
	if len(got.Data) == 0 {
		return "", connector.BadAnswer("more %s after none", k.path)
	}
	if last = got.Data[len(got.Data)-1].Value.id(); last == "" {
		return "", connector.BadAnswer("a full page without a way to the next")
	}
	return last, nil
}

// event is what happened to an object, or to something that belongs to one.
type event struct {
	ID   string `json:"id"`
	Data struct {
		Object struct {
			ID      string `json:"id"`
			Object  string `json:"object"`
			Created int64  `json:"created"`
			// Charge is whose a refund or a dispute is.
			Charge reference `json:"charge"`
		} `json:"object"`
	} `json:"data"`
}

// about is the id of the object that changed, empty where there is none to read: a refund of a bank transfer has no charge, and what
// was made since the time is in the list of new objects.
func (e event) about(since time.Time) string {
	switch o := e.Data.Object; {
	case o.Object == "refund" || o.Object == "dispute":
		return string(o.Charge)
	case o.Created >= since.Unix():
		return ""
	default:
		return o.ID
	}
}

// changed reads a page of events and the objects that they are about, once each. Last is the id to go on after, empty at the end.
func changed[O object](ctx context.Context, c *Connector, a connector.Account, k kind, since time.Time, q url.Values, into *connector.Page) (last string, err error) {
	for _, t := range k.events {
		q.Add("types[]", t)
	}
	var got list[event]
	if err := c.get(ctx, a, "events", q, &got); err != nil {
		return "", err
	}
	expand := url.Values{}
	for _, field := range k.expand {
		expand.Add("expand[]", field)
	}
	seen := map[string]bool{"": true}
	for _, e := range got.Data {
		id := e.about(since)
		if seen[id] {
			continue
		}
		seen[id] = true
		if !objectID.MatchString(id) {
			return "", connector.BadAnswer("event %.60q is about %.60q", e.ID, id)
		}
		var o connector.Row[O]
		if err := c.get(ctx, a, k.path+"/"+id, expand, &o); err != nil {
			var refused *connector.Error
			if errors.As(err, &refused) && refused.Code == connector.CodeAccountUnavailable { // 404: it is gone since
				continue
			}
			return "", err
		}
		if err := add(ctx, c, a, o, into); err != nil {
			return "", err
		}
	}
	if !got.HasMore {
		return "", nil
	}
	if len(got.Data) == 0 {
		return "", connector.BadAnswer("more events after none")
	}
	return got.Data[len(got.Data)-1].ID, nil
}

func add[O object](ctx context.Context, c *Connector, a connector.Account, row connector.Row[O], into *connector.Page) error {
	o, err := row.Value, row.Err
	if err == nil && !objectID.MatchString(o.id()) {
		err = errNoID
	}
	if err == nil {
		err = o.addTo(ctx, c, a, &into.Records)
	}
	var own *connector.Error
	if err == nil || errors.As(err, &own) || ctx.Err() != nil {
		return err
	}
	into.Refuse(o.id(), row.Raw, err)
	return nil
}

// reference is the id of another object, which may come in full, or be missing.
type reference string

// UnmarshalJSON implements json.Unmarshaler.
func (r *reference) UnmarshalJSON(data []byte) error {
	if len(data) == 0 || data[0] != '{' {
		return json.Unmarshal(data, (*string)(r))
	}
	var full struct {
		ID string `json:"id"`
	}
	err := json.Unmarshal(data, &full)
	*r = reference(full.ID)
	return err
}
