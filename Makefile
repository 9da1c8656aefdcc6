# What people type. Each target does its own set-up; `make` alone lists them.

CARGO ?= cargo
CMD ?=
export CMD

.DEFAULT_GOAL := help
.PHONY: help build run test bench lint fuzz aarch64 soak elsewhere

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' Makefile

build: ## Build the one binary, target/release/clawrden
	@scripts/need cc=gcc
	$(CARGO) build --release --locked -p clawrden

run: build ## Open a governed shell (CMD='…' runs CMD; without a terminal, play a short session)
	@scripts/run

test: ## Set up what is missing and run every test
	@scripts/test

bench: build ## Measure against native and peers; prints ratios
	@scripts/bench

lint: ## Format check and lints, warnings denied
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	$(CARGO) clippy -p clawrden-shim --bin clawrden-shim --features raw --profile shim --locked -- -D warnings

fuzz: ## Fuzz each parser for a short while (needs a nightly toolchain and cargo-fuzz)
	@scripts/fuzz

aarch64: ## Build the aarch64 shim and run it, emulated, against a warden (installs a cross compiler)
	@scripts/aarch64

soak: ## Kill and ask for as long as it takes (CLAWRDEN_SOAK_REQUESTS=1000000, _AT_ONCE=200, _KILLS=5000, _ROUNDS=1000, _SECONDS=…)
	CLAWRDEN_PATIENCE=$${CLAWRDEN_PATIENCE:-600} nice -n 10 $(CARGO) test --release --locked -p clawrden --test soak -- --ignored --nocapture --test-threads 1
	CLAWRDEN_BROWSER_HISTORY=$${CLAWRDEN_BROWSER_HISTORY:-1000000} nice -n 10 $(CARGO) test --release --locked -p clawrden --test browser -- --nocapture long::
	nice -n 10 $(CARGO) test --release --locked -p clawrden-warden --lib -- --ignored --nocapture every_change

elsewhere: ## Run the tests in containers on the engines of Debian 13, and in a virtual machine what depends on the machine (long where it is emulated)
	scripts/elsewhere engines
	scripts/elsewhere machine
