package sso

import (
	"bytes"
	"encoding/base64"
	"testing"

	"github.com/tandemhq/tandem/apps/auth/internal/atrest"
	"github.com/tandemhq/tandem/pkg/secrets"
	"github.com/tandemhq/tandem/pkg/vault"
)

func TestClientSecretsOutliveTheirKey(t *testing.T) {
	w := newWorld(t)
	key := func(b byte) string {
		return base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{b}, vault.KeySize))
	}
	stored := secrets.Map{"auth-sealing-key": key(1)}
	sealer := atrest.NewVault(vault.New(stored, "auth-sealing-key", w.Now))
	w.reopen(t, func(c *Config) { c.Sealer = sealer })
	id := w.connect(t, newOpenID(t).settings())
	public := newOpenID(t).settings()
	public.OIDC.Secret = nil
	w.connect(t, public)
	stored["auth-sealing-key"], stored["auth-sealing-keys-previous"] = key(2), key(1)
	for _, want := range []vault.Sealing{{Values: 1, Resealed: 1}, {Values: 1}} {
		got, err := sealer.Pass(t.Context(), true, w.Service)
		if got.Key = ""; err != nil || got != want {
			t.Errorf("%+v, %v; want %+v", got, err, want)
		}
	}
	doc, err := w.d.connections.Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	alone := atrest.NewVault(vault.New(secrets.Map{"auth-sealing-key": key(2)}, "auth-sealing-key", w.Now))
	if secret, err := alone.Open(t.Context(), secretOwner(id), doc.Value.OIDC.Secret); err != nil || len(secret) == 0 {
		t.Errorf("without the former key: %v", err)
	}
}
