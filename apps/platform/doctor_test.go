package main

import (
	"context"
	"errors"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/tandemhq/tandem/pkg/config"
	"github.com/tandemhq/tandem/pkg/doctor"
	"github.com/tandemhq/tandem/pkg/topology"
)

// offline refuses every request: nothing runs.
type offline struct{}

func (offline) RoundTrip(*http.Request) (*http.Response, error) { return nil, errors.New("refused") }

// The machine is one where everything is built and nothing runs, so that what is found is in the files.
func TestTheDoctorFindsNoErrorInTheShippedRunFiles(t *testing.T) {
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	machine := doctor.Machine{
		Taken:      func(int) bool { return false },
		Holder:     func(int) (doctor.Process, bool) { return doctor.Process{}, false },
		Free:       func(string) (uint64, error) { return 1 << 40, nil },
		Executable: func(program string) (string, error) { return program, nil },
		Version:    func(context.Context, string) (string, error) { return "99.0.0", nil },
	}
	for _, name := range topology.Names() {
		for _, f := range doctor.Examine(t.Context(), doctor.Options{
			Root: root, RunFile: filepath.Join(root, "dapr", name+".yaml"), Groups: specs(builders(config.Config{})),
			Environ: []string{"APP_API_TOKEN=x", "DAPR_API_TOKEN=x", "DAPR_HOST_IP=127.0.0.1"},
			Machine: machine, HTTP: &http.Client{Transport: offline{}}, Now: time.Now, NewID: newID,
		}) {
			// Files that have drifted from what render writes are a warning here, and fail render's own test.
			if f.Severity == doctor.Error {
				t.Errorf("%s: %+v", name, f)
			}
		}
	}
}
