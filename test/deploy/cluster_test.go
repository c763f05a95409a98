package deploy

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tandemhq/tandem/pkg/daprtest"
	"github.com/tandemhq/tandem/pkg/eventually"
	"github.com/tandemhq/tandem/pkg/subprocess"
)

const (
	startTime = 90 * time.Second
	// The administrator's token, of a control plane that is on loopback and ends with the test.
	token = "administrator"
)

// cluster is a Kubernetes control plane without nodes: etcd, the API server and the controllers that make Pods. Everything that is
// decided at the API is real: schemas, admission, Pod Security. Nothing is run.
type cluster struct {
	t    *testing.T
	url  string
	http *http.Client
	// resources are where objects of a kind are, by API version and kind.
	resources map[string]apiResource
}

type apiResource struct {
	Name, Kind string
	Namespaced bool
}

// startCluster starts a control plane that ends with the test.
func startCluster(t *testing.T) *cluster {
	t.Helper()
	folder := t.TempDir()
	file := func(name string, content []byte) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	local := func() string { return fmt.Sprintf("http://127.0.0.1:%d", daprtest.Port(t)) }
	clients, peers, port := local(), local(), daprtest.Port(t)
	c := &cluster{t: t, url: fmt.Sprintf("https://127.0.0.1:%d", port)}

	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	signing := file("service-accounts.pem", pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}))
	c.launch("server", "--name=test", "--data-dir="+filepath.Join(folder, "etcd"), "--listen-client-urls="+clients, "--advertise-client-urls="+clients,
		"--listen-peer-urls="+peers, "--initial-advertise-peer-urls="+peers, "--initial-cluster=test="+peers, "--unsafe-no-fsync", "--log-level=error")
	c.launch("kube-apiserver", "--etcd-servers="+clients, "--bind-address=127.0.0.1", fmt.Sprintf("--secure-port=%d", port), "--cert-dir="+filepath.Join(folder, "certificates"),
		"--token-auth-file="+file("tokens.csv", []byte(token+",administrator,administrator,system:masters\n")), "--authorization-mode=RBAC",
		"--service-account-issuer=https://kubernetes.default.svc", "--service-account-key-file="+signing, "--service-account-signing-key-file="+signing,
		"--service-cluster-ip-range=10.0.0.0/24", "--enable-priority-and-fairness=false")

	eventually.Succeeds(t, startTime, "the API server is ready", func() error {
		if err := c.trust(filepath.Join(folder, "certificates/apiserver.crt")); err != nil {
			return err
		}
		_, err := c.request(http.MethodGet, "/readyz", nil)
		return err
	})
	c.launch("kube-controller-manager", "--kubeconfig="+file("kubeconfig", fmt.Appendf(nil, kubeconfig, c.url, token)), "--leader-elect=false", fmt.Sprintf("--secure-port=%d", daprtest.Port(t)),
		"--bind-address=127.0.0.1", "--cert-dir="+filepath.Join(folder, "certificates"), "--service-account-private-key-file="+signing,
		"--controllers=deployment-controller,replicaset-controller,serviceaccount-controller")
	return c
}

const kubeconfig = `apiVersion: v1
kind: Config
current-context: test
contexts: [{name: test, context: {cluster: test, user: test}}]
clusters: [{name: test, cluster: {server: %q, insecure-skip-tls-verify: true}}]
users: [{name: test, user: {token: %s}}]
`

// launch runs a program of the control plane until the test ends.
func (c *cluster) launch(name string, arguments ...string) {
	c.t.Helper()
	subprocess.Start(c.t, exec.Command(program(c.t, "kubernetes", name), arguments...), filepath.Join(c.t.TempDir(), name+".log"), 0)
}

// trust makes a client that takes the API server's certificate, once the server has made it.
func (c *cluster) trust(certificate string) error {
	content, err := os.ReadFile(certificate)
	if err != nil {
		return err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(content) {
		return errors.New("no certificate yet")
	}
	c.http = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS13}}, Timeout: time.Minute}
	return nil
}

// refusal is an answer that is no success.
type refusal struct {
	Status  int
	Message string
}

func (r *refusal) Error() string { return fmt.Sprintf("%d: %s", r.Status, r.Message) }

