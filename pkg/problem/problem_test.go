package problem_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/tandemhq/tandem/pkg/problem"
)

func TestAProblemCrossesTheWireWhole(t *testing.T) {
	sent := problem.New(http.StatusTooManyRequests, problem.CodeRateLimited, "too fast").
		With(problem.Field{Location: "query.limit", Message: "too large"}).
		After(1500 * time.Millisecond).
		Wrap(errors.New("the password was hunter2"))
	w := httptest.NewRecorder()
	problem.Write(w, sent)

	if got := w.Header().Get("Content-Type"); got != problem.ContentType {
		t.Errorf("content type %q", got)
	}
	if body := w.Body.String(); strings.Contains(body, "hunter2") {
		t.Errorf("the cause went out: %s", body)
	}
	got := problem.Read(w.Result())
	if got.Status != sent.Status || got.Code != sent.Code || got.Detail != sent.Detail || len(got.Errors) != 1 || got.Errors[0] != sent.Errors[0] {
		t.Errorf("got %+v, sent %+v", got, sent)
	}
	if got.RetryAfter() != 2*time.Second {
		t.Errorf("Retry-After %v, want it rounded up to 2 s", got.RetryAfter())
	}
	if !errors.Is(got, sent) {
		t.Error("problems of the same code are not the same to errors.Is")
	}
}

func TestReadMakesAProblemOfAnything(t *testing.T) {
	for name, body := range map[string]string{
		"a page": "<html>Bad Gateway</html>", "nothing": "", "other JSON": `{"message":"no"}`, "truncated": `{"code":"x","sta`,
	} {
		resp := &http.Response{StatusCode: http.StatusBadGateway, Body: io.NopCloser(strings.NewReader(body))}
		p := problem.Read(resp)
		if p.Code != problem.CodeBadAnswer || p.Status != http.StatusBadGateway {
			t.Errorf("%s: got %s, status %d", name, p.Code, p.Status)
		}
	}
}

func TestFromHidesWhatIsNoProblem(t *testing.T) {
	cause := errors.New("disk on fire")
	p := problem.From(cause)
	if p.Status != http.StatusInternalServerError || strings.Contains(p.Detail, "fire") || !errors.Is(p, cause) {
		t.Errorf("got %d %q", p.Status, p.Detail)
	}
}

func FuzzRead(f *testing.F) {
	f.Add(`{"status":404,"code":"not_found"}`)
	f.Add(`[]`)
	f.Fuzz(func(t *testing.T, body string) {
		p := problem.Read(&http.Response{StatusCode: 500, Body: io.NopCloser(strings.NewReader(body))})
		if p == nil || p.Code == "" || p.Status == 0 {
			t.Errorf("%q became %+v", body, p)
		}
	})
}
