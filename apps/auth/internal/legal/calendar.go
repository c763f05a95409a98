package legal

import (
	"context"
	"log/slog"
	"time"
)

// look is how often a Calendar looks for versions that another process has announced.
const look = time.Second

// Calendar lets versions take effect at their moment while it runs. Schedules of Dapr are not exact enough: a
// new version is to be asked for everywhere within 5 s, of which the word of it takes up to 4 (see
// identity.Feed). Several processes may run one; each version takes effect once.
type Calendar struct {
	service *Service
	log     *slog.Logger

	cancel context.CancelFunc
	done   chan struct{}
}

// NewCalendar lets the versions of s take effect.
func NewCalendar(s *Service, log *slog.Logger) *Calendar { return &Calendar{service: s, log: log} }

// Start begins; it does not wait for the database.
func (c *Calendar) Start(ctx context.Context) error {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	c.cancel, c.done = cancel, make(chan struct{})
	go func() {
		defer close(c.done)
		c.run(ctx)
	}()
	return nil
}

func (c *Calendar) run(ctx context.Context) {
	for failing := false; ; {
		pause := look
		next, err := c.service.TakeEffect(ctx)
		if err != nil && !failing && ctx.Err() == nil {
			c.log.ErrorContext(ctx, "legal documents that are due do not take effect", "error", err)
		}
		if failing = err != nil; !failing && next >= 0 {
			pause = min(pause, next)
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}

// Stop ends it and waits for it.
func (c *Calendar) Stop(context.Context) error {
	if c.cancel != nil {
		c.cancel()
		<-c.done
	}
	return nil
}