// request asks the API server. A warning of it is an error: it tells of what will be refused one day, or is by Pod Security.
func (c *cluster) request(method, path string, body any) ([]byte, error) {
	var content []byte
	if body != nil {
		var err error
		if content, err = json.Marshal(body); err != nil {
			return nil, err
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, c.url+path, bytes.NewReader(content))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Accept", "application/json")
	r.Header.Set("Content-Type", "application/json")
	if method == http.MethodPatch {
		r.Header.Set("Content-Type", "application/apply-patch+yaml") // of which JSON is a part
	}
	resp, err := c.http.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode >= 300 {
		var status struct{ Message string }
		_ = json.Unmarshal(answer, &status) // else there is no message
		return nil, &refusal{resp.StatusCode, status.Message}
	}
	if warnings := resp.Header.Values("Warning"); len(warnings) > 0 {
		return nil, fmt.Errorf("%s %s: %s", method, path, strings.Join(warnings, "; "))
	}
	return answer, nil
}

func (c *cluster) get(path string) object {
	c.t.Helper()
	answer, err := c.request(http.MethodGet, path, nil)
	if err != nil {
		c.t.Fatalf("%s: %v", path, err)
	}
	return decode[map[string]any](c.t, answer)
}

// items are the objects of a list.
func (c *cluster) items(path string) []object {
	c.t.Helper()
	var items []object
	list, _ := c.get(path)["items"].([]any)
	for _, item := range list {
		items = append(items, item.(map[string]any))
	}
	return items
}

// path is where an object is.
func (c *cluster) path(o object) (string, error) {
	version := o.text("apiVersion")
	root := "/apis/" + version
	if !strings.Contains(version, "/") {
		root = "/api/" + version
	}
	r, known := c.resources[version+" "+o.text("kind")]
	if !known {
		answer, err := c.request(http.MethodGet, root, nil)
		if err != nil {
			return "", fmt.Errorf("%s of %s: %w", o.text("kind"), version, err)
		}
		var list struct{ Resources []apiResource }
		if err := json.Unmarshal(answer, &list); err != nil {
			return "", err
		}
		if c.resources == nil {
			c.resources = map[string]apiResource{}
		}
		for _, found := range list.Resources {
			if !strings.Contains(found.Name, "/") { // else it is a part of one
				c.resources[version+" "+found.Kind] = found
			}
		}
		if r, known = c.resources[version+" "+o.text("kind")]; !known {
			return "", fmt.Errorf("there is no %s in %s", o.text("kind"), version)
		}
	}
	if !r.Namespaced {
		return root + "/" + r.Name + "/" + o.text("metadata", "name"), nil
	}
	if o.text("metadata", "namespace") == "" {
		return "", fmt.Errorf("%s has no namespace", o)
	}
	return root + "/namespaces/" + o.text("metadata", "namespace") + "/" + r.Name + "/" + o.text("metadata", "name"), nil
}

// apply applies objects as kubectl does on the server's side, with fields that no schema knows refused, and removes those that were
// applied before and are not among them. The namespace comes first; otherwise no object needs to wait for another.
func (c *cluster) apply(all map[string]object, before map[string]object) {
	c.t.Helper()
	for _, namespaces := range []bool{true, false} {
		for _, o := range all {
			if (o.text("kind") == "Namespace") != namespaces {
				continue
			}
			path, err := c.path(o)
			if err == nil {
				_, err = c.request(http.MethodPatch, path+"?fieldManager=test&fieldValidation=Strict", o)
			}
			if err != nil {
				c.t.Errorf("apply %s: %v", o, err)
			}
		}
	}
	if c.t.Failed() {
		c.t.FailNow() // or it would wait for pods that nobody makes
	}
	for name, o := range before {
		if all[name] != nil {
			continue
		}
		path, err := c.path(o)
		if err == nil {
			_, err = c.request(http.MethodDelete, path, nil)
		}
		if err != nil {
			c.t.Errorf("remove %s: %v", o, err)
		}
	}
}

// stored are the objects as the API server has them now, without what it and the controllers note of them.
func (c *cluster) stored(all map[string]object) map[string]object {
	c.t.Helper()
	found := map[string]object{}
	for name, o := range all {
		path, err := c.path(o)
		if err != nil {
			c.t.Fatal(err)
		}
		answer, err := c.request(http.MethodGet, path, nil)
		var refused *refusal
		if errors.As(err, &refused) && refused.Status == http.StatusNotFound {
			continue
		}
		if err != nil {
			c.t.Fatalf("%s: %v", o, err)
		}
		stored := object(decode[map[string]any](c.t, answer))
		delete(stored, "status")
		metadata := stored.at("metadata").(map[string]any)
		for _, field := range []string{"resourceVersion", "managedFields", "generation"} {
			delete(metadata, field)
		}
		if annotations, has := metadata["annotations"].(map[string]any); has {
			delete(annotations, "deployment.kubernetes.io/revision")
		}
		found[name] = stored
	}
	return found
}

// selected are the pods that a selector's labels select.
func (c *cluster) selected(namespace string, labels map[string]any) []object {
	c.t.Helper()
	var pairs []string
	for name, value := range labels {
		pairs = append(pairs, fmt.Sprintf("%s=%v", name, value))
	}
	return c.items("/api/v1/namespaces/" + namespace + "/pods?labelSelector=" + url.QueryEscape(strings.Join(pairs, ",")))
}
