package apikeys

import (
	"bytes"
	"crypto/rand"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/tandemhq/tandem/apps/auth/internal/rbac"
	"github.com/tandemhq/tandem/pkg/identity"
)

func made(t testing.TB, id string, secret []byte) token {
	t.Helper()
	k, err := newToken(id, bytes.NewReader(secret))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestTheFormOfAKey(t *testing.T) {
	// The digits were computed apart, with Python's int and zlib.crc32.
	for text, secret := range map[string][]byte{
		"tdm_0199b1f26f0c7a519d3c8f5b2f6f1c11_000000000000000000000000000000000000000000047eBb5": make([]byte, secretBytes),
		"tdm_id1_YHJSKWDa6oz1al1yMhwzwM8llg7hJNUca2J5RoW8xP118zjZL":                              bytes.Repeat([]byte{0xff}, secretBytes),
	} {
		id := strings.Split(text, "_")[1]
		k := made(t, id, secret)
		if k.String() != text {
			t.Errorf("key is %s; want %s", k, text)
		}
		if back, err := parse(text); err != nil || back != k {
			t.Errorf("parsed %+v, %v", back, err)
		}
	}
	k := made(t, "0199b1f26f0c7a519d3c8f5b2f6f1c11", bytes.Repeat([]byte{7}, secretBytes)).String()
	if !regexp.MustCompile(`^tdm_[0-9a-z]{1,32}_[0-9A-Za-z]{49}$`).MatchString(k) || !strings.HasPrefix(k, identity.APIKeyPrefix) {
		t.Errorf("no scanner finds %s", k)
	}
	if regexp.MustCompile(`\W`).MatchString(k) {
		t.Errorf("a double click does not select all of %s", k)
	}
	if _, err := newToken("id", strings.NewReader("short")); err == nil {
		t.Error("a key was made of too little randomness")
	}
}

func TestWhatIsNoKey(t *testing.T) {
	good := made(t, "0199b1f26f0c7a519d3c8f5b2f6f1c11", bytes.Repeat([]byte{7}, secretBytes)).String()
	if _, err := parse(good); err != nil {
		t.Fatal(err)
	}
	for i := range good { // the checksum finds every character that is mistyped
		wrong := byte('x')
		if good[i] == wrong {
			wrong = 'y'
		}
		if k, err := parse(good[:i] + string(wrong) + good[i+1:]); err == nil {
			t.Errorf("with character %d wrong: %+v", i, k)
		}
	}
	for _, text := range []string{
		"", "tdm_", good + "0", good[1:], good[:len(good)-1], " " + good, good + "\n", strings.ToUpper(good), strings.Replace(good, "tdm_", "tdn_", 1),
		strings.Replace(good, "_0", "__", 1), good + good,
	} {
		if k, err := parse(text); err == nil {
			t.Errorf("%q is %+v", text, k)
		}
	}
}

// FuzzParse holds that what is taken for a key is one: it has one spelling, and what is made of its parts is the same.
func FuzzParse(f *testing.F) {
	for _, id := range []string{"0199b1f26f0c7a519d3c8f5b2f6f1c11", "id1"} {
		k, err := newToken(id, rand.Reader)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(k.String())
	}
	f.Add("tdm__")
	f.Add("tdm_id_" + strings.Repeat("0", 49))
	f.Fuzz(func(t *testing.T, text string) {
		k, err := parse(text)
		if err != nil {
			if k != (token{}) {
				t.Errorf("refused, and yet %+v", k)
			}
			return
		}
		if k.String() != text || len(k.secret) != secretDigits || k.id == "" {
			t.Errorf("%q was parsed as %+v", text, k)
		}
	})
}

func TestAKeyMayWhatItsCreatorMayToo(t *testing.T) {
	permissions := []string{"analytics.dashboard:read", "analytics.dashboard:write", "analytics.metrics:read", "ml.models:read", "ml.models:write"}
	patterns := []string{"*:*", "*:read", "*:write", "analytics.*:*", "analytics.*:read", "analytics.dashboard:*", "analytics.dashboard:read", "ml.*:write", "ml.models:read"}
	for _, scope := range patterns {
		for _, other := range patterns {
			for _, held := range patterns {
				scopes := []string{scope, other}
				a := narrow(scopes, identity.Access{Permissions: []string{held}, Grants: []identity.Grant{{Permission: held, Resource: "r"}}})
				if _, err := rbac.ParsePermissions("", a.Permissions); err != nil {
					t.Errorf("%v of %s is %v", scopes, held, a.Permissions)
				}
				for _, p := range permissions {
					want := identity.CoversAny(scopes, p) && identity.Covers(held, p)
					if a.Can(p) != want {
						t.Fatalf("scopes %v of who has %s may %s: %v", scopes, held, p, !want)
					}
					a.Permissions = nil
					if a.CanOn(p, "r", time.Time{}) != want {
						t.Fatalf("scopes %v of who was granted %s may %s: %v", scopes, held, p, !want)
					}
					a.Permissions = narrow(scopes, identity.Access{Permissions: []string{held}}).Permissions
				}
			}
		}
	}
}
