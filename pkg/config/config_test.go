package config_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/tandemhq/tandem/pkg/config"
)

func TestDefaultsServeALaptop(t *testing.T) {
	c, err := config.Parse(nil)
	if err != nil {
		t.Fatal(err)
	}
	if c.Groups != "all" || c.Listen != "127.0.0.1" || c.Environment != config.Development || c.Calls != "dapr" {
		t.Errorf("defaults %+v", c)
	}
}

func TestWhatIsRefused(t *testing.T) {
	production := []string{"TANDEM_ENV=production", "APP_API_TOKEN=a", "DAPR_API_TOKEN=b", "TANDEM_METRICS_TOKEN=c"}
	if _, err := config.Parse(production); err != nil {
		t.Errorf("production with its tokens: %v", err)
	}
	for _, c := range []struct {
		environ []string
		names   string
	}{
		{[]string{"TANDEM_ENV=staging"}, "TANDEM_ENV"},
		{[]string{"TANDEM_LISTEN=0.0.0.0"}, "TANDEM_LISTEN"},
		{[]string{"TANDEM_CALLS=both"}, "TANDEM_CALLS"},
		{[]string{"APP_PORT=eighty"}, "AppPort"},
		{[]string{"SHOPIFY_BASE_URL={shop}"}, "SHOPIFY_BASE_URL"},
		{append(production[:len(production):len(production)], "APP_API_TOKEN="), "APP_API_TOKEN"},
		{append(production[:len(production):len(production)], "DAPR_API_TOKEN="), "DAPR_API_TOKEN"},
		{append(production[:len(production):len(production)], "TANDEM_METRICS_TOKEN="), "TANDEM_METRICS_TOKEN"},
	} {
		if _, err := config.Parse(c.environ); err == nil || !strings.Contains(err.Error(), c.names) {
			t.Errorf("%v: %v does not name %s", c.environ, err, c.names)
		}
	}
}

func TestOpenDoorsAreNamed(t *testing.T) {
	for _, c := range []struct {
		environ []string
		doors   int
	}{{nil, 2}, {[]string{"APP_API_TOKEN=a"}, 1}, {[]string{"APP_API_TOKEN=a", "DAPR_API_TOKEN=b"}, 0}} {
		parsed, err := config.Parse(c.environ)
		if err != nil || len(parsed.Open()) != c.doors {
			t.Errorf("%v leaves %q open (%v), want %d doors", c.environ, parsed.Open(), err, c.doors)
		}
	}
}

func TestSecretsAreNeverPrinted(t *testing.T) {
	c, err := config.Parse([]string{"MONGO_URL=mongodb://u:hunter2@db", "APP_API_TOKEN=hunter2", "DAPR_API_TOKEN=hunter2", "TANDEM_METRICS_TOKEN=hunter2"})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	slog.New(slog.NewJSONHandler(&out, nil)).Info("", "config", c, "token", c.AppAPIToken)
	text, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(&out, "%v %+v %#v %s %s", c, c, c, c.MongoURL, text)
	if strings.Contains(out.String(), "hunter2") {
		t.Errorf("a secret was printed: %s", out.String())
	}
}

func TestEverySettingIsDocumented(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range config.Reference() {
		if s.Name == "" || s.Doc == "" || seen[s.Name] {
			t.Errorf("setting %+v", s)
		}
		seen[s.Name] = true
	}
}
