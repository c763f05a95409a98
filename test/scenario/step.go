// Package scenario holds what Tandem must do in every topology, written once against a base URL: the
// same steps run in one process, and on real sidecars as monolith, microservices and hybrid.
package scenario

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tandemhq/tandem/pkg/topology"
)

// Site is a running Tandem.
type Site struct {
	// API is the gateway's base URL.
	API string
	// Devstack is the base URL of the inbox and the sandbox.
	Devstack string
	// Home is the base URL of the app that hosts a group.
	Home func(topology.Group) string
	// HTTP is the client of all steps.
	HTTP *http.Client
	// Orders tells that the sandbox serves the CDNOW orders.
	Orders bool
	// Secret reads the run's secret store, for what only the platform's operators may do.
	Secret func(name string) (string, error)
}

// Step is one request and what must come of it. "${name}" in Path, Header and Body stands for what an
// earlier step saved.
type Step struct {
	Name   string
	Method string
	// Path is below Site.API; a URL is taken as it is.
	Path   string
	Header map[string]string
	// Body is sent as JSON; a string is sent as it is, and a *strings.Reader without saying its length.
	Body any
	// Want is the status.
	Want int
	// Has maps paths such as "items.0.id", or headers such as "header:ETag", to values; the value Present
	// only has to be there, and a func(string) error decides for itself.
	Has map[string]any
	// Contains is a string that must be in the answer, which need not be JSON.
	Contains string
	// Lacks are strings that must not be anywhere in the answer.
	Lacks []string
	// Save keeps values of the answer, by name, for later steps. Its paths are as those of Has.
	Save map[string]string
	// Then looks at the answer's body when all else is as wanted, and may keep what it finds in it.
	Then func(ctx context.Context, body []byte, vars map[string]string) error
	// Within repeats the step until it answers as wanted, this long at most.
	Within time.Duration
	// Times does the step as often as that; once when zero.
	Times int
}

// not is a step like s that is refused.
func not(s Step, name string, status int, code string) Step {
	s.Name, s.Want, s.Has, s.Save, s.Lacks, s.Contains, s.Then = name, status, map[string]any{"code": code}, nil, nil, "", nil
	return s
}

// Present accepts any value that is there.
const Present = presence("present")

type presence string

// Play runs steps in order, each as a sub-test; the first that fails ends the scenario. Vars are what
// "${…}" stands for, and collects what steps save.
func Play(t *testing.T, site Site, vars map[string]string, steps []Step) {
	t.Helper()
	for i, step := range steps {
		name := step.Name
		if name == "" {
			name = step.Method + " " + step.Path
		}
		ok := t.Run(fmt.Sprintf("%02d %s", i+1, name), func(t *testing.T) {
			for range max(1, step.Times) {
				if _, _, err := step.Do(t.Context(), site, vars); err != nil {
					t.Fatal(err)
				}
			}
		})
		if !ok {
			t.Fatalf("step %d (%s) failed; those after it were not tried", i+1, name)
		}
	}
}

const askAgain = 100 * time.Millisecond

// Do makes the step's request, again until it answers as wanted or Within is over, and returns the last
// answer with its body, which is read and closed. The error says what was not as wanted.
func (s Step) Do(ctx context.Context, site Site, vars map[string]string) (*http.Response, []byte, error) {
	deadline := time.Now().Add(s.Within)
	for {
		resp, body, err := s.send(ctx, site, vars)
		if err == nil {
			err = s.check(ctx, resp, body, vars)
		}
		if err == nil || !time.Now().Before(deadline) {
			return resp, body, err
		}
		select {
		case <-ctx.Done():
			return resp, body, err
		case <-time.After(askAgain):
		}
	}
}

