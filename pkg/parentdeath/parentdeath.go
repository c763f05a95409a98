// Package parentdeath lets a process end with the one that started it.
//
// The Dapr CLI stops its applications by SIGKILL and, killed itself, leaves them all running; a process
// that was started through it therefore asks to be told when its parent goes.
package parentdeath

import "os"

// Variable is the environment variable by which a run file asks its processes to end with the CLI
// that started them. The value is "true".
const Variable = "TANDEM_END_WITH_PARENT"

// Asked reports whether the environment asks this process to end with its parent.
func Asked() bool { return os.Getenv(Variable) == "true" }
