# rupor: the commands a contributor needs.
#
#   make test          everything, from a fresh clone: installs what the tests need, says how it went
#   make check         format, lints, unit tests, documentation: before every commit
#   make e2e           real clients (node, python, PHP, curl) against the real program
#   make browser       a real Chromium against the pages; Chromium and Firefox as peers
#   make php           the PHP library: PHPUnit, real worker processes, the real program
#   make conformance   the Autobahn test suite, whole: server and client, by every engine that is there
#   make fuzz          the fuzz targets, FUZZ_SECONDS each (120); make test runs them for 10
#   make bench         rupor against other servers and bare TCP; CELLS='echo-64-*' SECONDS=2 REPEATS=3
#                      PEERS=rupor,floor,ws make a part of it; hours otherwise
#   make deb           the package for Debian, built and installed for a try (as root; nothing of this machine changes)
#   make deps          only install what the tests need
#   make deny          licences and sources of the dependencies (needs cargo-deny)

CARGO ?= cargo
RUPOR_BIN ?= $(abspath $(or $(CARGO_TARGET_DIR),target))/release/rupor
# The client role of rupor-proto as a program, and the client of rupor-server.
RUPOR_CLIENT ?= $(abspath $(or $(CARGO_TARGET_DIR),target))/release/examples/client_blocking
RUPOR_ASYNC_CLIENT ?= $(abspath $(or $(CARGO_TARGET_DIR),target))/debug/examples/client

FUZZ_SECONDS ?= 120

NODE_TEST := node --test --test-reporter=spec --test-timeout=120000

.PHONY: test check deps fmt lint unit doc build client php e2e browser conformance conformance-short deny deb fuzz fuzz-short bench

# The script runs these targets one by one, goes on after a failure and adds up the tests.
# Lints and documentation come first because they share their half of the compiled
# dependencies; the release build comes last because only the programs' tests need it.
test: deps
	scripts/run-tests fmt lint doc unit fuzz-short build php e2e browser conformance-short

check: fmt lint unit doc

deps:
	scripts/deps

fmt:
	$(CARGO) fmt --all --check
	$(CARGO) fmt --manifest-path fuzz/Cargo.toml --check

lint:
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings

# With the documentation's examples, the tidy test, and the model behind docs/explanation/scale.md.
unit:
	$(CARGO) test --workspace --locked --no-fail-fast
	python3 bench/scale.py --check

doc:
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --document-private-items --locked

fuzz:
	scripts/fuzz --seconds $(FUZZ_SECONDS)

fuzz-short:
	scripts/fuzz --seconds 10

build:
	$(CARGO) build --release --locked

client:
	$(CARGO) build --release --locked -p rupor-proto --example client_blocking
	$(CARGO) build --locked --workspace --example client

# Only these know the variables: the program itself takes RUPOR_… for its options.
php e2e browser conformance conformance-short: export RUPOR_BIN := $(RUPOR_BIN)
e2e conformance conformance-short: export RUPOR_CLIENT := $(RUPOR_CLIENT)
e2e: export RUPOR_ASYNC_CLIENT := $(RUPOR_ASYNC_CLIENT)

php: build
	phpunit -c clients/php

e2e: build client
	$(NODE_TEST) e2e/*.test.mjs

browser: build
	$(NODE_TEST) e2e/browser/*.test.mjs

conformance: build client
	python3 conformance/run.py

# What a push runs: one engine, and few of the cases of permessage-deflate.
conformance-short: build client
	python3 conformance/run.py --short

deny:
	$(CARGO) deny check

# Not part of `make test`: it compiles cargo-deb first, for some minutes.
deb: build
	[ -x .cache/tools/bin/cargo-deb ] || $(CARGO) install cargo-deb --version 3.8.0 --locked --quiet --root .cache/tools
	.cache/tools/bin/cargo-deb -p rupor --no-build --strip --output "$(abspath $(or $(CARGO_TARGET_DIR),target))/debian/rupor.deb"
	DEB="$(abspath $(or $(CARGO_TARGET_DIR),target))/debian/rupor.deb" $(NODE_TEST) packaging/deb.test.mjs

# Not part of `make test`: it builds other people's servers, and takes the machine for itself.
bench: build
	bench/run.py --program "$(RUPOR_BIN)" $(if $(SECONDS),--seconds $(SECONDS)) $(if $(REPEATS),--repeats $(REPEATS)) \
		$(if $(PEERS),--peers $(PEERS)) $(foreach cell,$(CELLS),'$(cell)')
