package secrets_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/tandemhq/tandem/pkg/daprtest"
	"github.com/tandemhq/tandem/pkg/secrets"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const value = "correct horse"

// TestASecretIsNotPrinted tries every way by which a value could reach a log or an answer.
func TestASecretIsNotPrinted(t *testing.T) {
	s := secrets.New(value)
	holder := struct {
		Key   secrets.Secret
		Inner *secrets.Secret
		ByKey map[secrets.Secret]int
	}{s, &s, map[secrets.Secret]int{s: 1}}
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "secret", s, "holder", holder)
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "secret", s, "pointer", &s)
	encoded, err := json.Marshal(holder)
	if err != nil {
		t.Fatal(err)
	}
	for how, text := range map[string]string{
		"%v": fmt.Sprintf("%v", holder), "%+v": fmt.Sprintf("%+v", holder), "%#v": fmt.Sprintf("%#v", s), "%s": fmt.Sprintf("%s", s),
		"%q": fmt.Sprintf("%q", s), "%x": fmt.Sprintf("%x", s), "%d": fmt.Sprintf("%d", s), "print": fmt.Sprint(s, &s),
		"error": fmt.Errorf("with %v", s).Error(), "String": s.String(), "json": string(encoded), "slog": log.String(),
	} {
		if strings.Contains(text, "horse") || strings.Contains(text, fmt.Sprintf("%x", value)) {
			t.Errorf("%s shows it: %s", how, text)
		}
		if !strings.Contains(text, "[secret]") {
			t.Errorf("%s does not say that there is one: %s", how, text)
		}
	}
	if s.Reveal() != value {
		t.Errorf("revealed %q", s.Reveal())
	}
}

func TestComparison(t *testing.T) {
	if s := secrets.New(value); !s.Equal(secrets.New(value)) || s.Equal(secrets.New("other")) || s.Equal(secrets.Secret{}) || s.Empty() {
		t.Error("a secret does not equal itself, or equals another")
	}
	var decoded struct{ Key secrets.Secret }
	if err := json.Unmarshal([]byte(`{"Key":"`+value+`"}`), &decoded); err != nil || decoded.Key.Reveal() != value {
		t.Errorf("decoded %q, %v", decoded.Key.Reveal(), err)
	}
}

func TestContract(t *testing.T) {
	contract := func(t *testing.T, source secrets.Source) {
		got, err := source.Get(t.Context(), "signing-key")
		if err != nil || got.Reveal() != value {
			t.Errorf("got %q, %v", got.Reveal(), err)
		}
		for _, name := range []string{"none", "empty"} {
			if _, err := source.Get(t.Context(), name); !errors.Is(err, secrets.ErrNotFound) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	t.Run("memory", func(t *testing.T) { contract(t, secrets.Map{"signing-key": value, "empty": ""}) })
	for name, of := range map[string]struct {
		file  string
		store func(path string) string
	}{
		"each under its name behind a sidecar": {`{"signing-key":"` + value + `","empty":""}`, daprtest.Secrets},
		"all in one behind a sidecar":          {`{"tandem":{"signing-key":"` + value + `","empty":""}}`, daprtest.SecretsWithValues},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "secrets.json")
			if err := os.WriteFile(path, []byte(of.file), 0o600); err != nil {
				t.Fatal(err)
			}
			sidecar := daprtest.Start(t, daprtest.Options{AppID: "some-app", Resources: []string{of.store(path)}})
			source := secrets.NewDapr(sidecar.Client)
			contract(t, source)
			sidecar.Kill()
			if _, err := source.Get(t.Context(), "signing-key"); err == nil || errors.Is(err, secrets.ErrNotFound) {
				t.Errorf("without a sidecar: %v", err)
			}
		})
	}
}
