// Command daprd is the Dapr sidecar with the components Tandem uses.
//
// It is the stock sidecar with two differences, both for machines of people rather than clusters:
// outside Kubernetes its internal gRPC and metrics listen on loopback unless a flag says otherwise
// (the Dapr CLI has no flag for either), and it ends with the CLI that started it.
package main

import (
	"os"
	"slices"
	"strings"

	"github.com/dapr/dapr/cmd/daprd/app"
)

func main() {
	if !slices.ContainsFunc(os.Args[1:], isKubernetes) {
		// In front, so that a flag of the caller's wins.
		os.Args = slices.Insert(os.Args, 1,
			"--dapr-internal-grpc-listen-address=127.0.0.1",
			"--metrics-listen-address=127.0.0.1")
		endWithCLI()
	}
	app.Run()
}

func isKubernetes(arg string) bool {
	return strings.TrimLeft(arg, "-") == "mode=kubernetes" || arg == "kubernetes"
}
