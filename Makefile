# The only list of commands. `make` prints it.

.DEFAULT_GOAL := help
.PHONY: help run test check format lint deny fresh generate bench-quick telemetry-check up down rules k8s-validate image deploy release rollback abort promote release-status test-compat clean
.PHONY: soak-jobs smoke panels drill drill-all drill-rollout remove-sample # sample

# One folder for all builds, wherever CARGO_TARGET_DIR puts it.
TARGET := $(or $(CARGO_TARGET_DIR),target)

help: ## Print this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## Build and serve the API on Postgres and Redis, started for it where needed
	@dev/run

test: ## Run every test on Postgres and Redis, started for it where needed
	@dev/with-services test cargo test --workspace --locked

check: format lint deny rules k8s-validate test fresh ## What CI runs: format, lints, licences, rules, manifests, tests, generated files
	@echo "check: all green"

format: ## Fail where `cargo fmt` would change something
	@cargo fmt --all --check

lint: ## Clippy, with warnings as errors
	@cargo clippy --workspace --all-targets --locked -- --deny warnings
	@for features in "" cache jobs; do \
	  cargo clippy --package platform --no-default-features --features "$$features" --examples --locked -- --deny warnings || exit 1; \
	done

rules: ## Check and test the alert rules, where promtool is installed
	@dev/rules

k8s-validate: ## Render every overlay; check schemas, network policies and the analysis, where kubectl and jq are installed
	@if command -v kubectl >/dev/null && command -v jq >/dev/null; then k8s/validate.sh; \
	else echo "k8s-validate: skipped, it needs kubectl (https://kubernetes.io/docs/tasks/tools/) and jq"; fi

deny: ## Check bans, licences and sources, where cargo-deny is installed
	@if command -v cargo-deny >/dev/null; then cargo deny --locked check bans licenses sources; \
	else echo "deny: skipped, cargo-deny is not installed (cargo install cargo-deny --locked)"; fi

fresh: ## Fail where a generated file is stale
	@dev/with-services test dev/generate --check

generate: ## Write the generated files: types of queries, contract, pages, payloads, the client's codes
	@dev/with-services test dev/generate

bench-quick: ## Print round trips per request, memory at rest and time to start, of the release build
	@cargo build --release --locked -p api
	@dev/with-services test cargo run --quiet --locked -p tools -- bench $(TARGET)/release/api

telemetry-check: ## Check rules, dashboards and runbooks against a real scrape; test the alerts, where promtool is installed
	@dev/with-services test cargo test --quiet --workspace --locked -- telemetry::
	@dev/rules

up: ## Start the whole stack with docker compose, and wait until it is healthy (WITHOUT=grafana leaves it out)
	@dev/stack up

down: ## Stop the stack and remove its data
	@dev/stack down

# sample: begin
smoke: ## Provoke each kind of answer from the stack, and print its trace
	@dev/stack smoke

panels: ## Run the query of every dashboard panel against the stack; each must return data
	@dev/stack panels

drill: ## Bring a fault about in the stack, under load, and see what tells of it: make drill FAULT=postgres-down
	@dev/stack drill $(FAULT)

drill-all: ## Every drill; some 35 minutes
	@dev/stack drill-all
# sample: end

image: ## Build the images, named by content (LOAD='kind load docker-image' or PUSH=registry/team brings them where they run)
	@dev/image

deploy: ## Put everything in the cluster of kubectl at once: make deploy ENV=local [IMAGE=…]
	@k8s/release.sh deploy $(IMAGE)

release: ## Release an image step by step, judged all the way: make release ENV=production IMAGE=…@sha256:…
	@k8s/release.sh release $(IMAGE)

rollback: ## Bring the last promoted release back, at once
	@k8s/release.sh rollback

abort: ## Stop the release that is under way
	@k8s/release.sh abort

promote: ## Skip what is left of a release's steps, unjudged: make promote ENV=… REASON='…'
	@k8s/release.sh promote $(if $(REASON),'$(subst ','\'',$(REASON))')

release-status: ## What serves in the cluster, what is under way, what was promoted
	@k8s/release.sh status

# sample: begin
drill-rollout: ## Sick releases on the cluster of kubectl, under load: each must be taken back ([SCENARIO=…] [RUNS=3])
	@cargo run --quiet --locked -p tools -- drill-rollout $(SCENARIO)
# sample: end

test-compat: ## Prove that the release before works beside this one: its tests on this schema, and jobs both ways (RELEASE=v1.4)
	@dev/compat

# sample: begin
soak-jobs: ## Place 10,000 orders while their worker is killed 20 times; each must be confirmed once
	@cargo build --release --locked -p api
	@dev/with-services test cargo run --quiet --locked -p tools -- soak $(TARGET)/release/api
# sample: end

-include template/template.mk

# sample: begin
remove-sample: ## Take the sample out, once your first resource is in place
	@dev/remove-sample
# sample: end

clean: ## Remove builds and local data
	@cargo clean
	@rm -rf .dev
