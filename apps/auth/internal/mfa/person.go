package mfa

import (
	"context"
	"fmt"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/pkg/privacy"
	"github.com/tandemhq/tandem/pkg/store"
)

// Personal is what second factors tell of a person: how they sign in, and the devices that were remembered in
// an organization. The factors belong to no organization and go with the account (Erase).
func (s *Service) Personal() privacy.Personal {
	return privacy.Personal{Export: s.export, Erase: s.erasePerson}
}

func (s *Service) export(ctx context.Context, p privacy.Person) (map[string]any, error) {
	f, err := s.c.Factors.of(ctx, p.User)
	if err != nil {
		return nil, err
	}
	keys, err := s.c.Factors.passkeysOf(ctx, p.User)
	if err != nil {
		return nil, err
	}
	own := view(f, keys)
	if f.SMS != nil {
		own.SMS.Number = f.SMS.Number
	}
	devices := []authapi.RememberedDevice{}
	err = s.c.Factors.devices.Each(ctx, store.Query{Index: byUser, Equal: []any{p.User}}, func(doc store.Doc[device]) error {
		if doc.Value.Organization == p.Organization {
			devices = append(devices, deviceView(doc))
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("export the remembered devices: %w", err)
	}
	return map[string]any{"second_factors": own, "remembered_devices": devices}, nil
}

func (s *Service) erasePerson(ctx context.Context, p privacy.Person) (documents int64, err error) {
	devices := s.c.Factors.devices
	err = devices.Each(ctx, store.Query{Index: byUser, Equal: []any{p.User}}, func(doc store.Doc[device]) error {
		if doc.Value.Organization != p.Organization {
			return nil
		}
		documents++
		return gone(devices.Delete(ctx, doc.ID, 0))
	})
	if err != nil {
		return documents, fmt.Errorf("erase the remembered devices: %w", err)
	}
	return documents, nil
}
