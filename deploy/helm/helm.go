// Package helm holds the chart. Its templates are the one description of the Kubernetes objects: package render fills them for
// kustomize, with the same values as Helm.
package helm

import "embed"

// Chart is the chart's defaults and templates.
//
//go:embed tandem/values.yaml tandem/templates/*.yaml
var Chart embed.FS
