package system

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// Prometheus is a server that scrapes a run and evaluates the rules of deploy/prometheus.
type Prometheus struct {
	url  string
	http *http.Client
}

// prometheusPort is its port, before the run's offset is added.
const prometheusPort = 9090

// configuration scrapes more often than one in life does, because the run is short.
const configuration = `
global: {scrape_interval: 4s, evaluation_interval: 5s}
rule_files: [%q]
scrape_configs:
  - job_name: tandem
    file_sd_configs: [{files: [%q]}]
`

// NeedPrometheus skips, loudly, where it has not been built; in CI that fails.
func NeedPrometheus(t testing.TB) {
	t.Helper()
	NeedPrograms(t, "the evaluation of dashboards and rules", prometheusProgram)
}

const prometheusProgram = "bin/prometheus"

// Prometheus starts Prometheus on loopback, with the targets that were rendered for the run, and waits until it has scraped all of
// them. It ends with the test. It is nil where Prometheus has not been built.
func (s *System) Prometheus(t testing.TB) *Prometheus {
	t.Helper()
	if _, err := os.Stat(filepath.Join(Repository(), prometheusProgram)); err != nil {
		return nil
	}
	port, dir := prometheusPort+s.PortOffset, filepath.Join(s.Dir, "prometheus")
	config := fmt.Appendf(nil, configuration,
		filepath.Join(Repository(), "deploy/prometheus/rules/[as]*.yml"), filepath.Join(s.Dir, "deploy/prometheus", s.Topology+".json"))
	if err := errors.Join(os.MkdirAll(dir, 0o700), os.WriteFile(filepath.Join(dir, "prometheus.yml"), config, 0o600)); err != nil {
		t.Fatal(err)
	}
	process := s.launch(t, "prometheus", exec.Command(filepath.Join(Repository(), prometheusProgram),
		"--config.file", filepath.Join(dir, "prometheus.yml"), "--storage.tsdb.path", filepath.Join(dir, "data"),
		"--web.listen-address", fmt.Sprintf("127.0.0.1:%d", port)))
	p := &Prometheus{url: fmt.Sprintf("http://127.0.0.1:%d", port), http: s.HTTP}
	t.Cleanup(p.http.CloseIdleConnections)
	process.Await(t, func() error { return p.up(t) })
	return p
}

// up is an error unless every target has been scraped.
func (p *Prometheus) up(t testing.TB) error {
	var targets struct {
		Active []struct {
			URL    string `json:"scrapeUrl"`
			Health string `json:"health"`
			Error  string `json:"lastError"`
		} `json:"activeTargets"`
	}
	if err := p.get(t, "targets", nil, &targets); err != nil {
		return err
	}
	if len(targets.Active) < 2 {
		return fmt.Errorf("it has %d targets", len(targets.Active))
	}
	for _, target := range targets.Active {
		if target.Health != "up" {
			return fmt.Errorf("%s is %s: %s", target.URL, target.Health, target.Error)
		}
	}
	return nil
}

// Query evaluates an expression now: the labels of the series that it returns.
func (p *Prometheus) Query(t testing.TB, expr string) ([]map[string]string, error) {
	t.Helper()
	var result struct {
		Result []struct{ Metric map[string]string }
	}
	if err := p.get(t, "query", url.Values{"query": {expr}}, &result); err != nil {
		return nil, err
	}
	list := make([]map[string]string, 0, len(result.Result))
	for _, r := range result.Result {
		list = append(list, r.Metric)
	}
	return list, nil
}

// Series are the labels of all series since Prometheus started.
func (p *Prometheus) Series(t testing.TB) (all []map[string]string, err error) {
	t.Helper()
	err = p.get(t, "series", url.Values{"match[]": {`{__name__!=""}`}, "start": {fmt.Sprint(time.Now().Add(-time.Hour).Unix())}}, &all)
	return all, err
}

// Rule is a rule that Prometheus has evaluated.
type Rule struct {
	Name, Query, Type, Health string
	Error                     string    `json:"lastError"`
	Evaluated                 time.Time `json:"lastEvaluation"`
}

// Rules are those that it has.
func (p *Prometheus) Rules(t testing.TB) (all []Rule, err error) {
	t.Helper()
	var answer struct{ Groups []struct{ Rules []Rule } }
	err = p.get(t, "rules", nil, &answer)
	for _, g := range answer.Groups {
		all = append(all, g.Rules...)
	}
	return all, err
}

// get reads the data of an answer of the HTTP API, version 1.
func (p *Prometheus) get(t testing.TB, path string, parameters url.Values, into any) error {
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.url+"/api/v1/"+path, bytes.NewBufferString(parameters.Encode()))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if parameters == nil {
		r.Method = http.MethodGet
	}
	resp, err := p.http.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	var answer struct {
		Status, Error string
		Data          json.RawMessage
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		return fmt.Errorf("%s: %w", resp.Status, err)
	}
	if answer.Status != "success" {
		return fmt.Errorf("%s: %s", resp.Status, answer.Error)
	}
	return json.Unmarshal(answer.Data, into)
}
