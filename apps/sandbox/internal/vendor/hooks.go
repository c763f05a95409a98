package vendor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/tandemhq/tandem/apps/sandbox/internal/shop"
)

const (
	// hookTimeout is how long a vendor waits for an answer, hookTries how often it sends at all.
	hookTimeout = 5 * time.Second
	hookTries   = 9
	// hookPause is how long it waits before the first repetition, doubled for each; vendors spread theirs over hours.
	hookPause = 500 * time.Millisecond
)

// Subscription is where an account's webhooks go.
type Subscription struct {
	// Address takes them, of these topics; of all when there are none.
	Address string   `json:"address"`
	Topics  []string `json:"topics"`
	// Secret is what they are signed with where the vendor has one for each subscription; that of the app when empty.
	Secret string `json:"secret,omitempty"`
	// Duplicate sends each twice, DelayMS waits before each, WrongSignature signs with another secret, AgeMS has it signed so long ago.
	Duplicate      bool `json:"duplicate,omitempty"`
	DelayMS        int  `json:"delay_ms,omitempty"`
	WrongSignature bool `json:"wrong_signature,omitempty"`
	AgeMS          int  `json:"age_ms,omitempty"`
}

func (s Subscription) validate(topics []string) error {
	if u, err := url.Parse(s.Address); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return fmt.Errorf("address %q is no URL", s.Address)
	}
	for _, topic := range s.Topics {
		if !slices.Contains(topics, topic) {
			return fmt.Errorf("topic %q is not sent; those that are: %v", topic, topics)
		}
	}
	if s.DelayMS < 0 || s.DelayMS > 60_000 {
		return errors.New("delay_ms must be 0 to 60000")
	}
	return nil
}

// Sending is one attempt to send a webhook.
type Sending struct {
	// To is the address, Secret what to sign with, At the time that is signed, Try how often it was sent before.
	To     string
	Secret string
	At     time.Time
	Try    int
}

// Message writes a webhook, signed: its headers and its body.
type Message func(s Sending) (http.Header, []byte)

// Hooks are the webhooks of an account. They are safe for concurrent use.
type Hooks struct {
	mu            sync.Mutex
	subscriptions []Subscription
	counts        hookCounts
}

// hookCounts are requests by what came of them.
type hookCounts struct {
	Sent      int            `json:"sent"`
	ByStatus  map[string]int `json:"by_status"`
	Abandoned int            `json:"abandoned"`
}

func (h *Hooks) count(status string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.counts.ByStatus == nil {
		h.counts.ByStatus = map[string]int{}
	}
	h.counts.Sent++
	h.counts.ByStatus[status]++
}

// Tell sends a webhook to whoever subscribed to its topic, without waiting for it. The secret is the app's.
func (h *Hooks) Tell(topic, secret string, now func() time.Time, write Message) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, to := range h.subscriptions {
		if len(to.Topics) > 0 && !slices.Contains(to.Topics, topic) {
			continue
		}
		times := 1
		if to.Duplicate {
			times = 2
		}
		for range times {
			go h.deliver(to, secret, now, write)
		}
	}
}

// End ends all subscriptions.
func (h *Hooks) End() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.subscriptions = nil
}