func (s Step) check(ctx context.Context, resp *http.Response, body []byte, vars map[string]string) error {
	if resp.StatusCode != s.Want {
		return fmt.Errorf("status %d, want %d: %.2000s", resp.StatusCode, s.Want, body)
	}
	if !bytes.Contains(body, []byte(s.Contains)) {
		return fmt.Errorf("the answer lacks %q: %.2000s", s.Contains, body)
	}
	for _, lacking := range s.Lacks {
		if lacking = expand(lacking, vars); lacking != "" && bytes.Contains(body, []byte(lacking)) {
			return fmt.Errorf("the answer contains %q: %.2000s", lacking, body)
		}
	}
	answer := answer{header: resp.Header, body: body}
	for path, want := range s.Has {
		got, there, err := answer.at(path)
		if err == nil {
			err = matches(got, there, want, vars)
		}
		if err != nil {
			return fmt.Errorf("%s: %w in %.2000s", path, err, body)
		}
	}
	for name, path := range s.Save {
		got, there, err := answer.at(path)
		if err == nil && !there {
			err = errors.New("nothing there to save")
		}
		if err != nil {
			return fmt.Errorf("%s: %w in %.2000s", path, err, body)
		}
		vars[name] = got
	}
	if s.Then != nil {
		return s.Then(ctx, body, vars)
	}
	return nil
}

// answer is what came of a request, parsed when somebody looks into it.
type answer struct {
	header http.Header
	body   []byte
	parsed any
}

func (a *answer) at(path string) (value string, there bool, err error) {
	if name, ok := strings.CutPrefix(path, "header:"); ok {
		value := a.header.Get(name)
		return value, value != "", nil
	}
	if a.parsed == nil {
		decoder := json.NewDecoder(bytes.NewReader(a.body))
		decoder.UseNumber()
		if err := decoder.Decode(&a.parsed); err != nil {
			return "", false, fmt.Errorf("the answer is not JSON: %w", err)
		}
	}
	value, there = At(a.parsed, path)
	return value, there, nil
}

func (s Step) send(ctx context.Context, site Site, vars map[string]string) (*http.Response, []byte, error) {
	var body io.Reader
	switch b := s.Body.(type) {
	case nil:
	case string:
		body = strings.NewReader(expand(b, vars))
	case *strings.Reader: // sent in chunks, its length unsaid
		if _, err := b.Seek(0, io.SeekStart); err != nil {
			return nil, nil, err
		}
		body = io.MultiReader(b)
	default:
		text, err := json.Marshal(b)
		if err != nil {
			return nil, nil, err
		}
		body = strings.NewReader(expand(string(text), vars))
	}
	url := expand(s.Path, vars)
	if strings.HasPrefix(url, "/") {
		url = site.API + url
	}
	r, err := http.NewRequestWithContext(ctx, s.Method, url, body)
	if err != nil {
		return nil, nil, err
	}
	if s.Body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if token := vars["token"]; token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for name, value := range s.Header {
		if value = expand(value, vars); value == "" {
			r.Header.Del(name)
		} else {
			r.Header.Set(name, value)
		}
	}
	resp, err := site.HTTP.Do(r)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 32<<20))
	return resp, answer, err
}

func expand(text string, vars map[string]string) string {
	for name, value := range vars {
		text = strings.ReplaceAll(text, "${"+name+"}", value)
	}
	return text
}

func matches(got string, there bool, want any, vars map[string]string) error {
	switch want := want.(type) {
	case presence:
		if !there {
			return fmt.Errorf("nothing there")
		}
	case nil:
		if there && got != "null" {
			return fmt.Errorf("%s, want nothing", got)
		}
	case func(string) error:
		return want(got)
	default:
		if expected := expand(fmt.Sprint(want), vars); !there || got != expected {
			return fmt.Errorf("%q, want %q", got, expected)
		}
	}
	return nil
}

// At is the value at a path such as "items.0.id", as text; "#" at the end is a list's length.
func At(v any, path string) (string, bool) {
	for part := range strings.SplitSeq(path, ".") {
		switch node := v.(type) {
		case map[string]any:
			next, ok := node[part]
			if !ok {
				return "", false
			}
			v = next
		case []any:
			if part == "#" {
				return strconv.Itoa(len(node)), true
			}
			i, err := strconv.Atoi(part)
			if err != nil || i < 0 || i >= len(node) {
				return "", false
			}
			v = node[i]
		default:
			return "", false
		}
	}
	switch v := v.(type) {
	case string:
		return v, true
	case nil:
		return "null", true
	default:
		text, err := json.Marshal(v)
		return string(text), err == nil
	}
}
