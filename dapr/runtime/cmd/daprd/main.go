// Command daprd is the Dapr sidecar with the components Tandem uses.
//
// It is the stock sidecar with two differences, both for machines of people rather than clusters:
// outside Kubernetes its internal gRPC and metrics listen on loopback unless a flag says otherwise
// (the Dapr CLI has no flag for either), where the other sidecars then find it, and it ends with the CLI
// that started it.
package main

import (
	"log"
	"os"
	"slices"
	"strings"

	"github.com/dapr/dapr/cmd/daprd/app"
)

func main() {
	if slices.ContainsFunc(os.Args[1:], isKubernetes) {
		app.Run()
		return
	}
	if _, told := os.LookupEnv("DAPR_HOST_IP"); !told && !slices.ContainsFunc(os.Args[1:], setsAddress) {
		// What the name resolver hands out must be where we listen.
		if err := os.Setenv("DAPR_HOST_IP", "127.0.0.1"); err != nil {
			log.Fatal(err)
		}
	}
	// In front, so that a flag of the caller's wins.
	os.Args = slices.Insert(os.Args, 1, addressFlag+"=127.0.0.1", "--metrics-listen-address=127.0.0.1")
	endWithCLI()
	app.Run()
}

const addressFlag = "--dapr-internal-grpc-listen-address"

func setsAddress(arg string) bool {
	return strings.HasPrefix("-"+strings.TrimLeft(arg, "-"), addressFlag[1:])
}

func isKubernetes(arg string) bool {
	return strings.TrimLeft(arg, "-") == "mode=kubernetes" || arg == "kubernetes"
}
