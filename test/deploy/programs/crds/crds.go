// Package crds keeps the module of the Prometheus operator among those that this module requires, so that the test finds its
// custom resource definitions.
package crds

import _ "github.com/prometheus-operator/prometheus-operator/pkg/versionutil" // a small one
