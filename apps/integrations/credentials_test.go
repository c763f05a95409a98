package integrations_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/tandemhq/tandem/apps/integrations/integrationsapi"
	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/topology"
)

const (
	// secretKey and the tokens of the sandbox, which begin like that, are to be seen nowhere but for their ends.
	secretKey = "shpat_topsecret01"
	mask      = "****"
)

// hides fails where a text shows a secret, or more of one than its last four characters behind a mask.
func hides(t *testing.T, what, text string) {
	t.Helper()
	for _, secret := range []string{"shpat_", "shprt_", "topsecret", "ecret01", "t01\"}"} {
		if strings.Contains(text, secret) {
			t.Errorf("%s shows %q: %s", what, secret, text)
		}
	}
	if strings.Contains(text, "nvelope") {
		t.Errorf("%s shows what is sealed: %s", what, text)
	}
}

func TestTheVaultShowsHowCredentialsAreAndWhoUsedThem(t *testing.T) {
	p := start(t, 60)
	u := p.user("o1", "owner")
	shop, authorized := u.connect("key-shop"), u.install("demo")
	u.sync(shop, "backfill")
	u.want(200, "POST /credentials/"+authorized+"/test", "")
	rotated := u.want(200, "POST /credentials/"+authorized+"/rotate", "")
	if rotated.body["refreshed_at"] == nil {
		t.Errorf("rotated: %s", rotated.text)
	}
	if n := p.asked("refresh_token"); n != 1 {
		t.Errorf("the vendor was asked %d times", n)
	}
	if a := u.want(409, "POST /credentials/"+shop+"/rotate", ""); a.code() != "connection_not_authorized" {
		t.Errorf("%s", a.text)
	}

	list := u.want(200, "GET /credentials", "")
	hides(t, "the list", list.text)
	byID := map[string]map[string]any{}
	for _, item := range list.body["items"].([]any) {
		c := item.(map[string]any)
		byID[c["connection_id"].(string)] = c
	}
	for _, want := range []struct {
		id, kind, masked, purpose string
		rotatable                 bool
	}{
		{shop, "key", mask + "et01", "sync", false}, {authorized, "oauth", "", "refresh", true},
	} {
		c := byID[want.id]
		masked, _ := c["masked"].(string)
		sealed, _ := c["sealed_with"].(map[string]any)
		last, _ := c["last_use"].(map[string]any)
		if c["kind"] != want.kind || want.masked != "" && masked != want.masked || len(masked) != 8 || !strings.HasPrefix(masked, mask) || c["rotatable"] != want.rotatable ||
			sealed["current"] != true || len(sealed["id"].(string)) != 16 || last["purpose"] != want.purpose || last["actor"] != "u-o1-owner" || c["given_at"] == nil {
			t.Errorf("want %+v: %v", want, c)
		}
	}
	if byID[authorized]["expires_at"] == nil || byID[shop]["expires_at"] != nil || byID[shop]["last_use"].(map[string]any)["run_id"] == nil {
		t.Errorf("%s", list.text)
	}

	one := u.want(200, "GET /credentials/"+authorized, "")
	hides(t, "the details", one.text)
	var purposes []string
	for _, use := range one.body["uses"].([]any) {
		purposes = append(purposes, use.(map[string]any)["purpose"].(string))
	}
	if strings.Join(purposes, " ") != "refresh test" {
		t.Errorf("used for %v", purposes)
	}

	u.want(204, "DELETE /shopify?connection_id="+authorized, "")
	if gone := u.want(200, "GET /credentials/"+authorized, ""); gone.body["masked"] != nil || gone.body["sealed_with"] != nil || gone.body["rotatable"] != false ||
		gone.body["last_use"].(map[string]any)["purpose"] != "disconnect" {
		t.Errorf("after a disconnect: %s", gone.text)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	hides(t, "the log", p.log.String())
}

func TestTheVaultIsListedInPages(t *testing.T) {
	u := start(t, 1).user("o1", "owner")
	want := map[string]bool{}
	for _, shop := range []string{"a-shop", "b-shop", "c-shop"} {
		want[u.connect(shop)] = true
	}
	for cursor := ""; ; {
		page := u.want(200, "GET /credentials?limit=2&cursor="+cursor, "")
		for _, item := range page.body["items"].([]any) {
			id := item.(map[string]any)["connection_id"].(string)
			if !want[id] {
				t.Errorf("%s twice, or nobody's", id)
			}
			delete(want, id)
		}
		next, _ := page.body["next_cursor"].(string)
		if cursor = next; cursor == "" {
			break
		}
	}
	if len(want) > 0 {
		t.Errorf("%v are in no page", want)
	}
	if a := u.want(422, "GET /credentials?cursor=nonsense", ""); a.code() == "" {
		t.Errorf("%s", a.text)
	}
}

func TestWhoMaySeeTheVault(t *testing.T) {
	p := start(t, 1)
	u := p.user("o1", "owner")
	id := u.connect("demo")
	stranger := p.user("o2", "owner")
	if a := stranger.want(200, "GET /credentials", ""); len(a.body["items"].([]any)) != 0 {
		t.Errorf("another organization sees %s", a.text)
	}
	reader, nobody := p.user("o1", "viewer"), p.user("o1")
	for _, what := range []string{"GET /credentials/" + id, "POST /credentials/" + id + "/test", "POST /credentials/" + id + "/rotate"} {
		stranger.want(404, what, "")
		if nobody.want(403, what, ""); strings.HasPrefix(what, "POST") {
			reader.want(403, what, "")
		}
	}
	nobody.want(403, "GET /credentials", "")
	reader.want(200, "GET /credentials", "")
	u.want(403, "GET /credentials/sealing", "") // the operator's: it tells of all organizations
	if used := u.want(200, "GET /credentials/"+id, ""); used.body["last_use"] != nil {
		t.Errorf("a use that was refused is noted: %s", used.text)
	}
}

func TestAnotherGroupsCallTellsHowCredentialsAreSealed(t *testing.T) {
	p := start(t, 1)
	p.user("o1", "owner").connect("demo")
	p.user("o2", "owner").connect("demo")
	got, err := integrationsapi.Client{Client: p.calls}.Sealing(identity.AsGroup(t.Context(), topology.Analytics, "o1"))
	if err != nil || got.Values != 2 || got.Left != 0 || got.Unreadable != 0 || len(got.Key) != 16 {
		text, _ := json.Marshal(got)
		t.Errorf("%s, %v", text, err)
	}
}
