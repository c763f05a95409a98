.DEFAULT_GOAL := help

# monolith, microservices or hybrid: the run file of dapr/ that make run runs.
TOPOLOGY ?= monolith
# DAPR=installed uses the Dapr CLI and runtime found on the machine (1.17 or newer).
DAPR ?=
# The packages that make test tests and make lint looks at.
PACKAGES ?= ./...

export CGO_ENABLED := 0
export DAPR

.PHONY: help run stop up down demo test bench lint generate build programs runtime prometheus venv kafka deployment clean

help: ## show this help
	@awk 'BEGIN { FS = ":.*## " } /^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: build ## run the platform under the Dapr CLI; TOPOLOGY=monolith|microservices|hybrid, DAPR=installed
	@bin/devstack run -f dapr/$(TOPOLOGY).yaml

stop: bin/devstack ## end a run, or what a killed one left
	@bin/devstack stop

up: build ## start the local dependencies only, and keep them between runs
	@bin/devstack up

down: bin/devstack ## stop the local dependencies that make up started
	@bin/devstack down

demo: build ## play the three demos, one topology after the other
	@go run ./test/demo

test: build prometheus venv kafka deployment ## unit tests, and the scenarios in process and on real sidecars in every topology
	go test -timeout 30m $(PACKAGES)

bench: build ## measure, and print the figures of the README
	@go run ./test/bench

lint: ## look for mistakes in the code
	go vet $(PACKAGES)
	GOOS=darwin GOARCH=arm64 go vet $(PACKAGES)
	go tool -modfile=lint/go.mod golangci-lint run $(PACKAGES)

generate: programs ## write what is rendered from the topologies, the dashboards, and the README's configuration reference
	@bin/platform render
	@bin/platform config --into README.md
	@go run ./dashboards/generate dashboards

build: programs $(if $(filter installed,$(DAPR)),,runtime) ## build what is missing: the programs, the Dapr CLI and sidecar

# What platform version and every answer of /readyz say.
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)

programs:
	@[ -x bin/platform ] || echo "Building bin/platform and bin/devstack; the first time takes about 3 minutes on two cores, with downloads."
	@go build -trimpath -ldflags "-X main.version=$(VERSION)" -o bin/ ./apps/platform ./apps/devstack

runtime:
	@dapr/build.sh runtime
	@dapr/build.sh cli

# Prometheus, promtool and amtool, which the tests of the dashboards and alerts run.
prometheus:
	@test/prometheus/build.sh

bin/devstack:
	@go build -trimpath -o bin/ ./apps/devstack

# SecantusDB, on which the tests of the MongoDB backend run. It needs Python 3.10 or newer; without it those
# tests say that they are skipped.
VENV := .tandem/venv
REQUIREMENTS := pkg/store/storetest/requirements.txt

venv: $(VENV)/installed

$(VENV)/installed: $(REQUIREMENTS)
	@if python3 -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then \
	  echo "Installing SecantusDB for the tests of the MongoDB backend into $(VENV)."; \
	  python3 -m venv $(VENV) && \
	  $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r $(REQUIREMENTS) && \
	  touch $@; \
	elif [ -n "$$CI" ]; then \
	  echo "Python 3.10 or newer with venv is missing: CI needs it for the tests of the MongoDB backend." >&2; exit 1; \
	else \
	  echo "SKIPPED: no Python 3.10 or newer with venv, so the tests of the MongoDB backend do not run."; \
	fi

# Apache Kafka, on which a test of the production components runs. It needs Maven and Java 17 or newer.
KAFKA := .tandem/kafka
POM := test/servers/kafka/pom.xml

kafka: $(KAFKA)/installed

$(KAFKA)/installed: $(POM)
	@if command -v mvn >/dev/null; then \
	  echo "Downloading Apache Kafka for the tests of the production components into $(KAFKA)." && rm -rf $(KAFKA) && \
	  mvn --quiet --batch-mode --file $(POM) dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory=$(abspath $(KAFKA)) && \
	  touch $@; \
	elif [ -n "$$CI" ]; then \
	  echo "Maven is missing: CI needs it for the tests of the production components." >&2; exit 1; \
	else \
	  echo "SKIPPED: no Maven, so the tests of the production components do not run on Kafka."; \
	fi

# What reads compose files and the Dockerfile, and a Kubernetes control plane, on which the tests of deploy/ run.
deployment:
	@test/deploy/programs/build.sh docker && test/deploy/programs/build.sh kubernetes || \
	  if [ -n "$$CI" ]; then exit 1; else echo "SKIPPED: no control plane, so the tests of deploy/ do not run."; fi

clean: stop down ## stop everything and remove what was built and every local datum
	rm -rf bin .dapr .tandem
