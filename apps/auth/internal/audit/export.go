package audit

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/tandemhq/tandem/apps/auth/authapi"
)

// flushEvery is how many entries are written before the client gets to see them.
const flushEvery = 500

// Format is a form in which the log is exported.
type Format string

// The formats there are.
const (
	// NDJSON is one JSON object a line.
	NDJSON Format = "ndjson"
	// CSV is RFC 4180 with a header line.
	CSV Format = "csv"
)

// MediaType is the format's.
func (f Format) MediaType() string {
	if f == CSV {
		return "text/csv; charset=utf-8; header=present"
	}
	return "application/x-ndjson"
}

// writer writes entries in a format. Flush hands on what it holds back.
type writer interface {
	Write(e authapi.AuditEntry) error
	Flush() error
}

func (f Format) writer(to io.Writer) (writer, error) {
	if f != CSV {
		return ndjson{json.NewEncoder(to)}, nil
	}
	w := sheet{csv.NewWriter(to)}
	return w, w.Writer.Write(columns)
}

type ndjson struct{ *json.Encoder }

func (n ndjson) Write(e authapi.AuditEntry) error { return n.Encode(e) }
func (n ndjson) Flush() error                     { return nil }

var columns = []string{
	"sequence", "id", "at", "recorded_at", "action", "result", "code", "actor", "session", "key", "resource", "address", "user_agent",
	"trace_id", "details", "previous", "hash",
}

type sheet struct{ *csv.Writer }

func (s sheet) Write(e authapi.AuditEntry) error {
	details := ""
	if len(e.Details) > 0 {
		text, err := json.Marshal(e.Details)
		if err != nil {
			return fmt.Errorf("encode the details of an entry: %w", err)
		}
		details = string(text)
	}
	row := []string{
		strconv.FormatInt(e.Sequence, 10), e.ID, e.At.Format(time.RFC3339Nano), e.RecordedAt.Format(time.RFC3339Nano), e.Action, e.Result,
		e.Code, e.Actor.Subject, e.Actor.Session, e.Actor.Key, e.Resource, e.Address, e.UserAgent, e.TraceID, details, e.Previous, e.Hash,
	}
	for i, text := range row {
		row[i] = cell(text)
	}
	return s.Writer.Write(row)
}

func (s sheet) Flush() error {
	s.Writer.Flush()
	return s.Error()
}

// cell is text that no spreadsheet takes for a formula: what begins like one gets an apostrophe (OWASP, CSV Injection). The
// full-width forms are what some of them read like the others.
func cell(text string) string {
	if text != "" && strings.ContainsRune("=+-@\t\r\n＝＋－＠", []rune(text)[0]) {
		return "'" + text
	}
	return text
}
