package hubspot

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
)

// A search gives 10,000 hits at most, and its pages are counted off anew each time, so that one that changes between them moves
// others over their border unseen. So every page is a search of its own, which begins where the one before has ended: at the time
// of the newest change that was seen, or, within many changes of one time, behind the largest id.

// place is where the reading of a stream is.
type place struct {
	// Time is the earliest change that is still to be read, in Unix milliseconds, which is how exact HubSpot is.
	Time int64 `json:"time"`
	// Tied tells that the changes of Time alone are read, by their ids; ID is the largest of those that were.
	Tied bool  `json:"tied,omitempty"`
	ID   int64 `json:"id,omitempty"`
	// Currency is the account's, for what has none of its own.
	Currency string `json:"currency,omitempty"`
}

// object is an object of the CRM.
type object struct {
	ID         string             `json:"id"`
	Properties map[string]*string `json:"properties"`
	CreatedAt  time.Time          `json:"createdAt"`
	UpdatedAt  time.Time          `json:"updatedAt"`
}

// property is an object's, empty where it has none.
func (o object) property(name string) string {
	if text := o.Properties[name]; text != nil {
		return *text
	}
	return ""
}

// kind is a kind of objects that can be searched.
type kind struct {
	path string
	// modified is the property of the last change.
	modified   string
	properties []string
}

type condition struct {
	Property string `json:"propertyName"`
	Operator string `json:"operator"`
	Value    string `json:"value"`
}

type filterGroup struct {
	Filters []condition `json:"filters"`
}

type order struct {
	Property  string `json:"propertyName"`
	Direction string `json:"direction"`
}

// searchRequest is a PublicObjectSearchRequest. The specification has texts for orders; the documentation has these, of which one is
// taken.
type searchRequest struct {
	FilterGroups []filterGroup `json:"filterGroups"`
	Sorts        []order       `json:"sorts"`
	Properties   []string      `json:"properties"`
	Limit        int           `json:"limit"`
	After        string        `json:"after"`
}

// filters are what a page at the place has, and what it is in the order of.
func (r place) filters(k kind) ([]condition, string) {
	at := strconv.FormatInt(r.Time, 10)
	if !r.Tied {
		return []condition{{k.modified, "GTE", at}}, k.modified
	}
	return []condition{{k.modified, "EQ", at}, {"hs_object_id", "GT", strconv.FormatInt(r.ID, 10)}}, "hs_object_id"
}

// hits are a page of a search.
type hits struct {
	objects []connector.Row[object]
	// next is where the following page is: nil after the last.
	next    *place
	changed time.Time
	left    *int
}

// search reads the page of a kind at a place, in the order of the last change.
func (c *Connector) search(ctx context.Context, a connector.Account, k kind, at place, size int) (found hits, err error) {
	filters, sort := at.filters(k)
	var got struct {
		Total   *int                    `json:"total"`
		Results []connector.Row[object] `json:"results"`
	}
	request := searchRequest{FilterGroups: []filterGroup{{filters}}, Sorts: []order{{sort, "ASCENDING"}}, Properties: k.properties, Limit: size, After: "0"}
	if err = c.post(ctx, a, k.path+"/search", request, &got); err != nil {
		return found, err
	}
	found.objects = got.Results
	if got.Total != nil && !at.Tied { // of all from here on, as every page is a search of its own
		found.left = connector.LeftOf(*got.Total, len(got.Results))
	}
	var largest int64
	for i, row := range got.Results {
		o := row.Value
		id, err := strconv.ParseInt(o.ID, 10, 64)
		if err != nil || id <= 0 {
			found.objects[i].Err = cmp.Or(row.Err, errIncomplete)
			continue
		}
		modified, err := time.Parse(time.RFC3339, o.property(k.modified))
		if err != nil {
			found.objects[i].Err = cmp.Or(row.Err, fmt.Errorf("its %s: %w", k.modified, err))
			continue
		}
		largest = max(largest, id)
		if modified.After(found.changed) {
			found.changed = modified.UTC()
		}
	}
	following := at
	switch full := len(got.Results) >= size; {
	case !full && !at.Tied:
		return found, nil
	case !full: // the changes of that time are all read
		following.Time, following.Tied, following.ID = at.Time+1, false, 0
	case at.Tied:
		if largest <= at.ID {
			return found, connector.BadAnswer("objects behind %d have ids up to %d", at.ID, largest)
		}
		following.ID = largest
	case found.changed.UnixMilli() > at.Time:
		following.Time = found.changed.UnixMilli()
	default: // more changes of one time than a page has: from now on by their ids, from the first
		following.Tied = true
	}
	found.next = &following
	return found, nil
}

// start is where a request of a stream begins.
func start(r connector.Request) (place, error) {
	var at place
	if r.Cursor == "" {
		if !r.Since.IsZero() {
			at.Time = r.Since.UnixMilli()
		}
		return at, nil
	}
	if err := json.Unmarshal([]byte(r.Cursor), &at); err != nil {
		return at, connector.BadAnswer("a cursor of a search that is none: %.100q", r.Cursor)
	}
	return at, nil
}

// cursor is a place as a page's; empty for none.
func (r *place) cursor() (string, error) {
	if r == nil {
		return "", nil
	}
	text, err := json.Marshal(r)
	return string(text), err
}
