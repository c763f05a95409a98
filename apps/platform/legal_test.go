package main

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/pkg/identity"
)

func TestLegalPublishAndWithdraw(t *testing.T) {
	p := start(t)
	dir := t.TempDir()
	write := func(name, content string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	secretsFile := func(name, key string) string {
		content, err := json.Marshal(map[string]string{identity.GroupSecretName: key})
		if err != nil {
			t.Fatal(err)
		}
		return write(name, string(content))
	}
	key, err := p.Secret(identity.GroupSecretName)
	if err != nil {
		t.Fatal(err)
	}
	ours := secretsFile("secrets.json", key)
	others := secretsFile("others.json", base64.StdEncoding.EncodeToString([]byte(strings.Repeat("x", 32))))
	english, german := "en="+write("cookies.md", "\n# Cookies\n\nWe bake none."), "de="+write("kekse.md", "# Kekse\n\nWir backen keine.")
	run := func(secrets, command string, arguments ...string) error {
		return legalCommand(append([]string{command, "--url", p.API, "--secrets", secrets, "--kind", "cookies"}, arguments...))
	}
	show := func(query string) (d authapi.LegalDocument, status int) {
		t.Helper()
		resp, err := http.Get(p.API + "/api/auth/legal/documents/cookies" + query)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if err := json.NewDecoder(resp.Body).Decode(&d); err != nil {
			t.Fatal(err)
		}
		return d, resp.StatusCode
	}

	for range 2 { // the same again changes nothing
		if err := run(ours, "publish", "--version", "1", english, german); err != nil {
			t.Fatal(err)
		}
	}
	if d, status := show("?locale=de"); status != http.StatusOK || d.Title != "Kekse" || !strings.Contains(d.Text, "Wir backen") || d.Mandatory || !d.InForce || d.Locales[0] != "en" {
		t.Errorf("published %d %+v", status, d)
	}
	day := time.Now().AddDate(0, 1, 0).UTC().Format(time.DateOnly)
	if err := run(ours, "publish", "--version", "2", "--mandatory", "--effective", day, english); err != nil {
		t.Fatal(err)
	}
	if d, _ := show("?version=2"); !d.Mandatory || d.InForce || d.EffectiveAt.Format(time.RFC3339) != day+"T00:00:00Z" {
		t.Errorf("announced %+v", d)
	}
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"no command":       {legalCommand(nil), "say what to do"},
		"another command":  {run(ours, "burn", "--version", "1"), "say what to do"},
		"no version":       {run(ours, "publish", english), "say what to do"},
		"no text":          {run(ours, "publish", "--version", "3"), "say what to do"},
		"no locale":        {run(ours, "publish", "--version", "3", "cookies.md"), "<locale>=<file>"},
		"no file":          {run(ours, "publish", "--version", "3", "en=none.md"), "none.md"},
		"no title":         {run(ours, "publish", "--version", "3", "en="+write("bare.md", "None.")), "no heading"},
		"a bad time":       {run(ours, "publish", "--version", "3", "--effective", "tomorrow", english), "2027-01-01"},
		"a bad locale":     {run(ours, "publish", "--version", "3", "e="+english[3:]), "texts[0].locale"},
		"a gap":            {run(ours, "publish", "--version", "9", english), "not_next_version"},
		"another text":     {run(ours, "publish", "--version", "1", german), "version_published"},
		"in force":         {run(ours, "withdraw", "--version", "1"), "in_force"},
		"another's secret": {run(others, "publish", "--version", "3", english), "token_invalid"},
		"no secret":        {run(write("empty.json", "{}"), "publish", "--version", "3", english), identity.GroupSecretName},
		"no secrets":       {run(filepath.Join(dir, "none.json"), "withdraw", "--version", "2"), "none.json"},
		"no URL":           {legalCommand([]string{"withdraw", "--url", "localhost", "--secrets", ours, "--kind", "cookies", "--version", "2"}), "--url"},
		"nobody there":     {legalCommand([]string{"withdraw", "--url", "http://127.0.0.1:1", "--secrets", ours, "--kind", "cookies", "--version", "2"}), "127.0.0.1:1"},
	} {
		if c.err == nil || !strings.Contains(c.err.Error(), c.want) {
			t.Errorf("%s: %v; want an error with %q", name, c.err, c.want)
		}
	}
	if err := run(ours, "withdraw", "--version", "2"); err != nil {
		t.Fatal(err)
	}
	if d, status := show("?version=2"); status != http.StatusNotFound {
		t.Errorf("withdrawn, it is still there: %d %+v", status, d)
	}
}
