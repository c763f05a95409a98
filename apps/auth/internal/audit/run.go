package audit

import (
	"archive/zip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/pkg/privacy"
	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/runs"
	"github.com/tandemhq/tandem/pkg/store"
	"github.com/tandemhq/tandem/pkg/topology"
)

// runKind is the kind of run that works on a data request.
const runKind = "data-request"

// archiveName is the name of the blob with the ZIP.
const archiveName = "archive"

// stage is the cursor of the run.
type stage struct {
	// Closed says that no part is taken any more.
	Closed bool `json:"closed,omitempty"`
	// Kept says that this group's own part is there.
	Kept bool `json:"kept,omitempty"`
	// Keeper is the next of this group's own that is to erase, Documents what those before it erased.
	Keeper    int   `json:"keeper,omitempty"`
	Documents int64 `json:"documents,omitempty"`
}

// RunKind makes data requests a kind of durable run. Each step may be done twice.
func (s *Service) RunKind() runs.Kind {
	return runs.Kind{Name: runKind, Step: s.step, MaxFailures: 300} // about a day
}

func (s *Service) step(ctx context.Context, run runs.Run) (runs.Next, error) {
	var first request
	var at stage
	if err := run.Into(&first, &at); err != nil {
		return runs.Next{}, err
	}
	if _, err := s.d.closed.Get(ctx, run.Organization); err == nil {
		return runs.Next{Done: true}, nil // the organization is gone, and its requests with it
	} else if !isNotFound(err) {
		return runs.Next{}, fmt.Errorf("look for the organization of a data request: %w", err)
	}
	doc, err := s.ensure(ctx, run.ID, first)
	if err != nil {
		return runs.Next{}, err
	}
	switch {
	case !at.Closed:
		return s.collect(ctx, doc, at)
	case !at.Kept && doc.Value.Kind == privacy.Export:
		return s.exportOwn(ctx, doc, at)
	case !at.Kept:
		return s.eraseOwn(ctx, doc, at)
	}
	return s.conclude(ctx, doc)
}

// collect waits for the parts, each of which wakes it, and closes the request when all are there or its time is over.
func (s *Service) collect(ctx context.Context, doc store.Doc[request], at stage) (runs.Next, error) {
	left := doc.Value.DeadlineAt.Sub(s.c.Now())
	if len(s.missing(doc.Value)) > 0 && left > 0 {
		return runs.Next{Wait: left}, nil
	}
	_, err := s.d.requests.Update(ctx, doc.ID, func(r *request) ([]store.Message, error) {
		if r.State == collecting {
			r.State = finishing
		}
		return nil, nil
	})
	at.Closed = true
	return runs.Next{Cursor: at}, wrapped(err, "close a data request")
}

// exportOwn adds what this group's keepers know.
func (s *Service) exportOwn(ctx context.Context, doc store.Doc[request], at stage) (runs.Next, error) {
	p, err := s.person(ctx, doc.Value)
	if err != nil {
		return runs.Next{}, err
	}
	all := map[string]any{}
	for _, keeper := range s.c.Keepers {
		if keeper.Export == nil {
			continue
		}
		data, err := keeper.Export(ctx, p)
		if err != nil {
			return runs.Next{}, fmt.Errorf("export what %s knows of a person: %w", keeper.Name, err)
		}
		if data != nil {
			all[keeper.Name] = data
		}
	}
	text, err := json.Marshal(all)
	if err != nil {
		return runs.Next{}, runs.Permanent(fmt.Errorf("encode what is known of a person: %w", err))
	}
	at.Kept = true
	return runs.Next{Cursor: at}, s.take(ctx, doc.ID, topology.Auth, privacy.Part{Data: text})
}

