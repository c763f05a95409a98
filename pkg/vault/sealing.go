package vault

import (
	"context"
	"errors"
	"log/slog"
)

// Sealing is how values are sealed at a moment.
type Sealing struct {
	Key      string `json:"key" doc:"Name of the current key-encryption key" example:"5f0c2a9be1d47a36"`
	Values   int    `json:"values" doc:"Values that are sealed" example:"1200"`
	Resealed int    `json:"resealed" doc:"How many of them were sealed anew just now" example:"0"`
	// Left is what keeps former keys from being removed.
	Left int `json:"left" doc:"How many are sealed with a former key still" example:"0"`
	// Unreadable values are of no use with the former keys there are, so they keep none of them.
	Unreadable int `json:"unreadable" doc:"How many cannot be read: they were changed, or their key is neither the current nor a former one" example:"0"`
}

// PassEvery is the schedule of the jobs that seal anew (see jobs.Job).
const PassEvery = "@every 10m"

// Log tells operators what a pass did, when there was anything to do.
func (s Sealing) Log(ctx context.Context, log *slog.Logger) {
	if s.Resealed+s.Left+s.Unreadable > 0 {
		log.InfoContext(ctx, "seal with the current key", "key", s.Key, "values", s.Values, "resealed", s.Resealed, "left", s.Left, "unreadable", s.Unreadable)
	}
}

// Pass goes through values, seals anew with the current key what a former one has sealed, and counts; or it only counts. It may end
// anywhere, and another one goes on.
type Pass struct {
	Sealing
	vault    *Vault
	reseal   bool
	failures []error
}

// Begin begins a pass with keys that are read anew. Without reseal it only counts.
func (v *Vault) Begin(ctx context.Context, reseal bool) (*Pass, error) {
	if err := v.Refresh(ctx); err != nil {
		return nil, err
	}
	current, err := v.Current(ctx)
	return &Pass{Sealing: Sealing{Key: current}, vault: v, reseal: reseal}, err
}

// Value takes a value that was sealed for the connection of the organization. Store is given what it is sealed anew, stores that in
// its place unless another value is there by now, and returns what is there then; nil for nothing. Only the end of ctx is an error:
// others are kept for End.
func (p *Pass) Value(ctx context.Context, organization, connection string, s Sealed, store func(fresh Sealed) (*Sealed, error)) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	p.Values++
	if s.Key == p.Key {
		return nil
	}
	fresh, err := p.vault.Reseal(ctx, organization, connection, s)
	if errors.Is(err, ErrOtherKey) || errors.Is(err, ErrTampered) {
		p.Unreadable++
		return nil
	}
	now := &s
	if err == nil && p.reseal {
		now, err = store(fresh)
	}
	switch {
	case err != nil:
		p.failures = append(p.failures, err)
		p.Left++
	case now != nil && now.Key != p.Key:
		p.Left++
	case p.reseal:
		p.Resealed++
	}
	return nil
}

// End is the count, and what went wrong: err and what kept values from being sealed anew.
func (p *Pass) End(err error) (Sealing, error) {
	return p.Sealing, errors.Join(append(p.failures, err)...)
}
