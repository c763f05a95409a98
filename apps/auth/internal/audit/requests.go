package audit

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/apps/auth/internal/accounts"
	"github.com/tandemhq/tandem/pkg/audit"
	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/privacy"
	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/runs"
	"github.com/tandemhq/tandem/pkg/store"
	"github.com/tandemhq/tandem/pkg/topology"
)

const (
	// archiveKept is how long an archive can be downloaded, requestKept how long a request is known: it is the proof that it
	// was answered.
	archiveKept = 7 * 24 * time.Hour
	requestKept = 400 * 24 * time.Hour
)

// manage is the permission of who may make and see requests about others.
const manage = "auth.audit:write"

// Ask begins a data request of p about user, "" for p themselves. Problems: 404 not_found for who is none of the organization's,
// 403 permission_denied about another without the permission, 401 step_up_required to erase with one factor,
// 409 data_request_running with the Location of the one that runs, and those of Config.MayErase.
func (s *Service) Ask(ctx context.Context, p identity.Principal, kind privacy.Kind, user string) (*authapi.DataRequest, error) {
	if user == "" {
		user = p.Subject
	}
	if err := s.mayAsk(ctx, p, kind, user); err != nil {
		return nil, err
	}
	now := store.At(s.c.Now())
	r := request{
		Organization: p.Organization, User: user, Kind: kind, By: p.Subject, State: collecting, CreatedAt: now,
		DeadlineAt: store.At(now.Add(DataDeadline)), DueAt: store.At(now.Add(requestKept)),
	}
	id := s.c.NewID()
	// The run comes first: its first step writes the request if this process ends in between.
	if _, err := s.c.Runs.Start(ctx, runKind, r.Organization, id, r); err != nil {
		return nil, fmt.Errorf("start a data request: %w", err)
	}
	doc, err := s.ensure(ctx, id, r)
	if err != nil {
		return nil, err
	}
	return s.requestView(ctx, doc)
}

func (s *Service) mayAsk(ctx context.Context, p identity.Principal, kind privacy.Kind, user string) error {
	if user != p.Subject || p.Session == "" {
		if !p.Can(manage) {
			return problem.Newf(http.StatusForbidden, problem.CodeForbidden, "this needs the permission %s", manage)
		}
		if err := s.known(ctx, p.Organization, user); err != nil {
			return err
		}
	}
	if kind == privacy.ErasePerson {
		if p.Key != "" {
			return problem.New(http.StatusForbidden, problem.CodeForbidden, "to erase a person takes somebody who is signed in")
		}
		if p.Session != "" && p.ACR != identity.ACRMultiFactor {
			return problem.StepUp()
		}
		if err := s.c.MayErase(ctx, p.Organization, user); err != nil {
			return err
		}
	}
	running, err := s.running(ctx, p.Organization, user, kind)
	if err != nil || running == "" {
		return err
	}
	return problem.Newf(http.StatusConflict, authapi.CodeDataRequestRunning, "request %s is being worked on", running).
		Header("Location", location(running))
}

func location(id string) string { return "/api/auth/audit/data-requests/" + id }

// known refuses who never did anything in the organization: a member, or a former one whom the log knows, passes.
func (s *Service) known(ctx context.Context, organization, user string) error {
	_, err := s.c.Accounts.Membership(ctx, organization, user)
	if accounts.IsNotFound(err) || errors.Is(err, store.ErrBadID) {
		_, err = s.d.records.In(organization).First(ctx, store.Query{Index: byActor, Equal: []any{user}})
	}
	if isNotFound(err) {
		return problem.NotFound("member").Wrap(err)
	}
	return wrapped(err, "look for a member")
}

// running is the request of a kind about user that is not answered yet, or "".
func (s *Service) running(ctx context.Context, organization, user string, kind privacy.Kind) (string, error) {
	latest, err := s.d.requests.Find(ctx, store.Query{Index: byUser, Equal: []any{organization, user}, Descending: true, Limit: 10})
	if err != nil {
		return "", fmt.Errorf("look for earlier data requests: %w", err)
	}
	for _, doc := range latest.Items {
		status, err := s.status(ctx, doc)
		if err != nil {
			return "", err
		}
		if doc.Value.Kind == kind && (status == authapi.DataCollecting || status == authapi.DataFinishing) {
			return doc.ID, nil
		}
	}
	return "", nil
}

