package events_test

import (
	"testing"

	"github.com/tandemhq/tandem/pkg/events"
)

// FuzzDecode feeds the decoder of what comes off the wire: it must not panic, and what it accepts can be told apart from
// every other event and stored under its id.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"specversion":"1.0","id":"1","type":"a.b","source":"/auth","time":"2026-01-02T03:04:05Z","data":{"n":1}}`))
	f.Add([]byte(`{"specversion":"1.0","id":"","type":"a.b"}`))
	f.Add([]byte(`{"specversion":"1.0","id":"\u0000","type":"a"}`))
	f.Add([]byte(`[null]`))
	f.Fuzz(func(t *testing.T, event []byte) {
		raw, err := events.Decode(event)
		if err != nil {
			return
		}
		if raw.ID == "" || raw.Type == "" || len(raw.ID) > 200 {
			t.Errorf("%+v", raw)
		}
		for _, r := range raw.ID {
			if r < ' ' || r == 0x7f {
				t.Errorf("id %q cannot be stored", raw.ID)
			}
		}
	})
}
