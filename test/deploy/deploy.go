// Package deploy tests what a deployment is made of: the image, the compose files, the Kubernetes manifests and the Helm
// chart. No container is run. Compose files and the Dockerfile are read by Docker's own code, manifests are applied to a real
// Kubernetes control plane, and the programs for that are built from their modules (see programs/go.mod).
package deploy
