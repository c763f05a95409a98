package doctor

import (
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write components.txt")

// registered are the component types that Go sources register with daprd.
func registered(t *testing.T, folder, tag string) []string {
	t.Helper()
	kinds := map[string]string{
		"bindings": "bindings", "pubsub": "pubsub", "state": "state", "secretstores": "secretstores", "lock": "lock",
		"configuration": "configuration", "nameresolution": "nameresolution", "nr": "nameresolution", "conversation": "conversation",
		"crypto": "crypto", "httpMiddleware": "middleware.http",
	}
	files, err := filepath.Glob(filepath.Join(folder, "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("sources of daprd in %s: %v, %v", folder, files, err)
	}
	var all []string
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if first, _, _ := strings.Cut(string(source), "\npackage "); !strings.Contains(first, "|| "+tag) && tag != "" {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, source, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			call, isCall := n.(*ast.CallExpr)
			if !isCall {
				return true
			}
			method, _ := call.Fun.(*ast.SelectorExpr)
			if method == nil || !strings.HasPrefix(method.Sel.Name, "Register") {
				return true
			}
			registry, _ := method.X.(*ast.SelectorExpr)
			if registry == nil || registry.Sel.Name != "DefaultRegistry" {
				return true
			}
			kind, known := kinds[strings.TrimSuffix(registry.X.(*ast.Ident).Name, "Loader")]
			if !known {
				t.Errorf("%s: unknown kind of component %s", file, registry.X)
			}
			for _, argument := range call.Args {
				if name, isText := argument.(*ast.BasicLit); isText && name.Kind == token.STRING {
					text, err := strconv.Unquote(name.Value)
					if err != nil {
						t.Fatal(err)
					}
					all = append(all, strings.ToLower(kind+"."+text))
				}
			}
			return true
		})
	}
	return all
}

func TestTheListOfComponentTypesIsWhatDaprdRegisters(t *testing.T) {
	root := filepath.Join("..", "..")
	own := registered(t, filepath.Join(root, "dapr", "runtime", "cmd", "daprd"), "")
	have := strings.Fields(ownTypes)
	for _, kind := range own {
		if !slices.Contains(have, kind) && !*update {
			t.Errorf("dapr/runtime registers %s, which is not in components.txt; run the test with -update", kind)
		}
	}
	list := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/dapr/dapr")
	list.Dir = filepath.Join(root, "dapr", "runtime")
	list.Env = append(os.Environ(), "GOPROXY=off")
	said, err := list.Output()
	folder := strings.TrimSpace(string(said))
	if err != nil || folder == "" {
		t.Skip("SKIPPED: the sources of daprd have not been downloaded (make build does), so its stable components are not compared")
	}
	want := append(own, registered(t, filepath.Join(folder, "cmd", "daprd", "components"), "stablecomponents")...)
	slices.Sort(want)
	want = slices.Compact(want)
	if *update {
		if err := os.WriteFile("components.txt", []byte(strings.Join(want, "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if !slices.Equal(have, want) {
		t.Errorf("components.txt is not what daprd registers; run the test with -update")
	}
}
