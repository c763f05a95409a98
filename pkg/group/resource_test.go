package group_test

import (
	"context"
	"strings"
	"testing"

	"github.com/tandemhq/tandem/pkg/group"
)

type named struct {
	ID string `path:"id"`
	of
	Body struct {
		Note  string `json:"note,omitempty"`
		Pages int    `json:"pages"`
	}
}

type of struct {
	Note string `query:"note"`
}

type module func(*group.Routes)

func (module) Name() string             { return "notes" }
func (m module) Routes(r *group.Routes) { m(r) }

// An operation is about what its path names last, or what it declares, which its input must have.
func TestWhatAnOperationIsAbout(t *testing.T) {
	for name, c := range map[string]struct {
		path  string
		about []group.Option
		at    string
		wrong string
	}{
		"the last parameter":      {"/books/{book}/notes/{id}", nil, "path.id", ""},
		"nothing":                 {"/notes", nil, "", ""},
		"a parameter":             {"/notes/{id}/{page}", []group.Option{group.About("note", "path.id")}, "path.id", ""},
		"the query":               {"/notes", []group.Option{group.About("note", "query.note")}, "query.note", ""},
		"the body":                {"/notes", []group.Option{group.About("note", "body.note")}, "body.note", ""},
		"a query it has not":      {"/notes", []group.Option{group.About("note", "query.id")}, "query.id", "query.id, which its input has not"},
		"a field that is no text": {"/notes", []group.Option{group.About("note", "body.pages")}, "body.pages", "body.pages, which its input has not"},
		"nowhere":                 {"/notes", []group.Option{group.About("note", "header.id")}, "header.id", "want path.<name>"},
	} {
		o := group.Bind(group.Group{Spec: group.Spec{Name: "analytics"}, Modules: []group.Module{module(func(r *group.Routes) {
			group.Post(r, c.path, func(context.Context, *named) (*group.None, error) { return nil, nil }, append(c.about, group.SignedIn())...)
		})}})[0]
		if got := o.Resource.At(); got != c.at {
			t.Errorf("%s: %q; want %q", name, got, c.at)
		}
		if err := o.Check(); (err == nil) != (c.wrong == "") || err != nil && !strings.Contains(err.Error(), c.wrong) {
			t.Errorf("%s: error %v; want %q", name, err, c.wrong)
		}
	}
	r := group.Resource{Kind: "note"}
	if r.Entry("n1") != "note:n1" || r.Entry("") != "" || (group.Resource{}).Entry("n1") != "n1" {
		t.Errorf("entries name %q, %q and %q", r.Entry("n1"), r.Entry(""), (group.Resource{}).Entry("n1"))
	}
}
