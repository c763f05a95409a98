package mfa

import (
	"context"
	"fmt"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/apps/auth/internal/accounts"
	"github.com/tandemhq/tandem/apps/auth/internal/mails"
	"github.com/tandemhq/tandem/pkg/events"
)

// nouns are what mails call the factors.
var nouns = map[authapi.MFAMethod]string{
	authapi.MFAPasskey: "passkey", authapi.MFATOTP: "authenticator app", authapi.MFAEmail: "second factor by e-mail",
	authapi.MFASMS: "second factor by text message", authapi.MFARecovery: "recovery code",
}

// sentence is what a mail says of a change.
func sentence(method authapi.MFAMethod, change authapi.MFAChange) string {
	switch noun := nouns[method]; change {
	case authapi.MFAAdded:
		return fmt.Sprintf("A new %s was added to your account.", noun)
	case authapi.MFARemoved:
		return fmt.Sprintf("Your %s was removed.", noun)
	case authapi.MFARenewed:
		if method == authapi.MFARecovery {
			return "Your recovery codes were made anew; those you had before no longer work."
		}
		return fmt.Sprintf("Your %s was replaced by another.", noun)
	case authapi.MFAUsed:
		return fmt.Sprintf("A %s was used to sign in to your account, and the devices that were remembered are remembered no longer.", noun)
	case authapi.MFALocked:
		return fmt.Sprintf("Somebody who knows your password, or sits at your session, failed five times to show your %s. It is locked for 15 minutes.", noun)
	default:
		return fmt.Sprintf("A %s of yours is refused from now on, because a copy of it may exist. Remove it, and register a new one.", noun)
	}
}

// Notify mails the user what has changed. A user who is gone is told nothing.
func (s *Service) Notify(ctx context.Context, e events.Event[authapi.MFAChangedData]) error {
	person, err := s.person(ctx, e.Data.UserID)
	if accounts.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	to := mails.Recipient{Email: person.Value.Email, FirstName: person.Value.FirstName}
	return s.c.Mails.SecurityNotice(ctx, to, sentence(e.Data.Method, e.Data.Change), e.Data.At)
}
