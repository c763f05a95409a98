package mfa

import (
	"strings"
	"testing"
	"time"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/pkg/audit"
	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/problem"
)

// remembered is the token of a device that ada has signed in on.
func (w *world) remembered(t testing.TB, secret string) string {
	t.Helper()
	w.Pass(totpStep)
	answer, err := w.Verify(audit.WithOrigin(t.Context(), audit.Origin{Address: "203.0.113.7", UserAgent: "test/1.0"}), Verification{
		Challenge: w.waiting(t), Proof: Proof{Method: authapi.MFATOTP, Code: w.code(t, secret)}, Remember: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	return answer.DeviceToken
}

func TestRememberedDevices(t *testing.T) {
	w := newWorld(t)
	secret, enrolled := w.app(t)
	p := principal(t, enrolled.AccessToken)
	token := w.remembered(t, secret)
	answer := w.password(t, "ada", "acme", token)
	if answer.MFARequired || principal(t, answer.AccessToken).ACR != "" {
		t.Errorf("on the device: %+v; want tokens with one factor", answer)
	}
	id, text, _ := strings.Cut(token, ".")
	for name, other := range map[string]string{
		"none": "", "no token": "x", "another": id + "." + strings.Repeat("A", 43), "of no device": "none." + text, "cut short": token[:len(token)-1],
		"an odd id": "\x00." + text, "longer": token + "A",
	} {
		if answer := w.password(t, "ada", "acme", other); !answer.MFARequired {
			t.Errorf("%s: let in", name)
		}
	}
	if known, err := w.c.Factors.Remembered(t.Context(), "acme", "eve", token, 30); known || err != nil {
		t.Errorf("another user: %t, %v", known, err)
	}

	w.remembered(t, secret)
	page, err := w.Devices(t.Context(), "ada", "", 1)
	if err != nil || len(page.Items) != 1 || page.NextCursor == "" || page.Items[0].LastUsedAt != nil {
		t.Fatalf("%+v, %v", page, err)
	}
	page, err = w.Devices(t.Context(), "ada", page.NextCursor, 1)
	if err != nil || len(page.Items) != 1 || page.NextCursor != "" {
		t.Fatalf("%+v, %v", page, err)
	}
	if d := page.Items[0]; d.ID != id || d.Address != "203.0.113.7" || d.UserAgent != "test/1.0" || d.LastUsedAt == nil || !d.ExpiresAt.Equal(d.CreatedAt.AddDate(0, 0, 30)) {
		t.Errorf("%+v", d)
	}

	eve := identity.Principal{Subject: "eve", Organization: "umbrella"}
	want(t, "another user's", w.ForgetDevice(t.Context(), eve, id), problem.CodeNotFound)
	want(t, "the own", w.ForgetDevice(t.Context(), p, id), "")
	want(t, "again", w.ForgetDevice(t.Context(), p, id), problem.CodeNotFound)
	if answer := w.password(t, "ada", "acme", token); !answer.MFARequired {
		t.Error("a forgotten device is remembered")
	}
	token = w.remembered(t, secret)
	want(t, "all", w.ForgetDevices(t.Context(), p), "")
	if answer := w.password(t, "ada", "acme", token); !answer.MFARequired {
		t.Error("a forgotten device is remembered")
	}
}

func TestHowLongDevicesAreRemembered(t *testing.T) {
	w := newWorld(t)
	secret, _ := w.app(t)
	token := w.remembered(t, secret)
	w.Pass(30*24*time.Hour - time.Second)
	if answer := w.password(t, "ada", "acme", token); answer.MFARequired {
		t.Error("forgotten before its time")
	}
	w.demand(t, func(m *authapi.MFAPolicy) { m.RememberDays = 10 })
	if answer := w.password(t, "ada", "acme", token); !answer.MFARequired {
		t.Error("remembered for longer than the organization allows now")
	}
	w.demand(t, func(m *authapi.MFAPolicy) { m.RememberDays = 90 })
	w.Pass(time.Second)
	if answer := w.password(t, "ada", "acme", token); !answer.MFARequired {
		t.Error("remembered for longer than the organization allowed then")
	}
	page, err := w.Devices(t.Context(), "ada", "", 10)
	if err != nil || len(page.Items) != 0 {
		t.Errorf("%+v, %v; want it off the list", page, err)
	}
	w.demand(t, func(m *authapi.MFAPolicy) { m.RememberDays = 0 })
	if token := w.remembered(t, secret); token != "" {
		t.Errorf("token %q where nothing is to be remembered", token)
	}
}

func TestDevicesAreForgottenWithTheLastFactor(t *testing.T) {
	w := newWorld(t)
	secret, enrolled := w.app(t)
	p := principal(t, enrolled.AccessToken)
	token := w.remembered(t, secret)
	want(t, "remove", w.Remove(t.Context(), p, authapi.MFATOTP), "")
	w.app(t)
	if answer := w.password(t, "ada", "acme", token); !answer.MFARequired {
		t.Error("a device that knew the factor before is remembered")
	}
}
