package audit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/pkg/audit"
	"github.com/tandemhq/tandem/pkg/group"
	"github.com/tandemhq/tandem/pkg/identity"
)

// Module is the routes of the audit log, of the security policy and of data requests.
type Module struct{ service *Service }

// NewModule serves s.
func NewModule(s *Service) *Module { return &Module{s} }

// Name implements group.Module.
func (m *Module) Name() string { return "audit" }

// Routes implements group.Module.
func (m *Module) Routes(r *group.Routes) {
	// The log is not for everybody who may read everything else: it says where colleagues were.
	inspect, read, write := group.Needs("auth.audit:inspect"), group.Needs("auth.audit:read"), group.Needs(manage)
	group.Get(r, "/entries", m.list, inspect,
		group.Doc("List audit entries, newest first", "A page may have fewer entries than `limit` and still not be the last: it is the last without `next_cursor`."))
	group.Stream(r, "/export", m.export, inspect, group.Action("export"),
		group.Doc("Export audit entries, oldest first", "As lines of JSON, or as CSV whose cells no spreadsheet takes for formulas. An answer that is cut off is not the whole export."))
	group.Get(r, "/verify", m.verify, inspect,
		group.Doc("Prove the audit log",
			"Recomputes the chain of hashes over a range of records. Whoever can change the whole database could compute the chain anew: keep `head` somewhere else, and ask later whether that sequence number still has that hash.",
			"A record from which an erased person was taken keeps its hash, which is over a salted commitment to that part; the salt is deleted."))
	group.Get(r, "/retention", m.retention, read, group.Doc("Show how long the audit log is kept"))
	group.Put(r, "/retention", m.setRetention, write, group.Action("retention"), group.StepUp(), group.Problems(http.StatusPreconditionFailed),
		group.Doc("Set how long the audit log is kept", "Older records are deleted daily. The rest stays provable: it continues the hash of the last one that was deleted."))
	group.Get(r, "/policy", m.policy, read, group.Doc("Show the security policy"))
	group.Put(r, "/policy", m.setPolicy, write, group.Action("policy"), group.StepUp(), group.Problems(http.StatusPreconditionFailed),
		group.Doc("Set the security policy", "Every process heeds it within 5 seconds. Networks that leave out the address that asks are refused with `policy_locks_you_out`."))
	m.dataRoutes(r)
}

// FilterInput selects entries.
type FilterInput struct {
	Actor    string       `query:"actor" maxLength:"200" doc:"Who acted: the id of a user, key:<id> or group:<name>" example:"0199b1f2-6f0c-7a51-9d3c-8f5b2f6f1c11"`
	Action   string       `query:"action" maxLength:"200" doc:"What the action begins with" example:"auth.sessions."`
	Resource string       `query:"resource" maxLength:"256" doc:"What was acted on" example:"user:0199b1f2-6f0c-7a51-9d3c-8f5b2f6f1c11"`
	Result   audit.Result `query:"result" enum:"success,denied,failure" doc:"How it went" example:"denied"`
	From     time.Time    `query:"from" doc:"Earliest time at which it happened, inclusive" example:"2026-01-01T00:00:00Z"`
	To       time.Time    `query:"to" doc:"Time before which it happened, exclusive" example:"2026-02-01T00:00:00Z"`
}

func (in FilterInput) filter() Filter { return Filter(in) }

// ListInput selects a page of entries.
type ListInput struct {
	FilterInput
	Cursor string `query:"cursor" maxLength:"2000" doc:"next_cursor of the page before, with the otherwise same query"`
	Limit  int    `query:"limit" minimum:"1" maximum:"200" default:"50" doc:"Most entries of the page" example:"20"`
}

func (m *Module) list(ctx context.Context, in *ListInput) (*authapi.AuditEntries, error) {
	return m.service.List(ctx, identity.Organization(ctx), in.filter(), in.Cursor, in.Limit)
}

// ExportInput selects entries and their form.
type ExportInput struct {
	FilterInput
	Format Format `query:"format" enum:"ndjson,csv" default:"ndjson" doc:"Form of the export" example:"csv"`
}

func (m *Module) export(ctx context.Context, in *ExportInput) (*huma.StreamResponse, error) {
	s, organization := m.service, identity.Organization(ctx)
	entry, err := s.entry(ctx, organization, "export", "", map[string]string{"format": string(in.Format)})
	if err != nil {
		return nil, err
	}
	if err := s.c.DB.Outbox().Add(ctx, entry); err != nil {
		return nil, fmt.Errorf("note that the audit log was exported: %w", err)
	}
	return group.Download(in.Format.MediaType(), "audit."+string(in.Format), 0, func(ctx context.Context, w io.Writer) error {
		out, err := in.Format.writer(w)
		if err != nil {
			return err
		}
		n := 0
		err = s.Each(ctx, organization, in.filter(), func(e authapi.AuditEntry) error {
			if n++; n%flushEvery == 0 {
				if err := out.Flush(); err != nil {
					return err
				}
				group.Flush(w)
			}
			return out.Write(e)
		})
		return errors.Join(err, out.Flush())
	}), nil
}

// VerifyInput is a range of the log.
type VerifyInput struct {
	From int64 `query:"from" minimum:"0" doc:"First sequence number, inclusive; 0 for the first there is" example:"1"`
	To   int64 `query:"to" minimum:"0" doc:"Last sequence number, inclusive; 0 for the last there is" example:"1000"`
}

func (m *Module) verify(ctx context.Context, in *VerifyInput) (*authapi.AuditVerification, error) {
	return m.service.Verify(ctx, identity.Organization(ctx), in.From, in.To)
}

func (m *Module) retention(ctx context.Context, _ *struct{}) (*group.Versioned[authapi.AuditRetention], error) {
	r, version, err := m.service.Retention(ctx, identity.Organization(ctx))
	if err != nil {
		return nil, err
	}
	return group.AtVersion(&r, version), nil
}

// RetentionInput is how long to keep the log from now on.
type RetentionInput struct {
	group.IfMatch
	Body authapi.AuditRetention
}

func (m *Module) setRetention(ctx context.Context, in *RetentionInput) (*group.Versioned[authapi.AuditRetention], error) {
	version, err := in.Version()
	if err != nil {
		return nil, err
	}
	version, err = m.service.SetRetention(ctx, identity.Organization(ctx), in.Body, version)
	if err != nil {
		return nil, err
	}
	return group.AtVersion(&in.Body, version), nil
}

func (m *Module) policy(ctx context.Context, _ *struct{}) (*group.Versioned[authapi.SecurityPolicy], error) {
	p, version, err := m.service.c.Policies.Read(ctx, identity.Organization(ctx))
	if err != nil {
		return nil, err
	}
	return group.AtVersion(&p, version), nil
}

// PolicyInput is the policy from now on.
type PolicyInput struct {
	group.IfMatch
	Body authapi.SecurityPolicy
}

func (m *Module) setPolicy(ctx context.Context, in *PolicyInput) (*group.Versioned[authapi.SecurityPolicy], error) {
	version, err := in.Version()
	if err != nil {
		return nil, err
	}
	version, err = m.service.SetPolicy(ctx, identity.Organization(ctx), in.Body, version)
	if err != nil {
		return nil, err
	}
	return group.AtVersion(&in.Body, version), nil
}
