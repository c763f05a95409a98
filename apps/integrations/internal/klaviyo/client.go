package klaviyo

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"

	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
)

// mediaType is JSON:API's (https://jsonapi.org).
const mediaType = "application/vnd.api+json"

// client speaks JSON:API to Klaviyo.
type client struct {
	web  connector.Web
	base string
}

func (c client) get(ctx context.Context, a connector.Account, path string, query url.Values, into any) error {
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+path, http.NoBody)
	if err != nil {
		return fmt.Errorf("address Klaviyo: %w", err)
	}
	return c.send(r, a, into)
}

// resource is what is sent: one thing, or a query in the form of one.
type resource struct {
	Type       string `json:"type"`
	ID         string `json:"id,omitempty"`
	Attributes any    `json:"attributes"`
}

// post sends a resource, or a query in the form of one.
func (c client) post(ctx context.Context, a connector.Account, path, kind string, attributes, into any) error {
	return c.write(ctx, http.MethodPost, a, path, resource{Type: kind, Attributes: attributes}, into)
}

func (c client) write(ctx context.Context, method string, a connector.Account, path string, r resource, into any) error {
	body, err := json.Marshal(map[string]any{"data": r})
	if err != nil {
		return fmt.Errorf("encode the %s: %w", r.Type, err)
	}
	request, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("address Klaviyo: %w", err)
	}
	request.Header.Set("Content-Type", mediaType)
	return c.send(request, a, into)
}

func (c client) send(r *http.Request, a connector.Account, into any) error {
	r.Header.Set("Accept", mediaType)
	r.Header.Set("revision", Revision)
	if a.Credentials.Authorized {
		r.Header.Set("Authorization", "Bearer "+a.Credentials.AccessToken.Reveal())
	} else {
		r.Header.Set("Authorization", "Klaviyo-API-Key "+a.Credentials.AccessToken.Reveal())
	}
	return c.web.Ask(r, into, func(status int, _ http.Header, body []byte) *connector.Error {
		if status == http.StatusConflict {
			return connector.Exists(fmt.Errorf("%.200q", body))
		}
		return nil // other errors are what their status means in HTTP
	})
}

// links are those of a list. They are addresses of the vendor's, of which only the cursor is taken: nothing that an answer says becomes
// a host.
type links struct {
	Next *string `json:"next"`
}

// cursor is that of the next page, which the link has in a parameter: empty after the last page.
func (l links) cursor(parameter, current string) (string, error) {
	if l.Next == nil || *l.Next == "" {
		return "", nil
	}
	u, err := url.Parse(*l.Next)
	if err != nil {
		return "", connector.BadAnswer("the link to the next page: %w", err)
	}
	cursor := u.Query().Get(parameter)
	if cursor == "" || cursor == current {
		return "", connector.BadAnswer("a link to the next page without a new cursor: %.200q", u.RawQuery)
	}
	return cursor, nil
}
