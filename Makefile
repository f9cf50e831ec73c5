# dail: what a team of N developers costs on which GPU.
#
#   make run      a capacity run: real agents, a simulated GPU, no money spent
#   make test     the tests
#   make help     everything else
#
# The programs are built into bin/ and run from there; every flag of theirs is
# a variable here, in capitals. Exit statuses are promised by the programs
# (0 complete, 1 failed or truncated, 2 refused), since make turns every
# failure into 2.

GO      ?= go
NODE    ?= node

BENCHMARK ?= dev-load
MODEL     ?= qwen3-coder
HARDWARE  ?= l40s
GPUS      ?= 1
PROVIDER  ?= simulated
GATEWAY   ?= native
RUNNER    ?= auto
RESULTS   ?= results

# Optional: passed on only where they are set.
QUANT ?=
DEVS ?=
CONFIGS ?=
CLAUDE ?=
ENDPOINT ?=
BASELINE ?=
RESUME ?=
PROBE ?=
PRECISION ?=
REPEAT ?=
ALLOW_HOST_EXEC ?=
HOURS_PER_MONTH ?=
DUTY ?=
EXPLAIN ?=
RUNPOD_URL ?=
HOST ?=
USD_PER_HOUR ?=
MAX_USD ?=
MAX_USD_PER_HOUR ?=
KEEP ?=

# make reap: ALL=1 widens it to other owners' pods, YES=1 answers its question.
ALL ?=
YES ?=
AGE ?=
DRY_RUN ?=

# make dashboard, export, import, gates
OUT ?=
FORMAT ?= csv
CSV ?=
WORKSPACE ?=

# make chaos
TRIALS ?= 500
SEED ?= 1

# make bench-proxy: LITELLM=1 measures LiteLLM too; LONG=20m one answer of this length.
LITELLM ?=
LONG ?=

optional = $(if $(QUANT),-quant $(QUANT)) $(if $(CONFIGS),-configs "$(CONFIGS)") \
  $(if $(CLAUDE),-claude "$(CLAUDE)") $(if $(ENDPOINT),-endpoint "$(ENDPOINT)") \
  $(if $(ALLOW_HOST_EXEC),-allow-host-exec) $(if $(HOURS_PER_MONTH),-hours-per-month $(HOURS_PER_MONTH)) \
  $(if $(DUTY),-duty $(DUTY)) \
  $(if $(EXPLAIN),-explain) $(if $(RUNPOD_URL),-runpod-url "$(RUNPOD_URL)") $(if $(HOST),-host "$(HOST)") \
  $(if $(USD_PER_HOUR),-usd-per-hour $(USD_PER_HOUR)) $(if $(MAX_USD),-max-usd $(MAX_USD)) \
  $(if $(MAX_USD_PER_HOUR),-max-usd-per-hour $(MAX_USD_PER_HOUR)) $(if $(KEEP),-keep=$(KEEP))
common = -model $(MODEL) -hardware $(HARDWARE) -gpus $(GPUS) -provider $(PROVIDER) \
  -gateway $(GATEWAY) -runner $(RUNNER) -results "$(RESULTS)" $(optional)

.PHONY: run
run: bin/dev-load ## a capacity run (BENCHMARK MODEL HARDWARE GPUS QUANT DEVS PROVIDER …; RESUME=id or latest goes on with one)
	@bin/dev-load -benchmark $(BENCHMARK) $(common) $(if $(DEVS),-devs $(DEVS)) $(if $(BASELINE),-baseline) $(if $(PROBE),-probe) \
	  $(if $(PRECISION),-precision $(PRECISION)) $(if $(REPEAT),-repeat $(REPEAT)) $(if $(RESUME),-resume $(RESUME))

.PHONY: validate
validate: bin/smoke ## the pre-flight: one agent, one small task
	@bin/smoke $(common)

.PHONY: explain
explain: bin/dev-load ## every composed key, its value and the line it came from; runs nothing
	@bin/dev-load -benchmark $(BENCHMARK) $(common) $(if $(DEVS),-devs $(DEVS)) $(if $(PROBE),-probe) -explain

.PHONY: dashboard
dashboard: bin/dashboard ## all reports as one page: results/dashboard.html, and live on this machine (RESULTS; OUT=FILE writes that only)
	@bin/dashboard -results "$(RESULTS)" $(if $(OUT),-o "$(OUT)")

.PHONY: export
export: bin/export ## what all reports say, for other programs (FORMAT=csv|markdown|openmetrics OUT=FILE)
	@bin/export -results "$(RESULTS)" -format $(FORMAT) $(if $(OUT),-o "$(OUT)")

