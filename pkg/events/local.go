package events

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/tandemhq/tandem/pkg/drain"
)

// Local is a bus in this process, for tests and for a process without a sidecar: each attached consumer gets the events of
// its topics in order, from a goroutine of its own, again and again until it has dealt with them. It keeps nothing: what
// was not yet delivered when the process ends is lost, as no broker's would be.
type Local struct {
	ctx    context.Context
	cancel context.CancelFunc
	work   sync.WaitGroup

	mu      sync.Mutex
	stopped bool
	queues  []*queue
	idle    chan struct{} // closed, and replaced, when the last event has been dealt with
	open    int           // events not yet dealt with
}

type queue struct {
	consumer *Consumer
	events   []localEvent
	more     chan struct{}
}

type localEvent struct {
	topic string
	body  []byte
}

const (
	firstRedelivery   = 20 * time.Millisecond
	longestRedelivery = time.Second
)

// NewLocal makes a bus without consumers.
func NewLocal() *Local {
	ctx, cancel := context.WithCancel(context.Background())
	return &Local{ctx: ctx, cancel: cancel, idle: make(chan struct{})}
}

// Attach brings events published from now on to a consumer.
func (l *Local) Attach(c *Consumer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stopped {
		return
	}
	q := &queue{consumer: c, more: make(chan struct{}, 1)}
	l.queues = append(l.queues, q)
	l.work.Go(func() { l.deliver(q) })
}

// Publish implements Bus.
func (l *Local) Publish(ctx context.Context, wireTopic string, event []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stopped {
		return errors.New("the bus has stopped")
	}
	for _, q := range l.queues {
		if !q.consumer.takes(wireTopic) {
			continue
		}
		q.events = append(q.events, localEvent{wireTopic, event})
		l.open++
		select {
		case q.more <- struct{}{}:
		default:
		}
	}
	return nil
}

func (c *Consumer) takes(wireTopic string) bool {
	return len(wireTopic) > len(wirePrefix) && c.handlers[wireTopic[len(wirePrefix):]] != nil
}

func (l *Local) deliver(q *queue) {
	pause := firstRedelivery
	for {
		event, ok := l.next(q)
		if !ok {
			return
		}
		if q.consumer.Deliver(l.ctx, event.topic, event.body) != Retry {
			l.dealt(q)
			pause = firstRedelivery
			continue
		}
		if !sleep(l.ctx, pause) {
			return
		}
		pause = min(2*pause, longestRedelivery)
	}
}

// next waits for the first event of the queue, which stays there until it is dealt with.
func (l *Local) next(q *queue) (localEvent, bool) {
	for {
		l.mu.Lock()
		if l.ctx.Err() == nil && len(q.events) > 0 {
			defer l.mu.Unlock()
			return q.events[0], true
		}
		l.mu.Unlock()
		select {
		case <-q.more:
		case <-l.ctx.Done():
			return localEvent{}, false
		}
	}
}

func (l *Local) dealt(q *queue) {
	l.mu.Lock()
	defer l.mu.Unlock()
	q.events = q.events[1:]
	if l.open--; l.open == 0 {
		close(l.idle)
		l.idle = make(chan struct{})
	}
}

// Idle waits until every event published so far has been dealt with.
func (l *Local) Idle(ctx context.Context) error {
	l.mu.Lock()
	idle, open := l.idle, l.open
	l.mu.Unlock()
	if open == 0 {
		return nil
	}
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%d events are not dealt with: %w", open, ctx.Err())
	}
}

// Start implements a component's; there is nothing to start.
func (l *Local) Start(context.Context) error { return nil }

// Stop ends the deliveries and waits for those at work.
func (l *Local) Stop(ctx context.Context) error {
	l.mu.Lock()
	l.stopped = true
	l.mu.Unlock()
	l.cancel()
	return drain.Wait(ctx, &l.work, "bus")
}
