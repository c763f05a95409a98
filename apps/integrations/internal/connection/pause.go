package connection

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/store"
)

// Pause has an organization's connection be left alone, until Resume or a disconnect. One that is paused stays so. Errors are
// problems: not_found and connection_disconnected.
func (s *Service) Pause(ctx context.Context, organization, id string) (Connection, error) {
	return s.setPaused(ctx, organization, id, true)
}

// Resume undoes Pause, and has the connection fall due at once, for what came meanwhile. Errors are problems as of Pause.
func (s *Service) Resume(ctx context.Context, organization, id string) (Connection, error) {
	c, err := s.setPaused(ctx, organization, id, false)
	if err != nil {
		return c, err
	}
	e := s.entry(organization, c)
	e.DueAt = store.At(s.Now())
	return c, s.enter(ctx, e)
}

func (s *Service) setPaused(ctx context.Context, organization, id string, paused bool) (Connection, error) {
	doc, err := s.connections.In(organization).Update(ctx, id, func(c *Connection) ([]store.Message, error) {
		switch {
		case c.Status == Disconnected:
			return nil, c.Usable()
		case !paused:
			c.PausedAt = nil
		case c.PausedAt == nil:
			now := store.At(s.Now())
			c.PausedAt = &now
		}
		return nil, nil
	})
	switch {
	case errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrBadID):
		return Connection{}, problem.NotFound("connection").Wrap(err)
	case err != nil:
		return Connection{}, fmt.Errorf("pause or resume the connection: %w", err)
	}
	return doc.Value, nil
}

// Syncable is nil when syncs of the connection may start, or the problem that says why not: those of Usable, and
// connection_paused.
func (c Connection) Syncable() error {
	if c.PausedAt != nil && c.Status != Disconnected {
		return problem.New(http.StatusConflict, CodePaused, "the connection is paused; resume it: POST /api/integrations/sync/resume")
	}
	return c.Usable()
}
