package main

import (
	"bytes"
	"context"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/pkg/events"
	"github.com/tandemhq/tandem/pkg/privacy"
)

// overheard is a bus that remembers what was published on it, by topic.
type overheard struct {
	events.Bus
	mu   sync.Mutex
	told map[string][]events.Raw
}

func (o *overheard) Publish(ctx context.Context, wireTopic string, event []byte) error {
	if raw, err := events.Decode(event); err == nil {
		o.mu.Lock()
		o.told[raw.Type] = append(o.told[raw.Type], raw)
		o.mu.Unlock()
	}
	return o.Bus.Publish(ctx, wireTopic, event)
}

// of are the events of a topic so far.
func (o *overheard) of(topic string) []events.Raw {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.told[topic])
}

// schemaOf is a topic's name with what decodes its data, nothing else in it.
func schemaOf[T any](topic events.Topic[T]) (string, func(json.RawMessage) error) {
	return topic.Name, func(data json.RawMessage) error {
		decoder := json.NewDecoder(bytes.NewReader(data))
		decoder.DisallowUnknownFields()
		return decoder.Decode(new(T))
	}
}

// authTopics are the topics of the auth group, with what decodes their data.
func authTopics() map[string]func(json.RawMessage) error {
	all := map[string]func(json.RawMessage) error{}
	add := func(name string, decode func(json.RawMessage) error) { all[name] = decode }
	add(schemaOf(authapi.UserRegistered))
	add(schemaOf(authapi.UserProvisioned))
	add(schemaOf(authapi.UserVerified))
	add(schemaOf(authapi.UserEmailChanged))
	add(schemaOf(authapi.UserJoined))
	add(schemaOf(authapi.UserRemoved))
	add(schemaOf(authapi.OrganizationUpdated))
	add(schemaOf(authapi.OrganizationErased))
	add(schemaOf(authapi.SessionRevoked))
	add(schemaOf(authapi.RoleChanged))
	add(schemaOf(authapi.PlanChanged))
	add(schemaOf(authapi.AccessChanged))
	add(schemaOf(authapi.PasswordChanged))
	add(schemaOf(authapi.PasswordResetRequested))
	add(schemaOf(authapi.DeviceAdded))
	add(schemaOf(authapi.MFAChanged))
	add(schemaOf(authapi.EmailLinkRequested))
	add(schemaOf(authapi.InvitationIssued))
	add(schemaOf(authapi.LegalAccepted))
	add(schemaOf(privacy.Requested))
	add(schemaOf(privacy.OrganizationErasing))
	return all
}

// TestEveryTopicOfAuthIsAmongThese reads what authapi and privacy declare.
func TestEveryTopicOfAuthIsAmongThese(t *testing.T) {
	declared := slices.Sorted(slices.Values(append(topicsIn(t, "../auth/authapi"), topicsIn(t, "../../pkg/privacy")...)))
	if listed := slices.Sorted(maps.Keys(authTopics())); !slices.Equal(declared, listed) {
		t.Errorf("declared are %v\nin authTopics %v", declared, listed)
	}
	for _, promised := range []string{"auth.user.", "auth.organization.", "auth.session.revoked", "auth.role.changed", "auth.plan.changed"} {
		if !slices.ContainsFunc(declared, func(name string) bool { return strings.HasPrefix(name, promised) }) {
			t.Errorf("there is no topic %s", promised)
		}
	}
}

// topicsIn are the names of the topics that a package's variables are.
func topicsIn(t *testing.T, dir string) (names []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no package in %s: %v", dir, err)
	}
	for _, file := range files {
		tree, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(tree, func(n ast.Node) bool {
			literal, ok := n.(*ast.CompositeLit)
			if !ok {
				return true
			}
			if of, ok := literal.Type.(*ast.IndexExpr); ok {
				if name, ok := of.X.(*ast.SelectorExpr); ok && name.Sel.Name == "Topic" {
					text, err := strconv.Unquote(literal.Elts[0].(*ast.KeyValueExpr).Value.(*ast.BasicLit).Value)
					if err != nil {
						t.Fatal(err)
					}
					names = append(names, text)
				}
			}
			return true
		})
	}
	return names
}

// toldElsewhere are the events that the scenarios cannot bring about, with what does.
var toldElsewhere = map[string]string{
	authapi.UserProvisioned.Name: "it takes an identity provider, which the tests of apps/auth/internal/sso run",
}

// everyEventWasTold looks for an event of each topic among those that the scenarios brought about, and whether all that was
// published is what its topic says.
func everyEventWasTold(t *testing.T, p *process) {
	for topic, decode := range authTopics() {
		told := p.world.heard.of(topic)
		if (len(told) == 0) != (toldElsewhere[topic] != "") {
			t.Errorf("%d events %s were told by the scenarios; told elsewhere: %q", len(told), topic, toldElsewhere[topic])
		}
		for _, event := range told {
			if err := decode(event.Data); err != nil {
				t.Errorf("%s: %s: %v", topic, event.Data, err)
				break
			}
		}
	}
}
