package host_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/tandemhq/tandem/pkg/audit"
	"github.com/tandemhq/tandem/pkg/events"
	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/topology"
)

// Whoever changes something, or tries to, is in the audit log; reads are not.
func TestChangesLeaveAuditEntries(t *testing.T) {
	p := start(t, nil)
	owner, viewer := p.token(t, "owner"), p.token(t, "viewer")
	p.do("GET", base, owner, "")
	p.do("POST", base, owner, `{"text":"hello"}`)
	p.do("POST", base, owner, `{"text":"hello"}`, "Idempotency-Key", "once")
	p.do("POST", base, owner, `{"text":"hello"}`, "Idempotency-Key", "once")
	p.do("POST", base+"/n1/touch", viewer, "", "User-Agent", "curl/8")
	p.do("POST", base, owner, `{"rubbish":1}`)
	p.do("POST", base, p.groupToken(t, topology.ML), `{"text":"hello"}`)
	p.do("POST", base+"/ask", viewer, "")
	p.do("POST", base+"/ask", owner, "")
	for _, token := range []string{owner, viewer} {
		p.do("POST", base+"/n1/tell", token, "")
	}
	p.do("POST", base+"/lost/tell", owner, "")
	p.do("POST", base+"/last/touch", owner, "")

	want := []audit.Entry{
		{Action: "analytics.notes.create", Result: audit.Success},
		{Action: "analytics.notes.create", Result: audit.Success},
		{Action: "analytics.notes.touch", Result: audit.Denied, Code: "permission_denied", Resource: "n1", UserAgent: "curl/8"},
		{Action: "analytics.notes.create", Result: audit.Failure, Code: "validation_failed"},
		// Its own entry alone where it left one, and the host's under the same name where not.
		{Action: "analytics.notes.tell-of", Result: audit.Success, Resource: "note:n1"},
		{Action: "analytics.notes.tell-of", Result: audit.Denied, Code: "permission_denied", Resource: "n1"},
		{Action: "analytics.notes.tell-of", Result: audit.Failure, Code: "not_found", Resource: "lost"},
		{Action: "analytics.notes.touch", Result: audit.Success, Resource: "last"},
	}
	var got []audit.Entry
	for range want {
		var e audit.Entry
		raw, err := events.Decode(p.nextEvent(t))
		if err == nil {
			err = json.Unmarshal(raw.Data, &e)
		}
		if err != nil {
			t.Fatal(err)
		}
		if raw.Organization != "o1" || e.Actor.Subject == "" || e.Address == "" || e.At.IsZero() {
			t.Errorf("entry of %q: %+v; want organization, actor, address and time", raw.Organization, e)
		}
		got = append(got, audit.Entry{Action: e.Action, Result: e.Result, Code: e.Code, Resource: e.Resource, UserAgent: e.UserAgent})
	}
	for i := range want {
		if g, w := got[i], want[i]; g.Action != w.Action || g.Result != w.Result || g.Code != w.Code || g.Resource != w.Resource || g.UserAgent != w.UserAgent {
			t.Errorf("entry %d: %+v; want %+v", i, g, w)
		}
	}
}

// An entry names what was acted on, whether the path, the query, the body or only the operation knows it.
func TestAuditEntriesNameTheResource(t *testing.T) {
	p := start(t, nil)
	owner := p.token(t, "owner")
	granted := p.authority.Token(t, "o1", "u3", nil, nil)
	p.authority.Set("o1", "u3", identity.Access{Grants: []identity.Grant{{Permission: "analytics.notes:write", Resource: "n1"}}})
	for name, c := range map[string]struct {
		token, path, body string
		status            int
		want              string
	}{
		"the path":                 {owner, "/n1/touch", "", 200, "n1"},
		"the query":                {owner, "/move?note=n2", "", 200, "note:n2"},
		"the only one":             {owner, "/move", "", 200, "note:only"},
		"a denial by the query":    {p.token(t, "viewer"), "/move?note=n2", "", 403, "note:n2"},
		"what was made":            {owner, "/copy", `{"note":"n1"}`, 200, "note:copied"},
		"a failure by the body":    {owner, "/copy", `{"note":"lost"}`, 404, "note:lost"},
		"a denial by the body":     {granted, "/copy", `{"note":"n2"}`, 403, "note:n2"},
		"a body that is not valid": {granted, "/copy", `{"note":"n1","x":1}`, 422, "note:n1"},
	} {
		if w := p.do("POST", base+c.path, c.token, c.body); w.Code != c.status {
			t.Errorf("%s: %d %s; want %d", name, w.Code, w.Body, c.status)
		}
		var e audit.Entry
		raw, err := events.Decode(p.nextEvent(t))
		if err == nil {
			err = json.Unmarshal(raw.Data, &e)
		}
		if err != nil || e.Resource != c.want {
			t.Errorf("%s: an entry about %q, %v; want %q", name, e.Resource, err, c.want)
		}
	}
}

func (p *process) nextEvent(t *testing.T) []byte {
	t.Helper()
	select {
	case event := <-p.published:
		return event
	case <-time.After(10 * time.Second):
		t.Fatal("no event within 10 s")
		return nil
	}
}
