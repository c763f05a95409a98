package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/tandemhq/tandem/pkg/config"
	"github.com/tandemhq/tandem/pkg/store"
	"github.com/tandemhq/tandem/pkg/topology"
	"github.com/tandemhq/tandem/pkg/world"
)

const (
	makeBuild = "make build"

	littleSpace = 1 << 30   // bytes
	noSpace     = 100 << 20 // bytes

	mongoTimeout = 3 * time.Second
)

// oldest is the first runtime that streams across sidecars.
var oldest = release{1, 17, 0}

// programs finds programs that are not there.
func programs(_ context.Context, e Environment) []Finding {
	var found []Finding
	missing := func(program, why, fix string) {
		if _, err := e.Machine.Executable(program); err != nil {
			found = append(found, Finding{Error, e.short(program) + " is missing or cannot be executed", why, fix})
		}
	}
	for _, a := range e.Apps {
		if len(a.Command) == 0 {
			found = append(found, Finding{Error, a.ID + " has no command", "the CLI starts a sidecar without an app", renderAgain})
			continue
		}
		program := a.Command[0]
		if strings.ContainsRune(program, filepath.Separator) {
			program = below(a.Dir, program)
		}
		missing(program, "it is the command of apps of the run file", makeBuild)
	}
	if e.Installed {
		missing(e.cli(), "DAPR=installed uses the Dapr of this machine", "install Dapr and run dapr init, or use the repository's own without DAPR=installed")
		missing(e.daprd(), "DAPR=installed uses the Dapr of this machine", "dapr init, or use the repository's own without DAPR=installed")
		return found
	}
	for _, program := range []string{"dapr", "daprd", "placement", "scheduler"} {
		missing(filepath.Join(e.Root, ".dapr", "bin", program), "the run needs the Dapr CLI, sidecar and control plane", makeBuild+" builds them (minutes the first time)")
	}
	return found
}

func (e Environment) cli() string {
	if e.Installed {
		return "dapr" // in PATH
	}
	return filepath.Join(e.Root, ".dapr", "bin", "dapr")
}

func (e Environment) daprd() string {
	if !e.Installed {
		return filepath.Join(e.Root, ".dapr", "bin", "daprd")
	}
	return filepath.Join(cmp.Or(e.variable("DAPR_RUNTIME_PATH"), e.variable("HOME")), ".dapr", "bin", "daprd")
}

// daprVersions finds a Dapr that is too old.
func daprVersions(ctx context.Context, e Environment) []Finding {
	var found []Finding
	for _, p := range []struct{ name, program, module, pinned string }{
		{"Dapr runtime", e.daprd(), "runtime", "github.com/dapr/dapr"},
		{"Dapr CLI", e.cli(), "cli", "github.com/dapr/cli"},
	} {
		program, err := e.Machine.Executable(p.program)
		if err != nil {
			continue
		}
		said, err := e.Machine.Version(ctx, program)
		if err != nil {
			found = append(found, Finding{Error, err.Error(), "a program that cannot say its version does not run either", makeBuild})
			continue
		}
		have, known := releaseIn(said)
		want, pinned := e.pinned(p.module, p.pinned)
		switch {
		case !known:
			found = append(found, Finding{Warning, "the " + p.name + " has no version of a known form", "nobody can tell whether it is new enough", makeBuild})
		case p.module == "runtime" && have.compare(oldest) < 0:
			found = append(found, Finding{Error, fmt.Sprintf("the %s is %s", p.name, have), "before 1.17 answers do not stream across sidecars, and workflows are lost now and then", "dapr upgrade, or use the repository's own: " + makeBuild + " without DAPR=installed"})
		case pinned && !e.Installed && have.compare(want) < 0:
			found = append(found, Finding{Warning, fmt.Sprintf("the %s is %s, and dapr/%s asks for %s", p.name, have, p.module, want), "the platform is tested with the newer one", makeBuild})
		}
	}
	return found
}

// release is a version: major, minor, patch.
type release [3]int