// deliver sends a webhook until it is taken, or it gives up.
func (h *Hooks) deliver(to Subscription, secret string, now func() time.Time, write Message) {
	if to.Secret != "" {
		secret = to.Secret
	}
	if to.WrongSignature {
		secret = "not " + secret
	}
	time.Sleep(time.Duration(to.DelayMS) * time.Millisecond)
	for try := range hookTries {
		if try > 0 {
			time.Sleep(hookPause << (try - 1))
		}
		header, body := write(Sending{To: to.Address, Secret: secret, At: now().Add(-time.Duration(to.AgeMS) * time.Millisecond).UTC(), Try: try})
		status, err := send(to.Address, header, body)
		if err != nil {
			h.count("none")
			continue
		}
		h.count(fmt.Sprint(status))
		if status/100 == 2 {
			return
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.counts.Abandoned++
}

func send(address string, header http.Header, body []byte) (int, error) {
	ctx, cancel := context.WithTimeout(context.Background(), hookTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	r.Header = header
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, io.LimitReader(resp.Body, MaxBody))
	return resp.StatusCode, err
}

// RegisterHooks adds the admin endpoints of subscriptions to webhooks below a path.
func RegisterHooks[T interface{ TheHooks() *Hooks }](mux *http.ServeMux, path string, w Webhooks, find func(r *http.Request) (T, bool)) {
	hooks := func(handle Handler[*Hooks]) http.HandlerFunc {
		return Admin(find, func(of T, r *http.Request) (int, any, error) { return handle(of.TheHooks(), r) })
	}
	mux.HandleFunc("POST "+path+"/webhooks", hooks(func(h *Hooks, r *http.Request) (int, any, error) {
		var in Subscription
		if err := Decode(r, &in); err != nil {
			return 0, nil, err
		}
		if err := in.validate(w.Topics); err != nil {
			return 0, nil, err
		}
		if w.Verify != nil {
			if err := w.Verify(r, in); err != nil {
				return 0, nil, err
			}
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		h.subscriptions = append(h.subscriptions, in)
		return http.StatusCreated, in, nil
	}))
	mux.HandleFunc("GET "+path+"/webhooks", hooks(func(h *Hooks, _ *http.Request) (int, any, error) {
		h.mu.Lock()
		defer h.mu.Unlock()
		by := map[string]int{}
		for status, n := range h.counts.ByStatus {
			by[status] = n
		}
		return http.StatusOK, map[string]any{
			"subscriptions": append([]Subscription{}, h.subscriptions...), "deliveries": hookCounts{h.counts.Sent, by, h.counts.Abandoned},
		}, nil
	}))
	mux.HandleFunc("DELETE "+path+"/webhooks", hooks(func(h *Hooks, _ *http.Request) (int, any, error) {
		h.End()
		return http.StatusNoContent, nil, nil
	}))
}

// Change is an order that was added to a shop, or changed.
type Change struct {
	*shop.Order
	New bool
}

// Webhooks are what a vendor sends.
type Webhooks struct {
	// Topics are what there is to subscribe to; a vendor without any sends none.
	Topics []string
	// Event is what is sent of a topic where an admin, rather than a change, is the reason: about something that the account has.
	Event func(a *Account, topic string) Message
	// Own tells that they are signed with the HookSecret, rather than the client secret.
	Own bool
	// Removed is the topic of an account's removal of the app; empty where the vendor does not tell.
	Removed string
	// Verify makes sure of the address of somebody who subscribes. Optional.
	Verify func(r *http.Request, to Subscription) error
	// Changed are the messages, by their topics, about orders of the shop that were added or changed. Optional.
	Changed func(a *Account, changed []Change) map[string][]Message
}

// Tell sends a webhook of an account.
func (v *Vendor) Tell(a *Account, topic string, write Message) {
	secret := v.ClientSecret
	if v.Webhooks.Own {
		secret = v.HookSecret
	}
	a.hooks.Tell(topic, secret, v.Now, write)
}

// registerHooks adds the admin endpoints of webhooks, and has changes of the shops told.
func (v *Vendor) registerHooks(mux *http.ServeMux, path string, find func(r *http.Request) (*Account, bool)) {
	if len(v.Webhooks.Topics) == 0 {
		return
	}
	RegisterHooks(mux, path, v.Webhooks, find)
	mux.HandleFunc("POST "+path+"/webhooks/events", Admin(find, func(a *Account, r *http.Request) (int, any, error) {
		var in struct {
			Topic string `json:"topic"`
		}
		if err := Decode(r, &in); err != nil {
			return 0, nil, err
		}
		if !slices.Contains(v.Webhooks.Topics, in.Topic) {
			return 0, nil, fmt.Errorf("topic %q is not sent; those that are: %v", in.Topic, v.Webhooks.Topics)
		}
		v.Tell(a, in.Topic, v.Webhooks.Event(a, in.Topic))
		return http.StatusAccepted, in, nil
	}))
	if v.Watch == nil || v.Webhooks.Changed == nil {
		return
	}
	v.Watch(func(account string, changed []Change) {
		a, known := v.Account(account)
		if !known {
			return
		}
		for topic, messages := range v.Webhooks.Changed(a, changed) {
			for _, m := range messages {
				v.Tell(a, topic, m)
			}
		}
	})
}