// eraseOwn has one of this group's keepers erase.
func (s *Service) eraseOwn(ctx context.Context, doc store.Doc[request], at stage) (runs.Next, error) {
	if at.Keeper == len(s.c.Keepers) {
		at.Kept = true
		return runs.Next{Cursor: at}, s.take(ctx, doc.ID, topology.Auth, privacy.Part{Documents: at.Documents})
	}
	keeper := s.c.Keepers[at.Keeper]
	if keeper.Erase != nil {
		p, err := s.person(ctx, doc.Value)
		if err != nil {
			return runs.Next{}, err
		}
		n, err := keeper.Erase(ctx, p)
		if err != nil {
			return runs.Next{}, fmt.Errorf("erase what %s knows of a person: %w", keeper.Name, err)
		}
		at.Documents += n
	}
	at.Keeper++
	return runs.Next{Cursor: at}, nil
}

// conclude makes the archive, or lets the parts stand as the report.
func (s *Service) conclude(ctx context.Context, doc store.Doc[request]) (runs.Next, error) {
	state, due := done, store.At(doc.Value.CreatedAt.Add(requestKept))
	var archive *blob
	if doc.Value.Kind == privacy.Export {
		w := s.writeBlob(ctx, doc.ID, archiveName)
		if err := s.writeZIP(ctx, w, doc); err != nil {
			return runs.Next{}, err
		}
		var err error
		if archive, err = w.end(); err != nil {
			return runs.Next{}, err
		}
		state, due = ready, store.At(s.c.Now().Add(archiveKept))
	}
	now := store.At(s.c.Now())
	concluded, err := s.d.requests.Update(ctx, doc.ID, func(r *request) ([]store.Message, error) {
		if r.FinishedAt != nil { // by a step whose end was not recorded
			return nil, nil
		}
		r.State, r.FinishedAt, r.DueAt, r.Archive = state, &now, due, archive
		parts := maps.Clone(r.Parts)
		for group, p := range parts {
			p.Data = nil
			parts[group] = p
		}
		r.Parts = parts
		return nil, nil
	})
	if err != nil {
		return runs.Next{}, fmt.Errorf("conclude a data request: %w", err)
	}
	if err := s.dropBlobs(ctx, doc.ID, concluded.Value.Archive); err != nil {
		return runs.Next{}, err
	}
	return runs.Next{Done: true}, nil
}

// manifest is what the archive says of itself.
type manifest struct {
	Request      string             `json:"request_id"`
	Organization string             `json:"organization_id"`
	User         string             `json:"user_id"`
	AskedAt      store.Time         `json:"asked_at"`
	Groups       []authapi.DataPart `json:"groups"`
	Missing      []topology.Group   `json:"missing"`
	Note         string             `json:"note"`
}

const note = "One file for each service that knows something of you in this organization. Services under missing did not answer in time; ask again for what they know."

// writeZIP writes the archive of a request: the same bytes whenever it is done, so that a step that is done twice does no harm.
func (s *Service) writeZIP(ctx context.Context, to io.Writer, doc store.Doc[request]) error {
	if doc.Value.FinishedAt != nil {
		return nil // the pieces are gone, and the archive is there
	}
	view, err := s.requestView(ctx, doc)
	if err != nil {
		return err
	}
	r := doc.Value
	z := zip.NewWriter(to)
	create := func(name string) (io.Writer, error) {
		return z.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate, Modified: r.CreatedAt.Time})
	}
	w, err := create("manifest.json")
	if err == nil {
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		err = encoder.Encode(manifest{doc.ID, r.Organization, r.User, r.CreatedAt, view.Groups, view.Missing, note})
	}
	for _, group := range slices.Sorted(maps.Keys(r.Parts)) {
		if err != nil {
			break
		}
		if p := r.Parts[group]; p.Data != nil {
			if w, err = create(string(group) + ".json"); err == nil {
				err = s.copyBlob(ctx, w, doc.ID, *p.Data)
			}
		}
	}
	if err == nil {
		err = z.Close()
	}
	return wrapped(err, "write the archive of a data request")
}

// WriteArchive writes the archive of a request to w: 404 not_found when it is gone.
func (s *Service) WriteArchive(ctx context.Context, w io.Writer, organization, id string) error {
	doc, err := s.request(ctx, organization, id)
	if err != nil {
		return err
	}
	if doc.Value.Archive == nil {
		return problem.NotFound("archive")
	}
	return s.copyBlob(ctx, w, id, *doc.Value.Archive)
}
