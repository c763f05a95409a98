package deploy

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/tandemhq/tandem/test/system"
)

// stage is one of a Dockerfile, as programs/dockerfile writes it.
type stage struct {
	Name, Base, Platform string
	Instructions         []struct {
		Name   string
		Fields struct {
			CmdLine      []string
			PrependShell bool
			SourcePaths  []string
			From         string
			Labels       []struct{ Key string }
			Env          []struct{ Key string }
			Args         []struct{ Key string }
			User         string
			Volumes      []string
			Health       struct{ Test []string }
		}
	}
}

func TestDockerfileMakesASmallImageWithoutRoot(t *testing.T) {
	check := program(t, "docker", "dockerfile")
	stages := decode[[]stage](t, output(t, exec.Command(check, filepath.Join(system.Repository(), "deploy/docker/Dockerfile"))))
	if len(stages) != 2 {
		t.Fatalf("%d stages", len(stages))
	}
	build, image := stages[0], stages[1]
	if build.Platform != "$BUILDPLATFORM" {
		t.Error("the compiler would be emulated for another architecture")
	}
	if image.Base != "gcr.io/distroless/static-debian12:nonroot" {
		t.Errorf("the image is based on %s: a shell, or no certificates of authorities and time zones", image.Base)
	}
	compiled := false
	for _, s := range stages {
		for _, i := range s.Instructions {
			line := strings.Join(i.Fields.CmdLine, " ")
			if i.Name == "ADD" {
				t.Error("ADD fetches and unpacks; use COPY")
			}
			for _, named := range append(slices.Clone(i.Fields.Env), i.Fields.Args...) {
				if secretName.MatchString(named.Key) {
					t.Errorf("%s would be in the image's history", named.Key)
				}
			}
			if i.Name == "RUN" && strings.Contains(line, "go build") {
				compiled = true
				for _, want := range []string{"CGO_ENABLED=0", "GOOS=$TARGETOS", "GOARCH=$TARGETARCH", "-trimpath", "-X main.version=$VERSION", "./apps/platform"} {
					if !strings.Contains(line, want) {
						t.Errorf("go build without %s", want)
					}
				}
			}
		}
	}
	if !compiled {
		t.Error("nothing is compiled")
	}
	found := map[string]bool{}
	for _, i := range image.Instructions {
		f := i.Fields
		switch i.Name {
		case "RUN":
			t.Error("the image has no shell to run anything")
		case "COPY":
			if f.From != build.Name || slices.Contains(f.SourcePaths, ".") {
				t.Errorf("the image takes %v from %q, not from the stage %s", f.SourcePaths, f.From, build.Name)
			}
		case "LABEL":
			for _, l := range f.Labels {
				found[l.Key] = true
			}
		case "USER":
			// Kubernetes can tell that a user is not root from the number alone.
			found["USER"] = regexp.MustCompile(`^[1-9]\d*(:[1-9]\d*)?$`).MatchString(f.User)
		case "VOLUME":
			found["VOLUME"] = slices.Equal(f.Volumes, []string{"/data"})
		case "HEALTHCHECK":
			found["HEALTHCHECK"] = slices.Equal(f.Health.Test, []string{"CMD", "/platform", "healthcheck"})
		case "ENTRYPOINT":
			found["ENTRYPOINT"] = !f.PrependShell && slices.Equal(f.CmdLine, []string{"/platform"})
		case "CMD":
			found["CMD"] = !f.PrependShell && slices.Equal(f.CmdLine, []string{"serve"})
		}
	}
	for _, want := range []string{"USER", "VOLUME", "HEALTHCHECK", "ENTRYPOINT", "CMD", "org.opencontainers.image.title", "org.opencontainers.image.description",
		"org.opencontainers.image.source", "org.opencontainers.image.licenses", "org.opencontainers.image.version"} {
		if !found[want] {
			t.Errorf("%s is missing or not what it should be", want)
		}
	}
}

var secretName = regexp.MustCompile(`(?i)token|password|secret|_key$|-key$`)

// The image is built of what .dockerignore lets through: enough to compile, and nothing that is private.
func TestImageContextIsTheSourcesAndNothingElse(t *testing.T) {
	root, context := system.Repository(), t.TempDir()
	var allowed, ignored []string
	for line := range strings.Lines(string(read(t, ".dockerignore"))) {
		switch line = strings.TrimSpace(line); {
		case line == "" || strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, "!"):
			allowed = append(allowed, line[1:])
		default:
			ignored = append(ignored, line)
		}
	}
	if !slices.Equal(ignored, []string{"*", "**/*_test.go", "**/testdata"}) {
		t.Fatalf("this test does not know how %v are ignored", ignored)
	}
	for _, top := range allowed {
		err := filepath.WalkDir(filepath.Join(root, top), func(path string, entry fs.DirEntry, err error) error {
			if err != nil || strings.HasSuffix(path, "_test.go") {
				return err
			}
			if entry.IsDir() {
				if entry.Name() == "testdata" {
					return fs.SkipDir
				}
				return nil
			}
			relative, err := filepath.Rel(root, path)
			if err != nil {
				return err
			}
			target := filepath.Join(context, relative)
			if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
				return err
			}
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			return os.WriteFile(target, content, 0o600)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	// It also finds the files that packages embed.
	packages := exec.Command("go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", "./apps/platform")
	packages.Dir = context
	if out := output(t, packages); !strings.Contains(string(out), "github.com/tandemhq/tandem/pkg/render") {
		t.Errorf("the context lacks packages:\n%s", out)
	}
}
