package rbac

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/apps/auth/internal/accounts"
	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/store"
)

// atOnce runs all of do at the same time and has their errors in order.
func atOnce(do ...func() error) []error {
	errs := make([]error, len(do))
	ready := make(chan struct{})
	var all sync.WaitGroup
	for i, f := range do {
		all.Go(func() { <-ready; errs[i] = f() })
	}
	close(ready)
	all.Wait()
	return errs
}

func TestOwnersWhoUnmakeEachOther(t *testing.T) {
	o := open(t, nil)
	for name, pair := range map[string]func(a, b identity.Principal) []func() error{
		"each the other": func(a, b identity.Principal) []func() error {
			return []func() error{
				func() error { return o.Assign(t.Context(), a, b.Subject, []string{"viewer"}, always) },
				func() error { return o.Assign(t.Context(), b, a.Subject, []string{"viewer"}, always) },
			}
		},
		"both by themselves": func(a, b identity.Principal) []func() error {
			return []func() error{
				func() error { return o.Assign(t.Context(), a, a.Subject, []string{"viewer"}, always) },
				func() error { return o.Leave(t.Context(), b, b.Subject) },
			}
		},
		"removed, and left": func(a, b identity.Principal) []func() error {
			return []func() error{
				func() error { return o.Leave(t.Context(), a, b.Subject) },
				func() error { return o.Leave(t.Context(), a, a.Subject) },
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			for i := range 25 {
				org := fmt.Sprintf("%s-%d", strings.Fields(name)[1], i)
				o.hire(t, org, map[string][]string{"ada": {"owner"}, "bob": {"owner"}})
				principal := func(user string) identity.Principal {
					return identity.Principal{Subject: user, Organization: org, Session: "s"}
				}
				errs := atOnce(pair(principal("ada"), principal("bob"))...)
				won, owners := 0, 0
				for _, err := range errs {
					switch problem.Code(err) {
					case "":
						if err != nil {
							t.Fatal(err)
						}
						won++
					case authapi.CodeLastOwner, authapi.CodeOwnersOnly, problem.CodeForbidden, problem.CodeNotFound:
					default:
						t.Errorf("refused by %v", err)
					}
				}
				err := o.accounts.Memberships.Each(t.Context(), store.Query{Index: accounts.ByOrganization, Equal: []any{org}}, func(doc store.Doc[accounts.Membership]) error {
					if slices.Contains(doc.Value.Roles, identity.Owner) {
						owners++
					}
					return nil
				})
				if err != nil || won != 1 || owners != 1 {
					t.Fatalf("%d won, %d owners, %v; errors %v", won, owners, err, errs)
				}
			}
		})
	}
}

func TestNoMemberHasARoleThatIsGone(t *testing.T) {
	o := open(t, map[string][]string{"ada": {"owner"}, "bob": {"viewer"}})
	for i := range 25 {
		role, user := fmt.Sprintf("role-%d", i), fmt.Sprintf("user-%d", i)
		o.role(t, role, "ml.*:read")
		errs := atOnce(
			func() error { return o.DeleteRole(t.Context(), as("ada"), role, always) },
			func() error { return o.Assign(t.Context(), as("ada"), "bob", []string{role}, always) },
			func() error { return o.Join(t.Context(), acme, user, []string{role}) },
		)
		c, err := o.d.charter(t.Context(), acme)
		if err != nil {
			t.Fatal(err)
		}
		for who, failed := range map[string]error{"bob": errs[1], user: errs[2]} {
			has := slices.Contains(o.roles(t, who), role)
			if has && !o.exists(c, role) || has != (failed == nil) {
				t.Fatalf("%s has %v, the role is there: %v; %v", who, o.roles(t, who), o.exists(c, role), errs)
			}
		}
		for _, err := range errs {
			if code := problem.Code(err); err != nil && code != authapi.CodeRoleInUse && code != problem.CodeValidation {
				t.Fatal(err)
			}
		}
		o.assign(t, "bob", "viewer")
	}
}

func TestManyAssignmentsOfOneMember(t *testing.T) {
	o := open(t, map[string][]string{"ada": {"owner"}, "bob": {"viewer"}})
	var do []func() error
	for i := range 16 {
		role := builtInNames[1+i%4]
		do = append(do, func() error { return o.Assign(t.Context(), as("ada"), "bob", []string{role}, always) })
	}
	for _, err := range atOnce(do...) {
		if err != nil {
			t.Fatal(err)
		}
	}
	changes, _, _ := o.told(t)
	if len(changes) == 0 {
		t.Fatal("nothing was told")
	}
	if got, last := o.roles(t, "bob"), changes[len(changes)-1].Roles; !slices.Equal(got, last) {
		t.Errorf("bob is %v, and the last to be told was %v", got, last)
	}
	if c, err := o.d.charter(t.Context(), acme); err != nil || len(c.Pending) != 0 {
		t.Errorf("pending: %v, %v", c.Pending, err)
	}
}
