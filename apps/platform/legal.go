package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"go.opentelemetry.io/otel/trace/noop"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/pkg/call"
	"github.com/tandemhq/tandem/pkg/host"
	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/topology"
)

const legalUsage = `say what to do:
  platform legal publish --kind terms --version 3 [--effective 2027-01-01] [--mandatory] en=terms.md de=agb.md
  platform legal withdraw --kind terms --version 3`

// legalTimeout bounds the publication of texts, which may be large.
const legalTimeout = 30 * time.Second

// legalCommand publishes a version of a legal document on a running platform, or withdraws one. It calls as the platform itself,
// so it needs the secret that services sign their calls with.
func legalCommand(arguments []string) error {
	if len(arguments) == 0 || arguments[0] != "publish" && arguments[0] != "withdraw" {
		return errors.New(legalUsage)
	}
	publish := arguments[0] == "publish"
	flags := flag.NewFlagSet("platform legal "+arguments[0], flag.ContinueOnError)
	kind := flags.String("kind", "", "kind of document: terms, privacy, cookies or another")
	version := flags.Int("version", 0, "version: 1 for the first, and one more for each that follows")
	site := flags.String("url", "http://localhost:8000", "base URL of the platform")
	file := flags.String("secrets", localSecrets, "file of the local secret store; - reads {name: value} from standard input")
	var p authapi.LegalPublication
	if publish {
		flags.BoolVar(&p.Mandatory, "mandatory", false, "ask everybody to accept it, also who accepted an earlier version")
		flags.Func("effective", "when it takes effect, a day (UTC) or an instant (RFC 3339); at once without it", func(text string) (err error) {
			p.EffectiveAt, err = instant(text)
			return err
		})
	}
	if err := flags.Parse(arguments[1:]); err != nil {
		return err
	}
	if *kind == "" || *version < 1 || publish != (flags.NArg() > 0) {
		return errors.New(legalUsage)
	}
	for _, argument := range flags.Args() {
		text, err := readText(argument)
		if err != nil {
			return err
		}
		p.Texts = append(p.Texts, text)
	}
	caller, err := operator(*site, *file)
	if err != nil {
		return err
	}
	client := authapi.Client{Client: caller}
	ctx, cancel := context.WithTimeout(context.Background(), legalTimeout)
	defer cancel()
	var document authapi.LegalDocument
	if publish {
		document, err = client.PublishLegal(ctx, *kind, *version, p)
	} else {
		document, err = client.WithdrawLegal(ctx, *kind, *version)
	}
	if err != nil {
		return fmt.Errorf("%s %s/%d at %s: %w", arguments[0], *kind, *version, *site, err)
	}
	if !publish {
		fmt.Printf("%s/%d is withdrawn.\n", document.Kind, document.Version)
		return nil
	}
	fmt.Printf("%s/%d is published in %s; it takes effect at %s.\n", document.Kind, document.Version,
		strings.Join(document.Locales, ", "), document.EffectiveAt.Format(time.RFC3339))
	return nil
}

// instant reads a day, which begins at midnight UTC, or an instant.
func instant(text string) (time.Time, error) {
	if day, err := time.Parse(time.DateOnly, text); err == nil {
		return day, nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, errors.New("want 2027-01-01 or 2027-01-01T09:00:00+01:00")
	}
	return at.UTC(), nil
}

// readText reads one language's text, given as locale=file. Its first heading is the title.
func readText(argument string) (authapi.LegalText, error) {
	locale, path, ok := strings.Cut(argument, "=")
	if !ok || locale == "" || path == "" {
		return authapi.LegalText{}, fmt.Errorf("%q: want <locale>=<file>, such as en=terms.md", argument)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return authapi.LegalText{}, fmt.Errorf("read the text in %s: %w", locale, err)
	}
	text := authapi.LegalText{Locale: locale, Text: string(content)}
	for line := range strings.Lines(text.Text) {
		if title, ok := strings.CutPrefix(line, "# "); ok {
			text.Title = strings.TrimSpace(title)
			return text, nil
		}
	}
	return text, fmt.Errorf("%s has no heading to be its title: begin it with a line such as # Terms of service", path)
}

// operator calls the groups of a running platform as the platform itself.
func operator(site, secretsFile string) (*call.Client, error) {
	base, err := url.Parse(site)
	if err != nil || base.Scheme != "http" && base.Scheme != "https" || base.Host == "" || strings.Trim(base.Path, "/") != "" {
		return nil, fmt.Errorf("--url %q: want a URL such as http://localhost:8000", site)
	}
	values, err := readSecrets(secretsFile)
	if err != nil {
		return nil, err
	}
	key, err := identity.ParseGroupSecret(values[identity.GroupSecretName])
	if err != nil {
		return nil, err
	}
	return call.New(call.Config{
		From: host.Caller, Declared: topology.Groups(), GroupSecret: key, Tracer: noop.NewTracerProvider().Tracer(""), Now: now,
		Route:   func(topology.Group) call.Route { return edge{base} },
		Observe: func(topology.Group, topology.Group, string, string, time.Duration) {},
	}), nil
}

// edge is the way to all groups through the gateway.
type edge struct{ base *url.URL }

func (edge) Name() string { return "gateway" }

func (e edge) Do(r *http.Request, _ topology.Group) (*http.Response, error) {
	r.URL.Scheme, r.URL.Host = e.base.Scheme, e.base.Host
	return call.NewHTTPClient().Do(r)
}
