package drain_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/tandemhq/tandem/pkg/drain"
)

func TestWait(t *testing.T) {
	var running sync.WaitGroup
	if err := drain.Wait(t.Context(), &running, "nothing"); err != nil {
		t.Errorf("nothing runs: %v", err)
	}
	running.Add(1)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if err := drain.Wait(gone, &running, "the bus"); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "the bus") {
		t.Errorf("it runs still: %v", err)
	}
	running.Done()
	if err := drain.Wait(t.Context(), &running, "the bus"); err != nil {
		t.Errorf("it has ended: %v", err)
	}
}
