package connector_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
	"github.com/tandemhq/tandem/pkg/secrets"
)

func TestWhatEndsAnAuthorization(t *testing.T) {
	said := ""
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprintf(w, `{"error":%q}`, said)
	}))
	t.Cleanup(server.Close)
	o := connector.OAuth{
		App: connector.App{Secret: func(context.Context) (secrets.Secret, error) { return secrets.New("hush"), nil }},
		Endpoint: func(string) oauth2.Endpoint {
			return oauth2.Endpoint{TokenURL: server.URL, AuthStyle: oauth2.AuthStyleInParams}
		},
		HTTP: http.DefaultClient, Now: time.Now,
	}
	for _, c := range []struct{ said, redeem, refresh string }{
		{"invalid_grant", connector.CodeGrantRevoked, connector.CodeGrantRevoked},
		{"invalid_request", connector.CodeGrantRevoked, connector.CodeRefused}, // our mistake, for which nobody has to authorize us again
		{"invalid_client", connector.CodeRefused, connector.CodeRefused},
	} {
		said = c.said
		if _, err := o.Redeem(t.Context(), "a", "", "code", ""); connector.Classify(err).Code != c.redeem {
			t.Errorf("%s of a code: %v", c.said, err)
		}
		if _, err := o.Refresh(t.Context(), "a", connector.Credentials{RefreshToken: secrets.New("r")}); connector.Classify(err).Code != c.refresh {
			t.Errorf("%s of a refresh token: %v", c.said, err)
		}
	}
}