// ensure writes a request that is not there yet. The groups are asked with the same write, so that whoever is asked finds it.
func (s *Service) ensure(ctx context.Context, id string, r request) (store.Doc[request], error) {
	asked, err := privacy.Requested.Message(ctx, s.c.Emit, r.Organization, privacy.Request{
		ID: id, Kind: r.Kind, OrganizationID: r.Organization, UserID: r.User,
	})
	if err != nil {
		return store.Doc[request]{}, err
	}
	e := audit.Entry{Action: "auth.audit.request-data", Resource: resourceOf(r.User), Details: map[string]string{"kind": string(r.Kind), "request": id}}
	if p, _ := identity.From(ctx); p.Subject != r.By { // the run writes it, whoever asked
		e.Actor.Subject = r.By
	}
	entry, err := audit.Message(ctx, s.c.Emit, r.Organization, e)
	if err != nil {
		return store.Doc[request]{}, err
	}
	doc, err := s.d.requests.Insert(ctx, id, r, asked, entry)
	if errors.Is(err, store.ErrExists) {
		doc, err = s.d.requests.Get(ctx, id)
	}
	return doc, wrapped(err, "write a data request")
}

// Request is the request of an id as p may see it: their own, or any with the permission. Problem: 404 not_found.
func (s *Service) Request(ctx context.Context, p identity.Principal, id string) (*authapi.DataRequest, error) {
	doc, err := s.visible(ctx, p, id)
	if err != nil {
		return nil, err
	}
	return s.requestView(ctx, doc)
}

func (s *Service) visible(ctx context.Context, p identity.Principal, id string) (store.Doc[request], error) {
	doc, err := s.request(ctx, p.Organization, id)
	if err == nil && doc.Value.User != p.Subject && !p.Can(manage) {
		err = problem.NotFound("data request")
	}
	return doc, err
}

func (s *Service) request(ctx context.Context, organization, id string) (store.Doc[request], error) {
	doc, err := s.d.requests.Get(ctx, id)
	switch {
	case isNotFound(err), errors.Is(err, store.ErrBadID), err == nil && doc.Value.Organization != organization:
		return doc, problem.NotFound("data request").Wrap(err)
	case err != nil:
		return doc, fmt.Errorf("read a data request: %w", err)
	}
	return doc, nil
}

// Requests is a page of the requests that p may see, newest first.
func (s *Service) Requests(ctx context.Context, p identity.Principal, cursor string, limit int) (*authapi.DataRequests, error) {
	q := store.Query{Index: byUser, Equal: []any{p.Organization, p.Subject}}
	if p.Can(manage) {
		q = store.Query{Index: byCreation, Equal: []any{p.Organization}}
	}
	q.Descending, q.Cursor, q.Limit = true, cursor, limit
	page, err := s.d.requests.Find(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("list data requests: %w", err)
	}
	list := &authapi.DataRequests{Items: []authapi.DataRequest{}, NextCursor: page.Next}
	for _, doc := range page.Items {
		v, err := s.requestView(ctx, doc)
		if err != nil {
			return nil, err
		}
		list.Items = append(list.Items, *v)
	}
	return list, nil
}

// status is where a request stands. One that is under way has failed when its run has.
func (s *Service) status(ctx context.Context, doc store.Doc[request]) (authapi.DataRequestStatus, error) {
	r := doc.Value
	if r.State == collecting || r.State == finishing {
		run, err := s.c.Runs.Get(ctx, r.Organization, doc.ID)
		switch {
		case errors.Is(err, runs.ErrNotFound), run.Status == runs.Failed, run.Status == runs.Cancelled:
			return authapi.DataFailed, nil
		case err != nil:
			return "", err
		}
	}
	return authapi.DataRequestStatus(r.State), nil
}

func (s *Service) requestView(ctx context.Context, doc store.Doc[request]) (*authapi.DataRequest, error) {
	r := doc.Value
	status, err := s.status(ctx, doc)
	if err != nil {
		return nil, err
	}
	v := &authapi.DataRequest{
		ID: doc.ID, Kind: r.Kind, UserID: r.User, RequestedBy: r.By, Status: status, CreatedAt: r.CreatedAt.Time,
		DeadlineAt: r.DeadlineAt.Time, Groups: []authapi.DataPart{}, Missing: s.missing(r),
	}
	if r.FinishedAt != nil {
		v.FinishedAt = &r.FinishedAt.Time
	}
	if r.Archive != nil {
		v.Bytes, v.ExpiresAt = r.Archive.Bytes, &r.DueAt.Time
	}
	for _, group := range slices.Sorted(maps.Keys(r.Parts)) {
		p := r.Parts[group]
		v.Groups = append(v.Groups, authapi.DataPart{Group: group, Documents: p.Documents, Bytes: p.Bytes, Problem: p.Problem, At: p.At.Time})
	}
	return v, nil
}

// missing are the groups that have not delivered.
func (s *Service) missing(r request) []topology.Group {
	left := []topology.Group{}
	for _, group := range s.c.Groups {
		if _, there := r.Parts[group]; !there {
			left = append(left, group)
		}
	}
	return left
}

// Person is whom a request is about, for the groups that work on it: 404 not_found.
func (s *Service) Person(ctx context.Context, organization, id string) (*privacy.Person, error) {
	doc, err := s.request(ctx, organization, id)
	if err != nil {
		return nil, err
	}
	p, err := s.person(ctx, doc.Value)
	return &p, err
}

