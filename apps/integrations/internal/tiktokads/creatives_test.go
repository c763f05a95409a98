package tiktokads_test

import (
	"testing"
	"time"

	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
	"github.com/tandemhq/tandem/apps/integrations/internal/connector/connectortest"
	"github.com/tandemhq/tandem/apps/integrations/internal/tiktokads"
)

func TestAdsTellWhatTheyShowAndWhatTheyCost(t *testing.T) {
	s := connectortest.New(t)
	c := tiktokads.NewConnector(s.Web, s.App)
	a := s.Connect(c, "demo")
	from, to := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC), time.Date(2026, 10, 31, 0, 0, 0, 0, time.UTC)
	for _, one := range s.Creatives(c, "demo", a, from, to, 4) {
		if (one.VideoURL != "") != (one.Kind == connector.CreativeVideo) || one.LinkURL == "" || one.ROAS == nil {
			t.Errorf("%+v", one)
		}
	}
	accounts, err := c.Accounts(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.Creatives(t.Context(), a, accounts[0], from.AddDate(-1, 0, 0), to, "", 50); connector.Classify(err).Code != connector.CodeInputRefused {
		t.Errorf("more days than TikTok reports on: %v", err)
	}
}
