// Command platform is Tandem: any of its groups in one process, as its environment says.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
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
  platform backup            copy all data of the embedded stores into one file, while nothing runs
  platform restore           put a backup into an empty data folder
  platform version           print the version
`

// lastWords is how long the Dapr CLI takes to read what a process says at its end; it forgets the rest.
const lastWords = 200 * time.Millisecond

// commands are what platform does, by name.
var commands = map[string]func([]string) error{
	"serve": serve, "groups": listGroups, "render": renderFiles, "doctor": runDoctor,
	"healthcheck": healthcheck, "keys": keysCommand, "legal": legalCommand, "config": printConfig,
	"backup": backUp, "restore": restore, "version": printVersion,
}

func main() { os.Exit(obey(os.Args[1:])) }

// obey does a command and is the status to exit with. Who asks for help with any gets that and nothing else.
func obey(arguments []string) int {
	switch {
	case len(arguments) > 0 && (arguments[0] == "help" || asksForHelp(arguments[0])):
		fmt.Print(usage)
		return 0
	case len(arguments) == 0 || commands[arguments[0]] == nil:
		fmt.Fprint(os.Stderr, usage)
		return 2
	}
	name := arguments[0]
	if len(arguments) == 2 && asksForHelp(arguments[1]) {
		printUsageOf(name)
		if !slices.Contains([]string{"render", "doctor", "config", "backup", "restore"}, name) { // else it lists its flags
			return 0
		}
	}
	err := commands[name](arguments[1:])
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		fmt.Fprintln(os.Stderr, "platform "+name+": "+err.Error())
		time.Sleep(lastWords)
		return 1
	}
	return 0
}

func asksForHelp(argument string) bool {
	return argument == "-h" || argument == "-help" || argument == "--help"
}

// printUsageOf prints what usage says of a command.
func printUsageOf(name string) {
	for line := range strings.Lines(usage) {
		if words := strings.Fields(line); len(words) > 1 && words[0] == "platform" && words[1] == name {
			fmt.Print(line)
		}
	}
}
