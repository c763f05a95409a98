package sync

import "github.com/tandemhq/tandem/pkg/runs"

// ViewOf is a run as its owner sees it.
func ViewOf(run runs.Run) (View, error) { return view(run) }
