package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/pkg/audit"
	"github.com/tandemhq/tandem/pkg/store"
)

// nobody is who is left of a person who was erased.
const nobody = "erased"

const saltBytes = 32

// record is an entry in its place in the log. Its id is that of the event that brought it.
//
// Hash is SHA-256 over the JSON of a sealed: everything that is told of the action, the hash of the record before, and of the
// two parts that lead to people not themselves but their commitments, SHA-256 over a random salt and the part's JSON. To erase a
// person from a record is to delete part and salt. The commitment stays, so the chain stays provable, and without the salt
// nobody can tell by trying whose it was.
type record struct {
	Sequence   int64             `json:"sequence"`
	At         store.Time        `json:"at"`
	RecordedAt store.Time        `json:"recorded_at"`
	Action     string            `json:"action"`
	Module     string            `json:"module"` // the first two words of Action
	Result     audit.Result      `json:"result"`
	Code       string            `json:"code,omitempty"`
	TraceID    string            `json:"trace_id,omitempty"`
	Details    map[string]string `json:"details,omitempty"`

	Who      who    `json:"who"`
	Resource string `json:"resource,omitempty"`

	// WhoSalt and ResourceSalt are missing where a person was erased.
	WhoSalt      []byte `json:"who_salt,omitempty"`
	ResourceSalt []byte `json:"resource_salt,omitempty"`
	WhoSeal      []byte `json:"who_seal"`
	ResourceSeal []byte `json:"resource_seal"`

	Previous []byte `json:"previous,omitempty"`
	Hash     []byte `json:"hash"`
}

// who is the part of a record that leads to whoever acted.
type who struct {
	Subject   string `json:"subject,omitempty"`
	Session   string `json:"session,omitempty"`
	Key       string `json:"key,omitempty"`
	Address   string `json:"address,omitempty"`
	UserAgent string `json:"user_agent,omitempty"`
}

// sealed is what a record's hash is made of. The order of its members and their forms are part of the hash: they must not change.
type sealed struct {
	Version      int               `json:"v"`
	Organization string            `json:"organization"`
	ID           string            `json:"id"`
	Sequence     int64             `json:"sequence"`
	At           store.Time        `json:"at"`
	RecordedAt   store.Time        `json:"recorded_at"`
	Action       string            `json:"action"`
	Result       audit.Result      `json:"result"`
	Code         string            `json:"code"`
	TraceID      string            `json:"trace_id"`
	Details      map[string]string `json:"details,omitempty"`
	Who          string            `json:"who"`
	Resource     string            `json:"resource"`
	Previous     string            `json:"previous"`
}

// newRecord is an entry as it is kept, without its place.
func newRecord(e audit.Entry, recordedAt store.Time, random io.Reader) (record, error) {
	r := record{
		At: store.At(e.At), RecordedAt: recordedAt, Action: e.Action, Module: module(e.Action), Result: e.Result, Code: e.Code,
		TraceID: e.TraceID, Details: e.Details, Resource: e.Resource,
		Who: who{e.Actor.Subject, e.Actor.Session, e.Actor.Key, e.Address, e.UserAgent},
	}
	salts := make([]byte, 2*saltBytes)
	if _, err := io.ReadFull(random, salts); err != nil {
		return record{}, fmt.Errorf("make the salts of a record: %w", err)
	}
	r.WhoSalt, r.ResourceSalt = salts[:saltBytes:saltBytes], salts[saltBytes:]
	var err error
	if r.WhoSeal, err = commit(r.WhoSalt, r.Who); err == nil {
		r.ResourceSeal, err = commit(r.ResourceSalt, r.Resource)
	}
	return r, err
}

// commit is the commitment to a part.
func commit(salt []byte, part any) ([]byte, error) {
	text, err := json.Marshal(part)
	if err != nil {
		return nil, fmt.Errorf("encode a part of a record: %w", err)
	}
	sum := sha256.Sum256(append(bytes.Clone(salt), text...))
	return sum[:], nil
}

