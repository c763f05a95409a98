package sms_test

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/tandemhq/tandem/pkg/daprtest"
	"github.com/tandemhq/tandem/pkg/sms"
)

// The local component is the one that a run gets, so what arrives here arrives at devstack.
func TestATextArrivesThroughTheLocalComponent(t *testing.T) {
	daprtest.Binary(t, "daprd")
	source, err := os.ReadFile(filepath.Join("..", "..", "components", "local", "sms.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	type request struct{ method, path, to, kind, body string }
	got := make(chan request, 1)
	status := http.StatusNoContent
	port := daprtest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		got <- request{r.Method, r.URL.Path, r.Header.Get("To"), r.Header.Get("Content-Type"), string(body)}
		w.WriteHeader(status)
	}))
	component := strings.NewReplacer("${httpPort}", strconv.Itoa(port), "scopes: [auth]", "scopes: [some-app]").Replace(string(source))
	sidecar := daprtest.Start(t, daprtest.Options{AppID: "some-app", Resources: []string{component}})
	sender := sms.Dapr{Client: sidecar.Client}

	m := sms.Message{To: "+441632960000", Text: "123456 is your code\n\n@localhost #123456"}
	if err := sender.Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	want := request{http.MethodPost, "/inbox/sms", m.To, "text/plain; charset=utf-8", m.Text}
	if r := <-got; r != want {
		t.Errorf("arrived: %+v; want %+v", r, want)
	}
	status = http.StatusInternalServerError
	if err := sender.Send(t.Context(), m); err == nil {
		t.Error("a refused message was reported as sent")
	}
	<-got
}
