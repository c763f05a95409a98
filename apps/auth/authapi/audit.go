package authapi

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/tandemhq/tandem/pkg/privacy"
	"github.com/tandemhq/tandem/pkg/topology"
)

// Codes of the audit module.
const (
	// CodeLocksYouOut (422): the networks of the policy leave out the address that the request came from.
	CodeLocksYouOut = "policy_locks_you_out"
	// CodeDataRequestRunning (409): a request of this kind about this person is being worked on; see its Location.
	CodeDataRequestRunning = "data_request_running"
	// CodeDataRequestClosed (409): the request has stopped waiting for parts.
	CodeDataRequestClosed = "data_request_closed"
	// CodeDataRequestNotReady (409): the request has no archive to download yet.
	CodeDataRequestNotReady = "data_request_not_ready"
	// CodeDataRequestExpired (410): the archive could be downloaded for 7 days and is gone.
	CodeDataRequestExpired = "data_request_expired"
)

// AuditActor is who acted. A person who was erased is "erased", without anything else.
type AuditActor struct {
	Subject string `json:"subject,omitempty" doc:"Id of a user, key:<id> or group:<name>; missing for somebody unknown" example:"0199b1f2-6f0c-7a51-9d3c-8f5b2f6f1c11"`
	Session string `json:"session,omitempty" doc:"Sign-in that the user acted with" example:"0199b1f2-7a10-7d35-8a0e-6f5e3f0f2b7d"`
	Key     string `json:"key,omitempty" doc:"API key that acted" example:"0199b1f2-9c20-7e11-8b8e-5a0f6f1e2d3c"`
}

// AuditEntry is one record of the audit log.
type AuditEntry struct {
	ID         string            `json:"id" doc:"Id of the event that told of it" example:"0199b1f2-8a11-7c02-9d2e-5f1e0a7b4c3d"`
	Sequence   int64             `json:"sequence" doc:"Place in the log, from 1 without gaps" example:"42"`
	At         time.Time         `json:"at" doc:"When it happened, UTC"`
	RecordedAt time.Time         `json:"recorded_at" doc:"When it was written to the log, UTC"`
	Action     string            `json:"action" doc:"What was tried, group.module.verb" example:"auth.sessions.revoke"`
	Actor      AuditActor        `json:"actor"`
	Resource   string            `json:"resource,omitempty" doc:"What it was tried on, kind:id" example:"session:0199b1f2-7a10-7d35-8a0e-6f5e3f0f2b7d"`
	Result     string            `json:"result" enum:"success,denied,failure" example:"success"`
	Code       string            `json:"code,omitempty" doc:"Problem code of a denial or failure" example:"permission_denied"`
	Address    string            `json:"address,omitempty" doc:"IP address of the client" example:"203.0.113.7"`
	UserAgent  string            `json:"user_agent,omitempty" doc:"What the client calls itself" example:"Mozilla/5.0 (X11; Linux x86_64)"`
	TraceID    string            `json:"trace_id,omitempty" doc:"Finds the request in logs and traces" example:"4bf92f3577b34da6a3ce929d0e0e4736"`
	Details    map[string]string `json:"details,omitempty" doc:"More, in few words" example:"{\"reason\":\"logout\"}"`
	Previous   string            `json:"previous" doc:"Hash of the record before, hexadecimal; empty in the first" example:"9f86d081884c7d65…"`
	Hash       string            `json:"hash" doc:"SHA-256 over the record and the hash before it, hexadecimal" example:"60303ae22b998861…"`
}

// AuditEntries is a page of the audit log, newest first.
type AuditEntries struct {
	Items      []AuditEntry `json:"items" nullable:"false"`
	NextCursor string       `json:"next_cursor,omitempty" doc:"The next page's cursor; missing on the last page" example:"q0J1x2yMWyIyMDI2LTAxLTAyVDAzOjA0OjA1WiJd"`
}

// AuditMark is a place in the log.
type AuditMark struct {
	Sequence int64  `json:"sequence" doc:"Place in the log; 0 before the first record" example:"42"`
	Hash     string `json:"hash,omitempty" doc:"Hash of the record there, hexadecimal" example:"60303ae22b998861…"`
}

// AuditVerification says whether the records of a range are as they were written, none missing.
type AuditVerification struct {
	OK      bool  `json:"ok" doc:"Whether every record of the range is what was written, in its place"`
	From    int64 `json:"from" doc:"First sequence number that was looked at" example:"1"`
	To      int64 `json:"to" doc:"Last sequence number that is proved, 0 for none" example:"42"`
	Checked int64 `json:"checked" doc:"Records that were proved" example:"42"`
	Erased  int64 `json:"erased" doc:"Records among them from which an erased person was taken; their hashes still hold" example:"3"`
	// Broken is the first sequence number that fails.
	Broken int64  `json:"broken,omitempty" doc:"First sequence number that is not what was written; missing when ok" example:"17"`
	Reason string `json:"reason,omitempty" enum:"changed,missing" doc:"What is wrong with it"`
	Next   int64  `json:"next,omitempty" doc:"Where to go on, as from, when the range was too long for one answer" example:"50001"`
	// Start is where the chain begins since older records were deleted; Head where it ends.
	Start AuditMark `json:"start" doc:"Last record that retention has deleted; the first one that is left continues its hash"`
	Head  AuditMark `json:"head" doc:"Newest record. Keep it elsewhere: a later verification must find the same hash at this sequence number"`
}

