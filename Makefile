# rupor: the commands a contributor needs.
#
#   make test          everything, from a fresh clone: installs what the tests need, says how it went
#   make check         format, lints, unit tests, documentation: before every commit
#   make e2e           real clients (node, python, PHP, curl) against the real program
#   make browser       a real Chromium against the pages
#   make conformance   the Autobahn test suite, groups 1 to 10
#   make deps          only install what the tests need
#   make deny          licences and sources of the dependencies (needs cargo-deny)

CARGO ?= cargo
RUPOR_BIN ?= $(abspath $(or $(CARGO_TARGET_DIR),target))/release/rupor

NODE_TEST := node --test --test-reporter=spec --test-timeout=120000

.PHONY: test check deps fmt lint unit doc build e2e browser conformance deny

# The script runs these targets one by one, goes on after a failure and adds up the tests.
# Lints and documentation come first because they share their half of the compiled
# dependencies; the release build comes last because only the programs' tests need it.
test: deps
	scripts/run-tests fmt lint doc unit build e2e browser conformance

check: fmt lint unit doc

deps:
	scripts/deps

fmt:
	$(CARGO) fmt --all --check

lint:
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings

# With the documentation's examples and the tidy test.
unit:
	$(CARGO) test --workspace --locked --no-fail-fast

doc:
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --document-private-items --locked

build:
	$(CARGO) build --release --locked

# Only these know the variable: the program itself takes RUPOR_… for its options.
e2e browser conformance: export RUPOR_BIN := $(RUPOR_BIN)

e2e: build
	$(NODE_TEST) e2e/*.test.mjs

browser: build
	$(NODE_TEST) e2e/browser/*.test.mjs

conformance: build
	python3 conformance/run.py

deny:
	$(CARGO) deny check
