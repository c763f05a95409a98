#!/bin/sh
# Builds the Dapr CLI (dapr/build.sh cli) or the sidecar and the control plane (dapr/build.sh runtime) from
# their Go modules into .dapr/bin, unless what is there was built from the same sources.
#
# The stamp is a hash of the sources, not a time: a fresh clone with a cached .dapr builds nothing.
set -eu

what=$1
cd "$(dirname "$0")/.."
root=$PWD
build=
new=
export CGO_ENABLED=0

# version MODULE: the version of a module that this module requires.
version() { go list -m -f '{{slice .Version 1}}' "$1"; }

# sha: the SHA-256 of standard input, with what the system has.
sha() { if command -v sha256sum >/dev/null; then sha256sum; else shasum -a 256; fi | cut -d ' ' -f 1; }

cd "dapr/$what"
case $what in
runtime)
  names="the Dapr sidecar (daprd), placement, scheduler and sentry"
  flags="-s -w -X github.com/dapr/dapr/pkg/buildinfo.version=$(version github.com/dapr/dapr)"
  targets="tool ./cmd/..."
  output=
  programs="daprd placement scheduler sentry"
  minutes=7
  ;;
cli)
  names="the Dapr CLI"
  flags="-s -w -X main.version=$(version github.com/dapr/cli)"
  targets="github.com/dapr/cli"
  output=dapr # its package is called cli
  programs="dapr"
  minutes=4
  ;;
*)
  echo "usage: dapr/build.sh runtime|cli" >&2
  exit 2
  ;;
esac

bin=$root/.dapr/bin
stamp=$root/.dapr/$what.stamp
sources=$({
  echo "$flags $(go env GOOS GOARCH | tr '\n' ' ')"
  find go.mod go.sum cmd internal -type f 2>/dev/null | LC_ALL=C sort | while read -r file; do
    echo "$file $(sha <"$file")"
  done
} | sha)

built=yes
for program in $programs; do [ -x "$bin/$program" ] || built=no; done
if [ $built = yes ] && [ "$(cat "$stamp" 2>/dev/null)" = "$sources" ]; then exit 0; fi

echo "Building $names from the Go modules of dapr/$what."
echo "The first time takes minutes (about $minutes on two cores, with downloads), later only a change of dapr/$what makes it happen again."

mkdir -p "$bin"
# Beside its place, so that the programs appear whole and running ones keep their files.
new=$(mktemp -d "$root/.dapr/building.XXXXXX")
log=$new/log
trap '[ -z "$build" ] || kill $build 2>/dev/null || :; rm -rf "$new"' EXIT
trap 'exit 130' INT TERM HUP
began=$(date +%s)

tags=
[ "$what" = runtime ] && tags=stablecomponents
# -v prints each package as it is compiled.
# shellcheck disable=SC2086 # targets are words
go build -v -trimpath -tags "$tags" -ldflags "$flags" -o "$new/$output" $targets >"$log" 2>&1 &
build=$!

said=0
while kill -0 $build 2>/dev/null; do
  elapsed=$(($(date +%s) - began))
  packages=$(grep -vc '^go: ' "$log" || :)
  downloads=$(grep -c '^go: downloading' "$log" || :)
  line="  $elapsed s: $downloads modules downloaded, $packages packages compiled"
  if [ -t 1 ]; then
    printf '\r\033[K%s' "$line"
  elif [ $((elapsed - said)) -ge 15 ]; then
    echo "$line"
    said=$elapsed
  fi
  sleep 1
done
status=0
wait $build || status=$?
[ -t 1 ] && printf '\r\033[K'
if [ $status != 0 ]; then
  echo "Building $names failed:" >&2
  grep -E -v '^(go: downloading .*|[A-Za-z0-9_.~/-]+)$' "$log" >&2 || :
  exit $status
fi
for program in $programs; do mv -f "$new/$program" "$bin/$program"; done
echo "$sources" >"$stamp"
echo "  done in $(($(date +%s) - began)) s"