// AuditRetention is how long an organization keeps its audit log.
type AuditRetention struct {
	Days int `json:"days" minimum:"30" maximum:"3650" doc:"Days after which records are deleted" example:"400"`
}

// DataRequestStatus is where a data request stands.
type DataRequestStatus string

// The statuses there are.
const (
	// DataCollecting waits for the groups' parts.
	DataCollecting DataRequestStatus = "collecting"
	// DataFinishing puts them together, or erases what the auth group keeps itself.
	DataFinishing DataRequestStatus = "finishing"
	// DataReady has an archive to download.
	DataReady DataRequestStatus = "ready"
	// DataDone has erased; Groups is the report.
	DataDone DataRequestStatus = "done"
	// DataExpired had an archive.
	DataExpired DataRequestStatus = "expired"
	// DataFailed was given up; the log has the cause.
	DataFailed DataRequestStatus = "failed"
)

// DataRequest is a person's, or an administrator's, request for what all groups know of the person in the organization, or that
// it be erased.
type DataRequest struct {
	ID          string            `json:"id" example:"0199b1f2-9c20-7e11-8b8e-5a0f6f1e2d3c"`
	Kind        privacy.Kind      `json:"kind" enum:"export,erase_person" example:"export"`
	UserID      string            `json:"user_id" doc:"Whom it is about" example:"0199b1f2-6f0c-7a51-9d3c-8f5b2f6f1c11"`
	RequestedBy string            `json:"requested_by" doc:"Id of the user, or key:<id>, who asked" example:"0199b1f2-6f0c-7a51-9d3c-8f5b2f6f1c11"`
	Status      DataRequestStatus `json:"status" enum:"collecting,finishing,ready,done,expired,failed" example:"collecting"`
	CreatedAt   time.Time         `json:"created_at" doc:"UTC"`
	DeadlineAt  time.Time         `json:"deadline_at" doc:"When it stops waiting for groups that have not answered, UTC"`
	FinishedAt  *time.Time        `json:"finished_at,omitempty" doc:"UTC"`
	ExpiresAt   *time.Time        `json:"expires_at,omitempty" doc:"Until when the archive can be downloaded, UTC"`
	Bytes       int64             `json:"bytes,omitempty" doc:"Size of the archive" example:"52311"`
	Groups      []DataPart        `json:"groups" nullable:"false" doc:"What each group delivered or erased"`
	Missing     []topology.Group  `json:"missing" nullable:"false" doc:"Groups that have not answered" example:"[\"analytics\"]"`
}

// DataPart is what one group did for a data request.
type DataPart struct {
	Group     topology.Group `json:"group" example:"integrations"`
	Documents int64          `json:"documents,omitempty" doc:"Documents that it erased" example:"12"`
	Bytes     int64          `json:"bytes,omitempty" doc:"Bytes of JSON that it delivered" example:"8123"`
	Problem   string         `json:"problem,omitempty" doc:"Why it had nothing to deliver" example:"8400000 bytes are more than an export takes"`
	At        time.Time      `json:"at" doc:"UTC"`
}

// DataRequests is a page of data requests, newest first.
type DataRequests struct {
	Items      []DataRequest `json:"items" nullable:"false"`
	NextCursor string        `json:"next_cursor,omitempty" doc:"The next page's cursor; missing on the last page" example:"q0J1x2yMWyIyMDI2LTAxLTAyVDAzOjA0OjA1WiJd"`
}

// Person implements privacy.Authority.
func (c Client) Person(ctx context.Context, request string) (privacy.Person, error) {
	return ask[privacy.Person](ctx, c, http.MethodGet, "/api/auth/audit/data-requests/"+url.PathEscape(request)+"/person", nil, nil)
}

// Deliver implements privacy.Authority.
func (c Client) Deliver(ctx context.Context, request string, group topology.Group, part privacy.Part) error {
	path := "/api/auth/audit/data-requests/" + url.PathEscape(request) + "/parts/" + url.PathEscape(string(group))
	_, err := ask[struct{}](ctx, c, http.MethodPut, path, nil, part)
	return err
}

// OrganizationErased implements privacy.Authority.
func (c Client) OrganizationErased(ctx context.Context, organization string, group topology.Group, _ int64) error {
	_, err := c.ConfirmErasure(ctx, ErasureConfirmation{Organization: organization, Group: group})
	return err
}