// module is the first two words of an action.
func module(action string) string {
	if at := strings.LastIndexByte(action, '.'); at > 0 {
		return action[:at]
	}
	return action
}

// digest is what the record's hash must be.
func (r record) digest(organization, id string) ([]byte, error) {
	text, err := json.Marshal(sealed{
		Version: 1, Organization: organization, ID: id, Sequence: r.Sequence, At: r.At, RecordedAt: r.RecordedAt, Action: r.Action,
		Result: r.Result, Code: r.Code, TraceID: r.TraceID, Details: r.Details, Who: hex.EncodeToString(r.WhoSeal),
		Resource: hex.EncodeToString(r.ResourceSeal), Previous: hex.EncodeToString(r.Previous),
	})
	if err != nil {
		return nil, fmt.Errorf("encode a record: %w", err)
	}
	sum := sha256.Sum256(text)
	return sum[:], nil
}

// intact tells whether the record is what was written, apart from people who were erased from it.
func (r record) intact(organization, id string) (bool, error) {
	hash, err := r.digest(organization, id)
	if err != nil || !bytes.Equal(hash, r.Hash) || r.Module != module(r.Action) {
		return false, err
	}
	if r.WhoSalt == nil {
		if r.Who != (who{Subject: nobody}) {
			return false, nil
		}
	} else if seal, err := commit(r.WhoSalt, r.Who); err != nil || !bytes.Equal(seal, r.WhoSeal) {
		return false, err
	}
	if r.ResourceSalt == nil {
		return slices.Contains(resourcesOf(nobody), r.Resource), nil
	}
	seal, err := commit(r.ResourceSalt, r.Resource)
	return bytes.Equal(seal, r.ResourceSeal), err
}

// resourceOf is how entries of modules name a person as what was acted on.
func resourceOf(user string) string { return "user:" + user }

// resourcesOf are all the ways in which entries name a person as what was acted on: the host, which knows a path's last
// parameter and not what it means, writes the id alone.
func resourcesOf(user string) []string { return []string{resourceOf(user), user} }

// erase takes a person out of the record, and tells whether they were in it.
func (r *record) erase(user string) bool {
	var was bool
	if r.WhoSalt != nil && r.Who.Subject == user {
		r.Who, r.WhoSalt, was = who{Subject: nobody}, nil, true
	}
	if i := slices.Index(resourcesOf(user), r.Resource); r.ResourceSalt != nil && i >= 0 {
		r.Resource, r.ResourceSalt, was = resourcesOf(nobody)[i], nil, true
	}
	return was
}

// people are the users whom the record may lead to.
func (r record) people() []string {
	var all []string
	if r.Who.Subject != "" {
		all = append(all, r.Who.Subject)
	}
	user := strings.TrimPrefix(r.Resource, resourceOf(""))
	if user != "" && !strings.Contains(user, ":") && user != r.Who.Subject {
		all = append(all, user)
	}
	return all
}

func (r record) erased() bool { return r.WhoSalt == nil || r.ResourceSalt == nil }

func (r record) view(id string) authapi.AuditEntry {
	return authapi.AuditEntry{
		ID: id, Sequence: r.Sequence, At: r.At.Time, RecordedAt: r.RecordedAt.Time, Action: r.Action,
		Actor:    authapi.AuditActor{Subject: r.Who.Subject, Session: r.Who.Session, Key: r.Who.Key},
		Resource: r.Resource, Result: string(r.Result), Code: r.Code, Address: r.Who.Address, UserAgent: r.Who.UserAgent,
		TraceID: r.TraceID, Details: r.Details, Previous: hex.EncodeToString(r.Previous), Hash: hex.EncodeToString(r.Hash),
	}
}

// mark is a place in the chain.
type mark struct {
	Sequence int64  `json:"sequence"`
	Hash     []byte `json:"hash,omitempty"`
}

func (r record) mark() mark { return mark{r.Sequence, r.Hash} }

func (m mark) view() authapi.AuditMark {
	return authapi.AuditMark{Sequence: m.Sequence, Hash: hex.EncodeToString(m.Hash)}
}
