package group

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/tandemhq/tandem/pkg/problem"
)

// Versioned is a view whose ETag is the version of what it shows (RFC 9110, section 8.8.3).
type Versioned[T any] struct {
	ETag string `header:"ETag" doc:"Version of what was read; give it to If-Match when you change it"`
	Body *T
}

// AtVersion is view, marked with its version.
func AtVersion[T any](view *T, version int64) *Versioned[T] {
	return &Versioned[T]{ETag: strconv.Quote(strconv.FormatInt(version, 10)), Body: view}
}

// IfMatch is embedded in the input of an update. A request that carries it changes only what is still as
// it was read (RFC 9110, section 13.1.1); one without it changes whatever is there.
type IfMatch struct {
	IfMatch string `header:"If-Match" maxLength:"40" doc:"ETag of what was read; 412 precondition_failed when it was changed meanwhile" example:"\"3\""`
}

// Check compares what is asked for with the version that is there: 412 precondition_failed, 400
// bad_request for what is no ETag of ours.
func (m IfMatch) Check(version int64) error {
	wanted, err := m.Version()
	if err != nil || wanted < 0 || wanted == version {
		return err
	}
	return problem.New(http.StatusPreconditionFailed, problem.CodePrecondition, "it was changed since it was read; read it again")
}

// Version is the version asked for, or -1 for any: 400 bad_request for what is no ETag of ours.
func (m IfMatch) Version() (int64, error) {
	text := strings.TrimSpace(m.IfMatch)
	if text == "" || text == "*" {
		return -1, nil
	}
	version, err := strconv.ParseInt(strings.Trim(text, `"`), 10, 64)
	if err != nil || version < 0 || !strings.HasPrefix(text, `"`) {
		return 0, problem.New(http.StatusBadRequest, problem.CodeBadRequest, `If-Match: want the ETag of a read, such as "3"`)
	}
	return version, nil
}
