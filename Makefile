# Drawdown. `make run` shows it, `make test` proves it; both set up what they need.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

MODULES := events schemas services
DATA    ?= data
# Arguments of `drawdown up`, such as UP="--http-addr 127.0.0.1:9090".
UP      ?= --demo
TEST    ?= ./...
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
ENGINE  := deploy/engine/node_modules/.package-lock.json

export CGO_ENABLED ?= 0

.PHONY: help tools setup build run test chaos race verify fuzz bench clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

tools:
	@command -v go >/dev/null || { echo "make: Go is missing; install Go 1.26 or newer and run make again" >&2; exit 1; }
	@command -v npm >/dev/null || { echo "make: npm is missing; install Node.js 20 or newer with npm and run make again" >&2; exit 1; }

setup: $(ENGINE) ## fetch the ClickHouse engine

$(ENGINE): deploy/engine/package-lock.json | tools
	@echo "Fetching the ClickHouse engine (180 MB, once) …"
	@npm ci --prefix deploy/engine --no-audit --no-fund --loglevel=error
	@touch $@

build: tools setup ## bin/drawdown
	@echo "Building bin/drawdown …"
	@cd services && go build -trimpath -ldflags "-X main.version=$(VERSION)" -o ../bin/drawdown ./cmd/drawdown

run: build ## start everything on this machine and watch an account run out and come back
	@exec bin/drawdown up --data $(DATA) $(UP)

test: setup ## all tests, on a real NATS server and the real ClickHouse engine
	@for module in $(MODULES); do (cd $$module && echo "test $$module" && go test -timeout 20m $(TEST)); done

# Arguments of the chaos run, such as CHAOS="-seed 7 -events 200000 -faults 20".
CHAOS ?= -events 5000000 -faults 200

chaos: setup ## millions of events, hundreds of faults, and an oracle that must agree
	@cd services && go run ./chaos $(CHAOS)

race: setup ## all tests under the race detector
	@for module in $(MODULES); do (cd $$module && echo "race $$module" && CGO_ENABLED=1 go test -race -timeout 40m $(TEST)); done

bin/staticcheck: tools/go.mod
	@cd tools && GOWORK=off go build -o ../bin/staticcheck honnef.co/go/tools/cmd/staticcheck

verify: setup bin/staticcheck ## formatting, vet, staticcheck, and each module by itself
	@unformatted=$$(gofmt -l $(MODULES)); [ -z "$$unformatted" ] || { echo "not formatted: $$unformatted" >&2; exit 1; }
	@for module in $(MODULES); do (cd $$module && echo "verify $$module" && GOWORK=off go build ./... && go vet ./... && ../bin/staticcheck ./...); done

fuzz: ## new examples for every property, and every fuzz target for FUZZTIME (default 20s)
	@for module in $(MODULES); do (cd $$module && for package in $$(go list -f '{{.ImportPath}} {{.XTestImports}}' ./... | awk '/pgregory.net\/rapid/{print $$1}'); do \
		echo "check $$package"; go test -count=1 $$package -rapid.seed=0 -rapid.checks=5000; done); done
	@for module in $(MODULES); do (cd $$module && for package in $$(go list ./...); do \
		for target in $$(go test -list '^Fuzz' $$package 2>/dev/null | grep '^Fuzz' || true); do \
			echo "fuzz $$package $$target"; go test -run '^$$' -fuzz "^$$target$$" -fuzztime $${FUZZTIME:-20s} $$package; done; done); done

bench: build ## throughput, latency and memory on this machine
	@bin/drawdown bench

clean: ## binaries, engine and data
	@rm -rf bin deploy/engine/node_modules $(DATA)
