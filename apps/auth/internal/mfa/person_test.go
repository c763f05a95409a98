package mfa

import (
	"strings"
	"testing"

	"github.com/tandemhq/tandem/pkg/privacy"
)

func TestWhatIsKnownOfAPerson(t *testing.T) {
	w := newWorld(t)
	secret, enrolled := w.app(t)
	p := principal(t, enrolled.AccessToken)
	w.telephone(t, p)
	token := w.remembered(t, secret)
	ada := privacy.Person{Organization: "acme", User: "ada"}
	data, err := w.Personal().Export(t.Context(), ada)
	text := string(encoded(t, data))
	if err != nil || !strings.Contains(text, number) || !strings.Contains(text, "203.0.113.7") || strings.Contains(text, secret) {
		t.Errorf("%s, %v", text, err)
	}
	elsewhere := privacy.Person{Organization: "umbrella", User: "ada"}
	if data, err = w.Personal().Export(t.Context(), elsewhere); err != nil || strings.Contains(string(encoded(t, data)), "203.0.113.7") {
		t.Errorf("another organization is told of acme's devices: %v, %v", data, err)
	}
	for person, erased := range map[privacy.Person]int64{elsewhere: 0, ada: 1} {
		if n, err := w.Personal().Erase(t.Context(), person); err != nil || n != erased {
			t.Errorf("%s: erased %d, %v; want %d", person.Organization, n, err, erased)
		}
	}
	if answer := w.password(t, "ada", "acme", token); !answer.MFARequired || len(answer.Methods) != 3 {
		t.Errorf("asked for %v; want the factors, which are erased with the account", answer.Methods)
	}
	w.remembered(t, secret)
	if n, err := w.DB.EraseOrganization(t.Context(), "umbrella"); err != nil || n != 0 {
		t.Errorf("umbrella: %d, %v", n, err)
	}
	if n, err := w.DB.EraseOrganization(t.Context(), "acme"); err != nil || n < 1 {
		t.Errorf("acme: %d, %v", n, err)
	}
	if page, err := w.Devices(t.Context(), "ada", "", 10); err != nil || len(page.Items) != 0 {
		t.Errorf("%+v, %v", page, err)
	}
}