.PHONY: import
import: bin/import ## the original lab's published measurements, as reports (RESULTS CSV)
	@bin/import -results "$(RESULTS)" $(if $(CSV),-csv "$(CSV)")

.PHONY: gates
gates: bin/gates ## judges a kept workspace once more (WORKSPACE=DIR; RUNNER ALLOW_HOST_EXEC)
	@bin/gates -workspace "$(WORKSPACE)" -runner $(RUNNER) $(if $(ALLOW_HOST_EXEC),-allow-host-exec)

.PHONY: prune-artifacts
prune-artifacts: bin/prune ## removes agents' workspaces and transcripts of finished runs; reports stay (YES=1 does it, else it only says; AGE=168h)
	@bin/prune -results "$(RESULTS)" $(if $(YES),-yes) $(if $(AGE),-age $(AGE))

.PHONY: toolchain
toolchain: ## the container image in which a real model's agents work (BENCHMARK; needs Docker or podman)
	@$(GO) run ./internal/cmd/toolchain -image -benchmark $(BENCHMARK)

.PHONY: reap
reap: bin/reap ## ends every pod and container of yours, whatever became of its run (PROVIDER=runpod; ALL YES AGE DRY_RUN)
	@bin/reap -provider $(if $(filter simulated,$(PROVIDER)),runpod,$(PROVIDER)) $(if $(RUNPOD_URL),-runpod-url "$(RUNPOD_URL)") \
	  $(if $(HOST),-host "$(HOST)") $(if $(ALL),-all) $(if $(YES),-yes) $(if $(AGE),-age $(AGE)) $(if $(DRY_RUN),-dry-run)

.PHONY: test
test: ## the tests; needs Go, make, Node and git, installs the rest itself
	@GO="$(GO)" scripts/test

.PHONY: test-real
test-real: ## make lint, and the tests that need apt, Docker, sshd, Chromium or Python
	@GO="$(GO)" scripts/test-real

.PHONY: lint
lint: ## gofmt, go vet (Linux and macOS), staticcheck, govulncheck
	@GO="$(GO)" scripts/lint

.PHONY: bench
bench: ## Go benchmarks of the hot paths
	$(GO) test -run '^$$' -bench . -benchtime 1s ./sim/... ./proxy/... ./slo/...

.PHONY: bench-proxy
bench-proxy: ## what the gateway adds to a request, beside a proxy that only copies (LITELLM=1 LONG=20m CLAUDE)
	@$(GO) build -o bin/benchproxy ./internal/cmd/benchproxy
	@bin/benchproxy $(if $(LITELLM),-litellm) $(if $(LONG),-long $(LONG) $(if $(CLAUDE),-claude "$(CLAUDE)"))

.PHONY: bench-truth
bench-truth: ## every figure of a level beside what really happened, over a grid of simulated engines
	@$(GO) build -o bin/benchtruth ./internal/cmd/benchtruth
	@bin/benchtruth

.PHONY: chaos
chaos: ## kills runs at random points, with random faults, and counts the pods that are left (TRIALS SEED)
	@$(GO) build -o bin/chaos ./internal/cmd/chaos
	@bin/chaos -trials $(TRIALS) -seed $(SEED)

.PHONY: podtest
podtest: bin/dev-load ## a double of RunPod's cloud on this machine, to try -provider runpod against
	@$(GO) build -o bin/podtest ./internal/cmd/podtest
	@bin/podtest -benchmark $(BENCHMARK) -model $(MODEL) -hardware $(HARDWARE) -gpus $(GPUS)

.PHONY: costs
costs: ## rewrites README.md's table of what runs cost, from the reports under results/
	@$(GO) run ./internal/cmd/costs

.PHONY: build
build: bin/dev-load bin/smoke bin/reap bin/dashboard bin/export bin/import bin/gates bin/prune ## the programs, into bin/

# Go knows best what is out of date, so these are always handed to it.
.PHONY: FORCE
bin/%: FORCE
	@$(GO) build -o $@ ./examples/$*

.PHONY: clean
clean: ## removes bin/; results stay
	rm -rf bin

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo "  variables: BENCHMARK=$(BENCHMARK) MODEL=$(MODEL) HARDWARE=$(HARDWARE) GPUS=$(GPUS) PROVIDER=$(PROVIDER)"
	@echo "             GATEWAY=$(GATEWAY) RUNNER=$(RUNNER) RESULTS=$(RESULTS); every flag of the programs is one:"
	@echo "             bin/dev-load -h lists them"

.DEFAULT_GOAL := help
