// Package browser drives a real Chromium without a window, with an authenticator that is played, so that passkeys are made and
// shown by the code that people's browsers run.
package browser

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"

	"github.com/tandemhq/tandem/pkg/skip"
)

// patience is how long Chromium may take to start, and to answer.
const patience = 30 * time.Second

// Browser is a Chromium on a page of some origin, with an authenticator built into its machine that verifies its user. As an
// http.RoundTripper it has the page fetch what is asked for: a browser says of requests what it likes, and allows what it likes.
type Browser struct {
	tab           context.Context
	authenticator webauthn.AuthenticatorID
}

// Open starts a Chromium on page, and ends it with the test. Where there is none it skips, loudly; in CI that fails.
func Open(t testing.TB, page string) *Browser {
	t.Helper()
	path := find()
	if path == "" {
		skip.Missing(t, "passkeys in a browser: Chromium is not installed (Debian's package is chromium)")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.WSURLReadTimeout(patience))
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox) // root has none
	}
	chromium, stop := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(stop)
	tab, leave := chromedp.NewContext(chromium)
	t.Cleanup(leave)
	b := &Browser{tab: tab}
	if err := b.open(page); err != nil {
		t.Fatalf("open %s in %s: %v", page, path, err)
	}
	return b
}

func find() string {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

func (b *Browser) open(page string) error {
	if err := chromedp.Do(b.tab, chromedp.Navigate(page)); err != nil {
		return err
	}
	if _, err := chromedp.Call(b.tab, webauthn.Enable, webauthn.EnableParams{}); err != nil {
		return fmt.Errorf("play authenticators: %w", err)
	}
	added, err := chromedp.Call(b.tab, webauthn.AddVirtualAuthenticator, webauthn.AddVirtualAuthenticatorParams{
		Options: &webauthn.VirtualAuthenticatorOptions{
			Protocol: webauthn.AuthenticatorProtocolCtap2, Transport: webauthn.AuthenticatorTransportInternal,
			HasResidentKey: true, HasUserVerification: true, IsUserVerified: true, AutomaticPresenceSimulation: true,
		},
	})
	if err != nil {
		return fmt.Errorf("add an authenticator: %w", err)
	}
	b.authenticator = added.AuthenticatorID
	return nil
}

// Create has the authenticator make a passkey by a PublicKeyCredentialCreationOptionsJSON, and returns a
// RegistrationResponseJSON (WebAuthn Level 3, section 5.1).
func (b *Browser) Create(ctx context.Context, options json.RawMessage) (string, error) {
	return call[string](ctx, b, `async options => JSON.stringify(await navigator.credentials.create({
		publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(options)}))`, options)
}

// Get has the authenticator sign by a PublicKeyCredentialRequestOptionsJSON, and returns an AuthenticationResponseJSON.
func (b *Browser) Get(ctx context.Context, options json.RawMessage) (string, error) {
	return call[string](ctx, b, `async options => JSON.stringify(await navigator.credentials.get({
		publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(options)}))`, options)
}

// addCredential is webauthn.AddCredential without the members that authenticators of this kind refuse, and that are always sent by
// that.
var addCredential = cdp.Command[map[string]any, cdp.Empty]{Method: webauthn.CommandAddCredential}

// Copy is what a thief of the authenticator's passkeys has: them as they are at this moment. Restore puts them in place of those
// that are there.
func (b *Browser) Copy() (restore func() error, err error) {
	held, err := chromedp.Call(b.tab, webauthn.GetCredentials, webauthn.GetCredentialsParams{AuthenticatorID: b.authenticator})
	if err != nil {
		return nil, fmt.Errorf("copy the passkeys: %w", err)
	}
	return func() error {
		if err := b.Forget(); err != nil {
			return err
		}
		for _, c := range held.Credentials {
			_, err := chromedp.Call(b.tab, addCredential, map[string]any{"authenticatorId": b.authenticator, "credential": map[string]any{
				"credentialId": c.CredentialID, "isResidentCredential": c.IsResidentCredential, "rpId": c.RpID,
				"privateKey": c.PrivateKey, "userHandle": c.UserHandle, "signCount": c.SignCount,
			}})
			if err != nil {
				return fmt.Errorf("restore a passkey: %w", err)
			}
		}
		return nil
	}, nil
}

// Forget empties the authenticator.
func (b *Browser) Forget() error {
	_, err := chromedp.Call(b.tab, webauthn.ClearCredentials, webauthn.ClearCredentialsParams{AuthenticatorID: b.authenticator})
	if err != nil {
		return fmt.Errorf("forget the passkeys: %w", err)
	}
	return nil
}

// RoundTrip has the page fetch.
func (b *Browser) RoundTrip(r *http.Request) (*http.Response, error) {
	type request struct {
		Method  string            `json:"method"`
		Headers map[string]string `json:"headers"`
		Body    *string           `json:"body"`
	}
	wanted := request{Method: r.Method, Headers: map[string]string{}}
	for name := range r.Header {
		wanted.Headers[name] = r.Header.Get(name)
	}
	if r.Body != nil {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		text := string(body)
		wanted.Body = &text
	}
	got, err := call[struct {
		Status  int
		Headers [][2]string
		Body    string
	}](r.Context(), b, `async (url, request) => {
		const answer = await fetch(url, request)
		return {Status: answer.status, Headers: [...answer.headers], Body: await answer.text()}
	}`, r.URL.String(), wanted)
	if err != nil {
		return nil, fmt.Errorf("fetch %s: %w", r.URL, err)
	}
	answer := &http.Response{
		Status: http.StatusText(got.Status), StatusCode: got.Status, Header: http.Header{}, Request: r,
		Body: io.NopCloser(strings.NewReader(got.Body)), ContentLength: int64(len(got.Body)),
	}
	for _, header := range got.Headers {
		answer.Header.Add(header[0], header[1])
	}
	return answer, nil
}

// call calls a function in the page and waits for what it promises.
func call[T any](ctx context.Context, b *Browser, function string, arguments ...any) (T, error) {
	var texts []string
	for _, a := range arguments {
		text, err := json.Marshal(a)
		if err != nil {
			return *new(T), err
		}
		texts = append(texts, string(text))
	}
	tab, cancel := context.WithTimeout(b.tab, patience)
	defer cancel()
	defer context.AfterFunc(ctx, cancel)()
	return chromedp.Run(tab, chromedp.Evaluate[T]("("+function+")("+strings.Join(texts, ",")+")", chromedp.EvalAwaitPromise))
}
