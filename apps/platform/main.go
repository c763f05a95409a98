// Command platform is Tandem: any of its groups in one process, as its environment says.
package main

import (
	"fmt"
	"os"
	"time"
)

const usage = `platform runs Tandem's route groups and writes the files that place them.

  platform serve             serve the groups of TANDEM_GROUPS
  platform groups            list the groups, their modules and calls
  platform render [--check]  write the run files and resources of the topologies
  platform doctor            tell what would go wrong here, why, and what to do
  platform healthcheck       exit 0 when the process on APP_PORT is ready
  platform config [--into]   print the configuration reference
  platform keys rotate       change the key of access tokens, or one that secrets are encrypted with
  platform keys status       tell what is encrypted with former keys
  platform legal publish     publish a version of a legal document on a running platform
  platform legal withdraw    withdraw a version that has not taken effect
  platform version           print the version
`

// lastWords is how long the Dapr CLI takes to read what a process says at its end; it forgets the rest.
const lastWords = 200 * time.Millisecond

func main() {
	commands := map[string]func([]string) error{
		"serve": serve, "groups": listGroups, "render": renderFiles, "doctor": runDoctor,
		"healthcheck": healthcheck, "keys": keysCommand, "legal": legalCommand, "config": printConfig, "version": printVersion,
	}
	if len(os.Args) < 2 || commands[os.Args[1]] == nil {
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	}
	if err := commands[os.Args[1]](os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, "platform "+os.Args[1]+": "+err.Error())
		time.Sleep(lastWords)
		os.Exit(1)
	}
}
