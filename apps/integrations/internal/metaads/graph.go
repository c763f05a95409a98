package metaads

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
	"github.com/tandemhq/tandem/pkg/secrets"
)

// throttlePause is the wait after a refusal that does not say how long it lasts.
const throttlePause = 10 * time.Second

// address is the URL of something in the Graph API.
func (c *Connector) address(path string) string {
	return c.web.API(apiHost) + "/" + Version + "/" + path
}

// get asks the Graph API for an account and decodes its answer into into: a *connector.Error, also for one inside a 200.
func (c *Connector) get(ctx context.Context, a connector.Account, path string, query url.Values, into any) error {
	return c.send(ctx, http.MethodGet, a, path, query, into)
}

// send sends a request without a body. The token goes in the header, which nobody logs, with the proof that it is sent by who has
// the app's secret (developers.facebook.com/docs/graph-api/guides/secure-requests).
func (c *Connector) send(ctx context.Context, method string, a connector.Account, path string, query url.Values, into any) error {
	secret, err := c.app.Secret(ctx)
	if err != nil {
		return fmt.Errorf("read the client secret: %w", err)
	}
	query.Set("appsecret_proof", proof(secret, a.Credentials.AccessToken))
	r, err := http.NewRequestWithContext(ctx, method, c.address(path)+"?"+query.Encode(), http.NoBody)
	if err != nil {
		return fmt.Errorf("address Meta: %w", err)
	}
	r.Header.Set("Accept", "application/json")
	r.Header.Set("Authorization", "Bearer "+a.Credentials.AccessToken.Reveal())
	return c.web.Ask(r, into, explain)
}

// proof is the HMAC of a token with the app's secret.
func proof(secret, token secrets.Secret) string {
	mac := hmac.New(sha256.New, []byte(secret.Reveal()))
	mac.Write([]byte(token.Reveal()))
	return hex.EncodeToString(mac.Sum(nil))
}

// list is a page of an edge of the graph.
type list[T any] struct {
	Data   []T    `json:"data"`
	Paging paging `json:"paging"`
}

type paging struct {
	Cursors struct {
		After string `json:"after"`
	} `json:"cursors"`
	// Next is the address of the next page, with the token in it: only that there is one counts.
	Next string `json:"next"`
}

func (l list[T]) pages() paging { return l.Paging }

// page reads a page of an edge, after a cursor, and tells the next cursor; there is a next page as long as Meta names one, also
// after one that is short or empty.
func (c *Connector) page(ctx context.Context, a connector.Account, path string, query url.Values, after string, into interface{ pages() paging }) (next string, err error) {
	if after != "" {
		query.Set("after", after)
	}
	if err := c.get(ctx, a, path, query, into); err != nil {
		return "", err
	}
	got := into.pages()
	if got.Next == "" {
		return "", nil
	}
	if got.Cursors.After == "" || got.Cursors.After == after {
		return "", connector.BadAnswer("a next page without a new cursor")
	}
	return got.Cursors.After, nil
}

// failure is an error as the Graph API tells it (developers.facebook.com/docs/graph-api/guides/error-handling).
type failure struct {
	Message   string `json:"message"`
	Type      string `json:"type"`
	Code      int    `json:"code"`
	Subcode   int    `json:"error_subcode"`
	Transient bool   `json:"is_transient"`
	Trace     string `json:"fbtrace_id"`
}

// failed is the error in an answer, false where there is none.
func failed(body []byte) (f failure, ok bool) {
	var answer struct {
		Error *failure `json:"error"`
	}
	if !bytes.Contains(body, []byte(`"error"`)) { // nearly always, and pages are long
		return failure{}, false
	}
	if json.Unmarshal(body, &answer) != nil || answer.Error == nil {
		return failure{}, false
	}
	return *answer.Error, true
}

func (f failure) cause() error {
	return fmt.Errorf("error %d, subcode %d, type %.40q, trace %.40q: %.200q", f.Code, f.Subcode, f.Type, f.Trace, f.Message)
}

// The subcodes of requests that are too large to be answered in time.
const (
	tooMuchData = 1487534
	tooSlow     = 1504018
)

// explain is a connector.Explain.
func explain(status int, header http.Header, body []byte) *connector.Error {
	f, ok := failed(body)
	if !ok {
		return nil
	}
	e := &connector.Error{Cause: f.cause()}
	switch {
	case f.Code == 4 || f.Code == 17 || f.Code == 32 || f.Code == 613 || f.Code >= 80000 && f.Code <= 80014:
		e.Class, e.Code, e.Message, e.Wait = connector.Throttled, connector.CodeThrottled, "Meta asks to wait", wait(header)
	case f.Subcode == tooMuchData || f.Subcode == tooSlow || strings.HasPrefix(f.Message, "Please reduce the amount of data"):
		e.Class, e.Code, e.Message = connector.TooLarge, connector.CodeRefused, "Meta refuses a page of this size"
	case f.Code == 190 || f.Code == 102:
		e.Class, e.Code, e.Message = connector.Unauthorized, connector.CodeCredentialsRefused, "Meta does not accept the authorization any more"
	case f.Code == 10 || f.Code >= 200 && f.Code <= 299:
		e.Class, e.Code, e.Message = connector.Permanent, connector.CodePermissionMissing, "the authorization does not allow reading this"
	case f.Code == 100 && f.Subcode == 33:
		e.Class, e.Code, e.Message = connector.Permanent, connector.CodeAccountUnavailable, "Meta has no such ad account, or does not show it"
	case f.Code == 1 || f.Code == 2 || f.Transient || status >= http.StatusInternalServerError:
		e.Class, e.Code, e.Message = connector.Transient, connector.CodeUnavailable, "Meta has trouble"
	default:
		e.Class, e.Code, e.Message = connector.Permanent, connector.CodeRefused, "Meta refuses the request"
	}
	return e
}

// wait is how long a throttled account is to be left alone.
func wait(header http.Header) time.Duration {
	if pause := told.Wait(header); pause > 0 {
		return pause
	}
	return throttlePause
}

// isNumber tells whether text is an id as Meta makes them. It becomes a part of addresses and records.
func isNumber(text string) bool {
	return text != "" && len(text) <= 24 && strings.Trim(text, "0123456789") == ""
}

func isAccount(text string) bool {
	number, found := strings.CutPrefix(text, "act_")
	return found && isNumber(number)
}