func (r release) compare(other release) int { return slices.Compare(r[:], other[:]) }
func (r release) String() string            { return fmt.Sprintf("%d.%d.%d", r[0], r[1], r[2]) }

var releasePattern = regexp.MustCompile(`\bv?(\d+)\.(\d+)\.(\d+)`)

// releaseIn is the first version in a text.
func releaseIn(text string) (release, bool) {
	parts := releasePattern.FindStringSubmatch(text)
	if parts == nil {
		return release{}, false
	}
	var r release
	for i := range r {
		var err error
		if r[i], err = strconv.Atoi(parts[i+1]); err != nil {
			return release{}, false
		}
	}
	return r, true
}

// pinned is the version of a module that one of the repository's Dapr modules requires.
func (e Environment) pinned(module, required string) (release, bool) {
	content, err := os.ReadFile(filepath.Join(e.Root, "dapr", module, "go.mod"))
	if err != nil {
		return release{}, false
	}
	for line := range strings.Lines(string(content)) {
		if fields := strings.Fields(strings.TrimPrefix(strings.TrimSpace(line), "require ")); len(fields) > 1 && fields[0] == required {
			return releaseIn(fields[1])
		}
	}
	return release{}, false
}

// dataFolders finds folders of data that cannot be written or will soon be full.
func dataFolders(_ context.Context, e Environment) []Finding {
	var found []Finding
	for _, a := range e.Apps {
		data := e.setting(a, "TANDEM_DATA")
		if data == "" {
			continue
		}
		folder := below(a.Dir, data)
		there, err := nearest(folder)
		if err == nil {
			err = writable(there)
		}
		if err != nil {
			found = append(found, Finding{Error, fmt.Sprintf("the data folder %s cannot be written: %s", e.short(folder), err), "documents, events and state are kept there", "make it writable, or set TANDEM_DATA to another folder"})
			continue
		}
		left, err := e.Machine.Free(there)
		f := Finding{Warning, fmt.Sprintf("%d MiB are left on the disk of %s", left>>20, e.short(folder)), "on a full disk every write fails", "make room: logs are in .dapr/logs, data in " + e.short(folder)}
		switch {
		case err != nil || left >= littleSpace:
			continue
		case left < noSpace:
			f.Severity = Error
		}
		found = append(found, f)
	}
	return found
}

// nearest is the folder, or the first above it that there is.
func nearest(folder string) (string, error) {
	for {
		info, err := os.Stat(folder)
		switch {
		case err == nil && !info.IsDir():
			return "", fmt.Errorf("%s is not a folder", filepath.Base(folder))
		case err == nil:
			return folder, nil
		case !errors.Is(err, fs.ErrNotExist) || folder == filepath.Dir(folder):
			return "", err
		}
		folder = filepath.Dir(folder)
	}
}

// writable tries it: permissions alone do not tell of read-only file systems.
func writable(folder string) error {
	file, err := os.CreateTemp(folder, ".doctor-*")
	if err != nil {
		return err
	}
	return errors.Join(file.Close(), os.Remove(file.Name()))
}

// mongoDB finds a MongoDB that does not answer. Its URL may hold a password, and the driver's errors the URL, so only
// hosts are told.
func mongoDB(ctx context.Context, e Environment) []Finding {
	var found []Finding
	asked := map[string]bool{}
	for _, a := range e.platform() {
		url := e.setting(a, "MONGO_URL")
		if url == "" || asked[url] {
			continue
		}
		asked[url] = true
		o := options.Client().SetServerSelectionTimeout(mongoTimeout).ApplyURI(url)
		if o.Validate() != nil {
			found = append(found, Finding{Error, "MONGO_URL is not a MongoDB connection string", "no app that hosts a group starts", "mongodb://user:password@host:27017/?replicaSet=… or mongodb+srv://…"})
			continue
		}
		if why := pingMongo(ctx, o); why != "" {
			found = append(found, Finding{Error, fmt.Sprintf("MongoDB at %s %s", strings.Join(o.Hosts, ", "), why), "no app that hosts a group becomes ready", "start it and look at its address and user; without MONGO_URL the embedded SQLite is used"})
		}
	}
	return found
}

