#!/bin/sh
# Builds the programs of this module into bin/deploy of the repository: "docker" are those that read the Dockerfile and compose
# files (seconds), "kubernetes" a control plane, kustomize, helm and Dapr's injector (minutes the first time).
set -eu

what=$1
cd "$(dirname "$0")"
bin=../../../bin/deploy
export CGO_ENABLED=0

case $what in
docker)
  exec go build -trimpath -o $bin/ ./compose ./dockerfile
  ;;
kubernetes)
  version=$(go list -m -f '{{.Version}}' k8s.io/kubernetes)
  if [ ! -x $bin/kube-apiserver ]; then
    echo "Building a Kubernetes $version control plane, kustomize and helm from the Go modules of test/deploy/programs."
    echo "The first time takes minutes (about 5 on two cores, with downloads), later only a change of them makes it happen again."
  fi
  minor=${version#v1.}
  minor=${minor%%.*}
  component=k8s.io/component-base/version
  chart=helm.sh/helm/v3/pkg/chartutil
  exec go build -trimpath -ldflags "-s -w -X $component.gitVersion=$version -X $component.gitMajor=1 -X $component.gitMinor=$minor -X $chart.k8sVersionMajor=1 -X $chart.k8sVersionMinor=$minor" -o $bin/ tool ./inject
  ;;
*)
  echo "usage: build.sh docker|kubernetes" >&2
  exit 2
  ;;
esac
