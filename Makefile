# Every target installs what it is missing (scripts/setup) and says so.

.PHONY: help demo test npm size bench faults setup fmt lint clean

help: ## what there is to make
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' Makefile | expand -t 16

demo: ## a shop whose events you watch, with no account; CHECK=1 drives it headless and checks it
	@scripts/demo $(if $(CHECK),--check)

test: ## every test there is
	@scripts/test

npm: ## the npm package, in pkg/
	@scripts/build-npm

size: npm ## what a page downloads, in bytes; fails above the targets
	@node scripts/size.mjs

bench: ## all benchmarks, one JSON object a line
	@scripts/bench

faults: ## this client and Amplitude's own through the same network faults, for docs/delivery.md; a quarter of an hour
	@scripts/faults

setup: ## install all that the other targets need
	@scripts/setup

fmt: ## format the Rust sources
	@cargo fmt

lint: ## format check and lints, both builds
	@scripts/test format lint

clean: ## remove what was built, not what was installed
	rm -rf target pkg
