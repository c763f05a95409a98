package mfa

import (
	"bytes"
	"encoding/base64"
	"testing"

	"github.com/tandemhq/tandem/apps/auth/internal/atrest"
	"github.com/tandemhq/tandem/pkg/secrets"
	"github.com/tandemhq/tandem/pkg/vault"
)

func TestAppsOutliveTheKeyOfTheirSecrets(t *testing.T) {
	w := newWorld(t)
	key := func(b byte) string {
		return base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{b}, vault.KeySize))
	}
	stored := secrets.Map{"auth-sealing-key": key(1)}
	sealer := atrest.NewVault(vault.New(stored, "auth-sealing-key", w.Now))
	w.c.Sealer = sealer
	secret, _ := w.app(t)
	stored["auth-sealing-key"], stored["auth-sealing-keys-previous"] = key(2), key(1)
	for _, pass := range []struct {
		reseal bool
		want   vault.Sealing
	}{
		{false, vault.Sealing{Values: 1, Left: 1}}, {true, vault.Sealing{Values: 1, Resealed: 1}}, {true, vault.Sealing{Values: 1}},
	} {
		got, err := sealer.Pass(t.Context(), pass.reseal, w.Service)
		if got.Key = ""; err != nil || got != pass.want {
			t.Errorf("%+v, %v; want %+v", got, err, pass.want)
		}
	}
	delete(stored, "auth-sealing-keys-previous")
	w.c.Sealer = atrest.NewVault(vault.New(stored, "auth-sealing-key", w.Now))
	if _, err := w.verify(t, w.waiting(t), Proof{Method: "totp", Code: w.code(t, secret)}); err != nil {
		t.Errorf("without the former key: %v", err)
	}
}