func (s *Service) person(ctx context.Context, r request) (privacy.Person, error) {
	p := privacy.Person{Organization: r.Organization, User: r.User}
	doc, err := s.c.Accounts.Users.Get(ctx, r.User)
	if err != nil && !isNotFound(err) {
		return p, fmt.Errorf("read the person of a data request: %w", err)
	}
	p.Email = doc.Value.Email
	return p, nil
}

// Deliver takes a group's part of a request. The first that a group delivers counts; others change nothing. Problems:
// 404 not_found, 409 data_request_closed, 422 validation_failed.
func (s *Service) Deliver(ctx context.Context, organization, id string, group topology.Group, p privacy.Part) error {
	if !slices.Contains(s.c.Groups, group) {
		return problem.Invalid("path.group", "want one of "+topology.FormatGroups(s.c.Groups))
	}
	doc, err := s.request(ctx, organization, id)
	if err != nil {
		return err
	}
	if _, again := doc.Value.Parts[group]; !again {
		if err := s.take(ctx, id, group, p); err != nil {
			return err
		}
	}
	if err := s.c.Runs.Wake(ctx, organization, id); err != nil && !errors.Is(err, runs.ErrFinished) {
		return fmt.Errorf("go on with a data request: %w", err)
	}
	return nil
}

// take stores a part.
func (s *Service) take(ctx context.Context, id string, group topology.Group, p privacy.Part) error {
	taken := part{Documents: p.Documents, Problem: p.Problem, At: store.At(s.c.Now())}
	if data := bytes.TrimSpace(p.Data); len(data) > 0 && !bytes.Equal(data, []byte("null")) {
		if !json.Valid(data) {
			return problem.Invalid("body.data", "want JSON")
		}
		// Named by what it says, so that two deliveries at once do not mix.
		sum := sha256.Sum256(data)
		w := s.writeBlob(ctx, id, string(group)+"-"+hex.EncodeToString(sum[:8]))
		if _, err := w.Write(data); err != nil {
			return err
		}
		var err error
		if taken.Data, err = w.end(); err != nil {
			return err
		}
		taken.Bytes = taken.Data.Bytes
	}
	_, err := s.d.requests.Update(ctx, id, func(r *request) ([]store.Message, error) {
		if _, again := r.Parts[group]; again {
			return nil, nil
		}
		if r.State != collecting && group != topology.Auth {
			return nil, problem.New(http.StatusConflict, authapi.CodeDataRequestClosed, "the request waits for no part any more")
		}
		parts := map[topology.Group]part{group: taken}
		maps.Copy(parts, r.Parts)
		r.Parts = parts
		return nil, nil
	})
	return wrapped(err, "store a part of a data request")
}

// Archive is the archive of a request that p may see, to be read with WriteArchive. Problems: 404 not_found,
// 409 data_request_not_ready, 410 data_request_expired.
func (s *Service) Archive(ctx context.Context, p identity.Principal, id string) (int64, error) {
	doc, err := s.visible(ctx, p, id)
	if err != nil {
		return 0, err
	}
	switch r := doc.Value; {
	case r.State == expired, r.State == ready && !s.c.Now().Before(r.DueAt.Time):
		return 0, problem.New(http.StatusGone, authapi.CodeDataRequestExpired, "the archive could be downloaded for 7 days; ask anew")
	case r.State != ready:
		return 0, problem.New(http.StatusConflict, authapi.CodeDataRequestNotReady, "there is no archive to download")
	}
	m, err := s.entry(ctx, doc.Value.Organization, "download-data", resourceOf(doc.Value.User), map[string]string{"request": id})
	if err != nil {
		return 0, err
	}
	return doc.Value.Archive.Bytes, s.c.DB.Outbox().Add(ctx, m)
}

// Forget deletes archives that have expired, and requests that are old. It is an hourly job.
func (s *Service) Forget(ctx context.Context) error {
	now := store.At(s.c.Now())
	due := store.Query{Index: byDue, Range: store.Range{Field: "due_at", To: now}}
	err := s.d.requests.Each(ctx, due, func(doc store.Doc[request]) error { return s.forget(ctx, doc) })
	return wrapped(err, "forget data requests")
}

func (s *Service) forget(ctx context.Context, doc store.Doc[request]) error {
	if err := s.dropBlobs(ctx, doc.ID, nil); err != nil {
		return err
	}
	var err error
	if doc.Value.State == ready {
		doc.Value.State, doc.Value.Archive = expired, nil
		doc.Value.DueAt = store.At(doc.Value.CreatedAt.Add(requestKept))
		_, err = s.d.requests.Replace(ctx, doc)
	} else {
		err = s.d.requests.Delete(ctx, doc.ID, doc.Version)
	}
	if errors.Is(err, store.ErrConflict) || isNotFound(err) {
		return nil // another process did it
	}
	return err
}
