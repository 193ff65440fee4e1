# Every command that this project needs. `make` lists them.

.DEFAULT_GOAL := help
.PHONY: help build demo test bench check fuzz clean

help: ## list the commands
	@awk -F ': .*## ' '/^[a-z]+:.*## / { printf "  make %-7s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# One program by three names. CARGO_TARGET_DIR may say that it lies elsewhere.
build: ## build the programs: tandem, nixos-test-driver and generate-driver-symbols in target/release
	cargo build --locked --release --package driver-cli
	ln -sf tandem "$${CARGO_TARGET_DIR-target}/release/nixos-test-driver"
	ln -sf tandem "$${CARGO_TARGET_DIR-target}/release/generate-driver-symbols"

# A development build runs the examples as fast as a release build does and takes half the time to make: the machines do the work.
demo: ## install what is missing, build, and run the examples hello.py, mixed.py and faults.py
	@.ci/prepare demo
	cargo build --locked --package driver-cli
	cargo run --locked --quiet --package driver-cli --bin tandem -- run examples/hello.py examples/mixed.py examples/faults.py

test: ## run every test, then count them by backend
	@.ci/prepare test
	@.ci/test

bench: ## measure what README's table says
	@.ci/prepare demo
	cargo run --locked --release --package tandem-tests --bin bench

check: ## formats, lints, documentation, spelling, licences, unused dependencies
	@.ci/prepare check
	@.ci/check

fuzz: ## feed made-up input to what reads that of others; needs a nightly compiler
	@.ci/fuzz

clean: ## remove everything that was built, and the records of tests
	cargo clean
	rm -rf tandem-out
