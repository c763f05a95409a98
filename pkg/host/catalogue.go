package host

import (
	"context"
	"time"
)

// reportAgain is how long after a failure the permissions are reported again.
const reportAgain = 5 * time.Second

// catalogue tells the auth group what the operations of the hosted groups need, once, so that the list of
// permissions is collected and not typed. It is a component.
type catalogue struct {
	h         *Host
	authority Authority
	cancel    context.CancelFunc
	done      chan struct{}
}

// Start begins to report; while auth cannot be reached nothing waits for it.
func (c *catalogue) Start(ctx context.Context) error {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	c.cancel, c.done = cancel, make(chan struct{})
	go func() {
		defer close(c.done)
		for _, name := range c.h.hosted {
			for failing := false; ; failing = true {
				err := c.authority.Report(ctx, name, c.h.groups[name].operations)
				if err == nil {
					break
				}
				if !failing && ctx.Err() == nil {
					c.h.log.WarnContext(ctx, "report the permissions of a group; it is tried again", "group", name, "error", err)
				}
				select {
				case <-ctx.Done():
					return
				case <-time.After(reportAgain):
				}
			}
		}
	}()
	return nil
}

// Stop ends the reporting and waits for it.
func (c *catalogue) Stop(context.Context) error {
	if c.cancel != nil {
		c.cancel()
		<-c.done
	}
	return nil
}
