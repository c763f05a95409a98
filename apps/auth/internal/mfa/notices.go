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

// sentences are what a mail says of a change: what happened, without a full stop, and more.
func sentences(method authapi.MFAMethod, change authapi.MFAChange) (what, more string) {
	switch noun := nouns[method]; {
	case change == authapi.MFAAdded:
		return fmt.Sprintf("A new %s was added to your account", noun), ""
	case change == authapi.MFARemoved && method == authapi.MFAPasskey:
		return "One of your passkeys was removed", ""
	case change == authapi.MFARemoved:
		return fmt.Sprintf("Your %s was removed", noun), ""
	case change == authapi.MFARenewed && method == authapi.MFARecovery:
		return "Your recovery codes were replaced", "Those that you had before no longer work."
	case change == authapi.MFARenewed:
		return fmt.Sprintf("Your %s was replaced by another", noun), ""
	case change == authapi.MFAUsed:
		return fmt.Sprintf("A %s of yours was used", noun), "The devices that were remembered are remembered no longer."
	case change == authapi.MFALocked:
		return fmt.Sprintf("Your %s was locked for 15 minutes", noun), "Somebody who knows your password, or sits at your session, failed five times to show it."
	default:
		return fmt.Sprintf("A %s of yours was found to have a copy", noun), "It is refused from now on. Remove it, and register a new one."
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
	what, more := sentences(e.Data.Method, e.Data.Change)
	return s.c.Mails.SecurityNotice(ctx, to, what, more, e.Data.At)
}
