// Command inject changes a Pod as Dapr's injector does: it reads one as JSON and writes it with the sidecar.
package main

import _ "github.com/dapr/dapr/pkg/injector/patcher"

func main() {}
