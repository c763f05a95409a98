package audit

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/tandemhq/tandem/apps/auth/authapi"
)

func written(t testing.TB, format Format, entries ...authapi.AuditEntry) string {
	t.Helper()
	var out bytes.Buffer
	w, err := format.writer(&out)
	must(t, err)
	for _, e := range entries {
		must(t, w.Write(e))
	}
	must(t, w.Flush())
	return out.String()
}

func TestFormats(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
	e := authapi.AuditEntry{
		ID: "e1", Sequence: 2, At: at, RecordedAt: at, Action: "auth.auth.login", Actor: authapi.AuditActor{Subject: "ada", Session: "s1", Key: "k1"},
		Resource: "user:ada", Result: "denied", Code: "x", Address: "::1", UserAgent: "=cmd|' /C calc'!A0,\"\nb", TraceID: "t1",
		Details: map[string]string{"a": "1"}, Previous: "aa", Hash: "bb",
	}
	lines := strings.Split(written(t, NDJSON, e, e), "\n")
	var back authapi.AuditEntry
	if err := json.Unmarshal([]byte(lines[1]), &back); err != nil || len(lines) != 3 || back.UserAgent != e.UserAgent || back.Sequence != 2 {
		t.Errorf("%d lines, the second %+v, %v", len(lines), back, err)
	}
	rows, err := csv.NewReader(strings.NewReader(written(t, CSV, e))).ReadAll()
	must(t, err)
	want := []string{
		"2", "e1", "2026-01-02T03:04:05.000006Z", "2026-01-02T03:04:05.000006Z", "auth.auth.login", "denied", "x", "ada", "s1", "k1", "user:ada",
		"::1", "'" + e.UserAgent, "t1", `{"a":"1"}`, "aa", "bb",
	}
	if len(rows) != 2 || strings.Join(rows[0], ",") != strings.Join(columns, ",") || strings.Join(rows[1], "|") != strings.Join(want, "|") {
		t.Errorf("rows %q", rows)
	}
	if written(t, CSV) != strings.Join(columns, ",")+"\n" {
		t.Error("an empty log has no header")
	}
}

// FuzzCell has no cell begin as a formula does, and none lose its text.
func FuzzCell(f *testing.F) {
	for _, seed := range []string{"", "=1+1", "+1", "-1", "@a", "\t=1", "\r=1", "\n=1", "＝1", "a", "'=1", "\xff=1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		rows, err := csv.NewReader(strings.NewReader(written(t, CSV, authapi.AuditEntry{UserAgent: text}))).ReadAll()
		if err != nil || len(rows) != 2 {
			t.Fatalf("%q: %d rows, %v", text, len(rows), err)
		}
		got := rows[1][12]
		if got != "" && strings.ContainsAny(got[:1], "=+-@\t\r\n") {
			t.Errorf("%q became %q", text, got)
		}
		// A reader of CSV makes one kind of line end of two (RFC 4180).
		if want := strings.ReplaceAll(text, "\r\n", "\n"); strings.TrimPrefix(got, "'") != strings.TrimPrefix(want, "'") {
			t.Errorf("%q became %q", text, got)
		}
	})
}
