# Albion: build, test, lint, bench, fuzz. `make help` lists what there is.

GO        ?= go
# Two tests at a time: the suite starts browsers and servers of its own.
PARALLEL  ?= 2
FUZZTIME  ?= 20s
LINT      := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0

.PHONY: help build test unit e2e lint bench microbench fuzz tools clean

help: ## say what there is
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 12

build: ## bin/albion and bin/chat
	$(GO) build -o bin/albion ./cmd/albion
	$(GO) build -o bin/chat ./examples/chat

test: tools unit e2e ## everything: unit and race, end to end, browser

unit: ## unit tests, with the race detector, shuffled
	$(GO) test -race -shuffle=on -p $(PARALLEL) -timeout 10m $$($(GO) list ./... | grep -v /e2e)

e2e: ## the binary, a browser, real peers
	$(GO) test -shuffle=on -p 1 -parallel $(PARALLEL) -timeout 15m ./e2e/...

tools: ## install what the tests need beyond Go, or say what is missing
	@scripts/tools

lint: ## go vet for three systems, golangci-lint, gofmt
	@test -z "$$(gofmt -l . | tee -a /dev/stderr)" || (echo "run gofmt -w on these files" >&2; exit 1)
	$(GO) vet ./...
	GOOS=darwin $(GO) vet ./cmd/... ./internal/... ./sockjs/... .
	GOOS=windows $(GO) vet ./cmd/... ./internal/... ./sockjs/... .
	$(GO) run $(LINT) run ./...

bench: ## side by side with nginx, HAProxy and Caddy; writes docs/benchmarks.*
	$(GO) run ./bench

microbench: ## benchmarks of the request and handshake path
	$(GO) test -run '^$$' -bench . -benchmem -p 1 ./internal/...

fuzz: ## every fuzz test for FUZZTIME
	@scripts/fuzz $(FUZZTIME)

clean: ## remove what was built
	rm -rf bin
