package scenario

import (
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/tandemhq/tandem/pkg/host"
	"github.com/tandemhq/tandem/pkg/identity"
)

const legal = "/api/auth/legal"

// Operator is a token with which a process, and so its operators, does what is internal to the platform.
func (s Site) Operator() (string, error) {
	if s.Secret == nil {
		return "", errors.New("the site's secrets are not for scenarios to read")
	}
	text, err := s.Secret(identity.GroupSecretName)
	if err != nil {
		return "", fmt.Errorf("read the key of calls between services: %w", err)
	}
	key, err := identity.ParseGroupSecret(text)
	if err != nil {
		return "", err
	}
	return identity.SignGroup(host.Caller, "", key, time.Now())
}

// Legal is about documents that everybody has to accept: from the moment at which one is in force nothing else is allowed to
// them, until they do. It leaves such documents behind, so it is not among Bodies: whatever comes after it on the same site
// would have to accept them.
func Legal(t *testing.T, site Site) {
	operator, err := site.Operator()
	if err != nil {
		t.Fatal(err)
	}
	kind := fmt.Sprintf("terms-%d", time.Now().Unix())
	ours, theirs := map[string]string{"operator": operator, "kind": kind}, map[string]string{"kind": kind}
	Play(t, site, ours, Register(ours, "legal"))
	Play(t, site, ours, Enrol())
	Play(t, site, theirs, Register(theirs, "illegal"))
	Play(t, site, ours, []Step{Key("export", map[string]any{"scopes": []string{"integrations.*:read"}})})

	publish := func(version int, mandatory bool, text string, effective time.Time) Step {
		body := map[string]any{"mandatory": mandatory, "texts": []map[string]string{
			{"locale": "en", "title": "Terms of service", "text": text}, {"locale": "de", "title": "Nutzungsbedingungen", "text": text + " (de)"},
		}}
		if !effective.IsZero() {
			body["effective_at"] = effective.UTC().Format(time.RFC3339Nano)
		}
		return Step{
			Name: fmt.Sprintf("publish version %d", version), Method: http.MethodPut, Path: fmt.Sprintf("%s/documents/${kind}/versions/%d", legal, version),
			Header: with("operator"), Body: body, Want: http.StatusOK, Has: map[string]any{"version": version, "mandatory": mandatory},
		}
	}
	at := time.Time{}
	byUser := publish(1, true, "Be kind.", at)
	byUser.Header = nil
	allowed := Step{Name: "allowed at once", Method: http.MethodGet, Path: orders, Want: http.StatusOK}
	halted := func(version int, within time.Duration) Step {
		return Step{
			Name: "nothing else is allowed", Method: http.MethodGet, Path: orders, Want: http.StatusForbidden, Within: within,
			Has: map[string]any{"code": "acceptance_required", "errors.#": 1, "errors.0.location": fmt.Sprintf("${kind}/%d", version)},
		}
	}
	accept := func(version int, hash string) Step {
		return Step{
			Name: "accept", Method: http.MethodPost, Path: legal + "/acceptances", Want: http.StatusCreated, Header: map[string]string{"User-Agent": "Laptop"},
			Body: map[string]any{"kind": "${kind}", "version": version, "sha256": hash},
			Has:  map[string]any{"version": version, "sha256": hash, "address": Present, "user_agent": "Laptop", "organization_id": "${organization}"},
		}
	}
	read := func(locale string, version int) Step {
		return Step{
			Name: "read it", Method: http.MethodGet, Path: legal + "/documents/${kind}?locale=" + locale, Header: map[string]string{"Authorization": ""}, Want: http.StatusOK,
			Has: map[string]any{"version": version, "locale": locale, "text": Present, "in_force": true}, Save: map[string]string{"hash": "sha256"},
		}
	}
	pending := func(name string, has map[string]any) Step {
		return Step{Name: name, Method: http.MethodGet, Path: legal + "/pending", Want: http.StatusOK, Has: has}
	}
	Play(t, site, ours, []Step{
		pending("nothing to accept", map[string]any{"items.#": 0}),
		{Name: "no such document", Method: http.MethodGet, Path: legal + "/documents/${kind}", Want: http.StatusNotFound, Has: code("not_found")},
		not(byUser, "users publish nothing", http.StatusForbidden, "permission_denied"),
		publish(1, true, "Be kind.", at),
		halted(1, heeded),
		{Name: "who one is may be asked", Method: http.MethodGet, Path: me, Want: http.StatusOK},
		{Name: "machines go on", Method: http.MethodGet, Path: orders, Header: with("export"), Want: http.StatusOK},
		pending("what to accept", map[string]any{"items.#": 1, "items.0.kind": "${kind}", "items.0.required": true, "items.0.text": nil}),
		read("de", 1),
		not(accept(1, fmt.Sprintf("%064x", 7)), "another text", http.StatusConflict, "text_mismatch"),
		not(accept(2, "${hash}"), "no such version", http.StatusNotFound, "not_found"),
		accept(1, "${hash}"), allowed,
		accept(1, "${hash}"), // once more changes nothing
		{Name: "the evidence", Method: http.MethodGet, Path: legal + "/acceptances", Want: http.StatusOK, Has: map[string]any{"items.#": 1, "items.0.kind": "${kind}", "items.0.locale": "de", "items.0.sha256": "${hash}"}},
	})
	Play(t, site, theirs, []Step{halted(1, heeded), read("en", 1), accept(1, "${hash}"), allowed})

	withdraw := func(version int) Step {
		return Step{Name: fmt.Sprintf("withdraw version %d", version), Method: http.MethodDelete, Path: fmt.Sprintf("%s/documents/${kind}/versions/%d", legal, version), Header: with("operator"), Want: http.StatusOK}
	}
	soon := time.Now().Add(3 * time.Second)
	Play(t, site, ours, []Step{
		publish(1, true, "Be kind.", at), // the same again changes nothing
		not(publish(1, true, "Be unkind.", at), "a version stays as it is", http.StatusConflict, "version_published"),
		not(publish(7, true, "Be kind.", at), "versions without gaps", http.StatusConflict, "not_next_version"),
		publish(2, false, "Be kind, please.", at),
		pending("a correction need not be accepted", map[string]any{"items.#": 0}),
		publish(3, true, "Be very kind.", time.Now().Add(time.Hour)),
		pending("an announced one can be", map[string]any{"items.#": 1, "items.0.version": 3, "items.0.required": false}),
		withdraw(3),
		not(withdraw(1), "what is in force stays", http.StatusConflict, "in_force"),
		publish(4, true, "Be kinder.", soon),
		halted(4, time.Until(soon)+heeded), // by itself
		read("en", 4), accept(4, "${hash}"), allowed,
		{Name: "it is in the log", Method: http.MethodGet, Path: audit + "/entries?action=auth.legal.&resource=document:${kind}/4", Want: http.StatusOK, Within: loggedWithin, Contains: `"action":"auth.legal.accept"`},
	})
	Play(t, site, theirs, []Step{halted(4, heeded), not(accept(2, "${hash}"), "no longer in force", http.StatusConflict, "not_current")})
}
