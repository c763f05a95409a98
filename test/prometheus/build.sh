#!/bin/sh
# Builds Prometheus, promtool and Alertmanager's amtool from their Go modules into bin/, unless what is there was built from
# the same versions. The tests of the dashboards and rules run them.
#
# A program in another module is all of it or nothing, and most of Prometheus' is clients of clouds: 2.5 more minutes to
# compile. So it is built as its documentation says for who wants fewer plugins, from a copy of the module with a shorter list.
set -eu

cd "$(dirname "$0")/../.."
root=$PWD
export CGO_ENABLED=0

test=$root/test
module=github.com/prometheus/prometheus
version=$(go list -m -f '{{.Version}}' $module)
stamp=bin/prometheus.stamp
sources="$version $(go env GOOS GOARCH | tr '\n' ' ') $(cat test/prometheus/go.* test/prometheus/build.sh test/alertmanager/go.* | cksum)"
if [ -x bin/prometheus ] && [ -x bin/promtool ] && [ -x bin/amtool ] && [ "$(cat $stamp 2>/dev/null)" = "$sources" ]; then exit 0; fi

echo "Building Prometheus, promtool and amtool from their Go modules; the first time takes about 3 minutes on two cores, with downloads."
began=$(date +%s)
mkdir -p bin
go build -trimpath -ldflags '-s -w' -modfile=test/alertmanager/go.mod -o bin/ github.com/prometheus/alertmanager/cmd/amtool

go mod download $module # verified against go.sum
from=$(go list -m -f '{{.Dir}}' $module)
copy=$(mktemp -d bin/building.XXXXXX)
trap 'rm -rf "$root/$copy"' EXIT
trap 'exit 130' INT TERM HUP
for part in cmd config discovery model notifier plugins prompb promql rules schema scrape storage template tracing tsdb util web; do
  cp -R "$from/$part" "$copy/"
done
chmod -R u+w "$copy"
rm -rf "$copy"/web/ui/*/
echo "package plugins" >"$copy/plugins/plugins.go" # minimum.go beside it has files and HTTP
cp "$from/go.mod" "$copy/"
(
  cd "$copy"
  go build -trimpath -modfile="$test/prometheus/go.mod" -o "$root/bin/" \
    -ldflags "-s -w -X github.com/prometheus/common/version.Version=${version#v}" ./cmd/prometheus ./cmd/promtool
)
echo "$sources" >$stamp
echo "  done in $(($(date +%s) - began)) s"