// pingMongo says what is wrong, or "".
func pingMongo(ctx context.Context, o *options.ClientOptions) string {
	ctx, cancel := context.WithTimeout(ctx, mongoTimeout)
	defer cancel()
	client, err := mongo.Connect(o)
	if err != nil {
		return "cannot be used with these options"
	}
	defer func() { _ = client.Disconnect(context.WithoutCancel(ctx)) }() // the answer is known
	err = client.Ping(ctx, nil)
	switch {
	case err == nil:
		return ""
	case strings.Contains(err.Error(), "auth error"):
		return "refuses the user or password"
	}
	return "does not answer"
}

// dataVersions finds documents that newer code has migrated.
func dataVersions(ctx context.Context, e Environment) []Finding {
	var found []Finding
	for _, a := range e.platform() {
		for _, s := range e.Groups {
			if !slices.Contains(a.Hosts, s.Name) {
				continue
			}
			stored, err := e.storedVersions(ctx, a, s.Name)
			if err != nil {
				continue // dataFolders and mongoDB say what is wrong with the place
			}
			for _, name := range slices.Sorted(maps.Keys(stored)) {
				if known := s.Migrated[name]; stored[name] > known {
					found = append(found, Finding{Error, fmt.Sprintf("the documents of %s are of a newer version of the platform: %s is at version %d, and this program knows version %d", s.Name, name, stored[name], known),
						"the app that hosts the group does not start: it would misread them", "run the newer program again, or restore the backup that was made before it (platform restore): docs/upgrades.md"})
				}
			}
		}
	}
	return found
}

// storedVersions are the versions at which a group's collections are stored.
func (e Environment) storedVersions(ctx context.Context, a App, g topology.Group) (map[string]int, error) {
	if url := e.setting(a, "MONGO_URL"); url != "" {
		ctx, cancel := context.WithTimeout(ctx, mongoTimeout)
		defer cancel()
		client, err := mongo.Connect(options.Client().SetServerSelectionTimeout(mongoTimeout).ApplyURI(url))
		if err != nil {
			return nil, err
		}
		defer func() { _ = client.Disconnect(context.WithoutCancel(ctx)) }() // the answer is known
		return store.MongoVersions(ctx, client, world.MongoDatabase(g))
	}
	path := world.SQLitePath(below(a.Dir, e.setting(a, "TANDEM_DATA")), g)
	if _, err := os.Stat(path); err != nil {
		return nil, err
	}
	return store.SQLiteVersions(ctx, path)
}

// secretStores finds secrets that others can read, and those of development in production.
func secretStores(_ context.Context, e Environment) []Finding {
	var found []Finding
	for _, c := range e.Components {
		local := c.Type == "secretstores.local.file" || c.Type == "secretstores.local.env"
		for _, a := range e.platform() {
			if !c.LoadedBy(a) {
				continue
			}
			if local && e.production(a) {
				found = append(found, Finding{Error, fmt.Sprintf("%s: component %s serves secrets from a file or the environment, and TANDEM_ENV is %s", e.short(c.File), c.Name, config.Production),
					"these are the keys of a laptop: whoever has had them can sign tokens and read vendors' credentials", "a secret store of components/production, with new keys"})
			}
			if file := c.Field("secretsFile"); file != "" {
				found = append(found, e.readByOthers(below(a.Dir, file))...)
			}
		}
	}
	return found
}

func (e Environment) readByOthers(file string) []Finding {
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm()&0o077 == 0 {
		return nil // devstack writes it when it is not there
	}
	return []Finding{{Error, fmt.Sprintf("%s can be read by others (mode %#o)", e.short(file), info.Mode().Perm()),
		"it has the keys that sign tokens and encrypt vendors' credentials", "chmod 600 " + e.short(file)}}
}
