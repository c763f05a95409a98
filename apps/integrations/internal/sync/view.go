package sync

import (
	"github.com/tandemhq/tandem/pkg/runs"
	"github.com/tandemhq/tandem/pkg/store"
)

// View is a sync as its owner sees it.
type View struct {
	ID           string      `json:"id" doc:"Id of the sync" example:"0197a3f2-2222-7000-8000-000000000001"`
	ConnectionID string      `json:"connection_id" doc:"Connection that is synced" example:"0197a3f2-1111-7000-8000-000000000001"`
	Stream       string      `json:"stream" doc:"Kind of data" example:"orders"`
	Mode         Mode        `json:"mode" enum:"backfill,incremental,full" doc:"How much is read" example:"backfill"`
	Scheduled    bool        `json:"scheduled" doc:"Started by the schedule"`
	Status       runs.Status `json:"status" enum:"queued,running,succeeded,failed,cancelled" doc:"Where it stands" example:"succeeded"`
	Paused       bool        `json:"paused,omitempty" doc:"Waits where it is until its connection is resumed"`
	Records      int         `json:"records" doc:"Records read, repeats included" example:"6919"`
	Changed      int         `json:"changed" doc:"Records that were new or different; those kept just before a crash may be missing" example:"6919"`
	Quarantined  int         `json:"quarantined" doc:"Records that did not validate; see the quarantine" example:"0"`
	Removed      int         `json:"removed" doc:"Records that the vendor has no more and that were removed; of a full sync only" example:"0"`
	Pages        int         `json:"pages" doc:"Pages read" example:"28"`
	Rate         *float64    `json:"rate,omitempty" doc:"Records a second: while it runs those of about the last minute, then of all of it; missing before there are any to tell by" example:"412.5"`
	Expected     *int        `json:"expected,omitempty" doc:"Records that there are to be read in all, where the vendor tells; more come when something changes meanwhile" example:"6919"`
	Estimate     *float64    `json:"estimate,omitempty" doc:"Seconds that it still takes at this rate; missing unless the vendor tells how many records there are" example:"12.4"`
	CreatedAt    store.Time  `json:"created_at" format:"date-time" doc:"When it was asked for, UTC"`
	StartedAt    *store.Time `json:"started_at,omitempty" format:"date-time" doc:"When it began, UTC"`
	FinishedAt   *store.Time `json:"finished_at,omitempty" format:"date-time" doc:"When it ended, UTC"`
	Error        *ErrorView  `json:"error,omitempty" doc:"Why it failed or, while it runs, what it is trying again"`
}

// ErrorView is why a sync failed.
type ErrorView struct {
	Code    string `json:"code" doc:"Stable code" example:"credentials_refused"`
	Message string `json:"message" doc:"What happened, for people" example:"the shop refuses the access token; connect it again"`
}

// view is a run as a sync.
func view(run runs.Run) (View, error) {
	var in Input
	var at cursor
	if err := run.Into(&in, &at); err != nil {
		return View{}, err
	}
	v := View{
		ID: run.ID, ConnectionID: in.ConnectionID, Stream: in.Stream, Mode: in.Mode, Scheduled: in.Scheduled, Status: run.Status, Paused: at.Paused && !run.Status.Final(),
		Records: at.Records, Changed: at.Changed, Quarantined: at.Quarantined, Removed: at.Removed, Pages: at.Pages, Rate: at.rate(run), Expected: at.Expected, Estimate: at.estimate(run),
		CreatedAt: run.CreatedAt, StartedAt: run.StartedAt.OrNil(), FinishedAt: run.FinishedAt.OrNil(),
	}
	if run.Error != nil {
		v.Error = &ErrorView{run.Error.Code, run.Error.Message}
	}
	return v, nil
}
