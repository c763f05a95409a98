package tiktokads

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
)

const (
	// throttlePause is the wait after too many requests in a second. TikTok never says how long it is to be.
	throttlePause = 2 * time.Second
	// restrictedPause is that after too many in a minute, for which it shuts an app out for five.
	restrictedPause = 5 * time.Minute
)

// envelope is what every answer is in. Its code is 0 for a success; the status is 200 whatever it is.
type envelope[T any] struct {
	Code      int    `json:"code"`
	Message   string `json:"message"`
	RequestID string `json:"request_id"`
	Data      T      `json:"data"`
}

// address is the URL of an endpoint, of which the slash at the end is a part.
func (c *Connector) address(path string) string {
	return c.web.API(host) + "/open_api/" + Version + "/" + path
}

// get asks an endpoint and decodes the data of its answer into into: a *connector.Error.
func (c *Connector) get(ctx context.Context, a connector.Account, path string, query url.Values, into any) error {
	return c.send(ctx, http.MethodGet, a, path+"?"+query.Encode(), nil, into, explain)
}

// post sends a body as JSON.
func (c *Connector) post(ctx context.Context, a connector.Account, path string, body map[string]string, into any, why connector.Explain) error {
	text, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("encode the request: %w", err)
	}
	return c.send(ctx, http.MethodPost, a, path, text, into, why)
}

func (c *Connector) send(ctx context.Context, method string, a connector.Account, path string, body []byte, into any, why connector.Explain) error {
	r, err := http.NewRequestWithContext(ctx, method, c.address(path), bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("address TikTok: %w", err)
	}
	r.Header.Set("Accept", "application/json")
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if !a.Credentials.AccessToken.Empty() {
		r.Header.Set("Access-Token", a.Credentials.AccessToken.Reveal())
	}
	var got envelope[json.RawMessage]
	if err := c.web.Ask(r, &got, why); err != nil {
		return err
	}
	if into == nil {
		return nil
	}
	if len(got.Data) == 0 || string(got.Data) == "null" {
		return connector.BadAnswer("neither data nor an error")
	}
	if err := json.Unmarshal(got.Data, into); err != nil {
		return connector.BadAnswer("decode the data: %w", err)
	}
	return nil
}

// failed is the envelope of an answer that failed.
func failed(body []byte) (e envelope[json.RawMessage], ok bool) {
	return e, json.Unmarshal(body, &e) == nil && e.Code != 0
}

// explain is a connector.Explain, by the return codes (ads.tiktok.com/marketing_api/docs?id=1737172488964097).
func explain(status int, _ http.Header, body []byte) *connector.Error {
	got, ok := failed(body)
	if !ok {
		return nil
	}
	e := &connector.Error{Cause: fmt.Errorf("code %d, request %.60q: %.200q", got.Code, got.RequestID, got.Message)}
	switch {
	case got.Code == 40100 || got.Code == 40016 || got.Code == 40133:
		e.Class, e.Code, e.Message, e.Wait = connector.Throttled, connector.CodeThrottled, "TikTok asks to wait", throttlePause
		if strings.Contains(got.Message, "restricted") { // "requests from App … are temporarily restricted"
			e.Wait = restrictedPause
		}
	case got.Code >= 40102 && got.Code <= 40105:
		e.Class, e.Code, e.Message = connector.Unauthorized, connector.CodeCredentialsRefused, "TikTok does not accept the authorization any more"
	case got.Code == 40001:
		e.Class, e.Code, e.Message = connector.Permanent, connector.CodePermissionMissing, "the authorization does not allow reading this"
	case got.Code >= 50000 && got.Code <= 59999 || got.Code == 20001 || status >= http.StatusInternalServerError: // 20001: a part of it
		e.Class, e.Code, e.Message = connector.Transient, connector.CodeUnavailable, "TikTok has trouble"
	default:
		e.Class, e.Code, e.Message = connector.Permanent, connector.CodeRefused, "TikTok refuses the request"
	}
	return e
}

// array is a list as a parameter.
func array(values ...string) string {
	text, err := json.Marshal(values)
	if err != nil {
		return "[]" // texts can always be encoded
	}
	return string(text)
}

// isNumber tells whether text is an id as TikTok makes them. It becomes a part of records.
func isNumber(text string) bool {
	return text != "" && len(text) <= 24 && strings.Trim(text, "0123456789") == ""
}
