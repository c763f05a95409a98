// Package components holds the hand-written Dapr components. They are valid YAML with ${…} where a
// value follows from the topology, and their scopes name route groups; package render replaces both.
package components

import "embed"

// Local are the components of a laptop: embedded stores, and what devstack serves.
//
//go:embed local/*.yaml
var Local embed.FS

// Production are components of a cluster, for the services a team already runs.
//
//go:embed production/*.yaml
var Production embed.FS
