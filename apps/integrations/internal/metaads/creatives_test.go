package metaads_test

import (
	"testing"
	"time"

	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
	"github.com/tandemhq/tandem/apps/integrations/internal/connector/connectortest"
	"github.com/tandemhq/tandem/apps/integrations/internal/metaads"
)

func TestAdsTellWhatTheyShowAndWhatTheyCost(t *testing.T) {
	s := connectortest.New(t)
	c := metaads.NewConnector(s.Web, s.App)
	a := s.Connect(c, "demo")
	from, to := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC), time.Date(2026, 10, 31, 0, 0, 0, 0, time.UTC)
	all := s.Creatives(c, "demo", a, from, to, 3)
	for _, one := range all {
		if one.Title == "" || one.PreviewURL == "" || one.ROAS == nil {
			t.Errorf("%+v", one)
		}
	}
	accounts, err := c.Accounts(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	none, next, err := c.Creatives(t.Context(), a, accounts[0], time.Date(2023, 11, 1, 0, 0, 0, 0, time.UTC), time.Date(2023, 11, 2, 0, 0, 0, 0, time.UTC), "", 50)
	if err != nil || len(none) != 0 || next != "" {
		t.Errorf("before there were ads: %v, %q, %v", none, next, err)
	}
	if _, _, err := c.Creatives(t.Context(), a, accounts[0], from, to, "elsewhere", 50); connector.Classify(connector.OfInput(err)).Code != connector.CodeInputRefused {
		t.Errorf("a cursor that is none: %v", err)
	}
}
