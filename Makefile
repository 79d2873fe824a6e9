# Every command of the project; `make` lists them.

.DEFAULT_GOAL := help
.PHONY: help run test check format lint deny check-generated check-contract fuzz generate bench-quick bench-hostile check-telemetry up down smoke load check-dashboards soak test-pooler drill-proxy check-rules check-manifests image deploy release rollback abort promote release-status test-compat clean
.PHONY: bench-jobs bench-backlog outage drill drill-all drill-rollout remove-sample # sample

# The folder of all builds; CARGO_TARGET_DIR overrides it.
TARGET := $(or $(CARGO_TARGET_DIR),target)

help: ## Print this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## Build and serve the API; start Postgres and Redis if needed
	@dev/run

test: ## Run all tests; start Postgres and Redis if needed
	@dev/with-services test cargo test --workspace --locked

check: format lint deny check-rules check-manifests test check-generated check-contract ## Run what CI runs: format, lints, licences, rules, manifests, tests, generated files, contract
	@echo "check: all green"

format: ## Fail if `cargo fmt` would change a file
	@cargo fmt --all --check

lint: ## Run Clippy and rustdoc, with warnings as errors; check scripts, spelling and phrases
	@dev/lint
	@RUSTDOCFLAGS="--deny warnings" cargo doc --workspace --no-deps --document-private-items --locked --quiet
	@cargo clippy --workspace --all-targets --locked -- --deny warnings
	@for features in "" cache jobs; do \
	  cargo clippy --package platform --no-default-features --features "$$features" --examples --locked -- --deny warnings || exit 1; \
	done

check-rules: ## Check and test the alert rules, if promtool is installed
	@dev/rules

check-manifests: ## Render every overlay; check schemas, network policies and the analysis, if kubectl and jq are installed
	@if command -v kubectl >/dev/null && command -v jq >/dev/null; then k8s/validate.sh; \
	else echo "check-manifests: skipped, it needs kubectl (https://kubernetes.io/docs/tasks/tools/) and jq"; fi

deny: ## Check banned crates, licences and sources, if cargo-deny is installed
	@if command -v cargo-deny >/dev/null; then cargo deny --locked check bans licenses sources; \
	else echo "deny: skipped, cargo-deny is not installed (cargo install cargo-deny --locked)"; fi

check-generated: ## Fail if a generated file is stale
	@dev/with-services test dev/generate --check

check-contract: ## Send requests derived from the contract and check the responses, if Schemathesis is installed (SEED=…)
	@if command -v schemathesis >/dev/null; then \
	  cargo build --quiet --locked -p api && dev/with-services test cargo run --quiet --locked -p tools -- contract-test $(TARGET)/debug/api; \
	else echo "check-contract: skipped, Schemathesis is not installed (pip install schemathesis==4.32.5)"; fi

fuzz: ## Run the property tests, whose names begin with any_, with many more inputs (CASES=5000)
	@PROPTEST_CASES=$(or $(CASES),5000) dev/with-services test cargo test --quiet --workspace --locked -- ::any_

generate: ## Write the generated files: query types, OpenAPI contract, pages, job payloads, client codes
	@dev/with-services test dev/generate

bench-quick: ## Measure the release build: round trips per request, idle memory, start-up time
	@cargo build --release --locked -p api
	@dev/with-services test cargo run --quiet --locked -p tools -- bench $(TARGET)/release/api

# sample: begin
bench-jobs: ## Measure the throughput and latency of jobs, with fsync on (BASELINE=binary compares with another release)
	@cargo build --release --locked -p api
	@dev/with-services bench cargo run --quiet --locked -p tools -- bench-jobs $(TARGET)/release/api

bench-backlog: ## Measure what 50,000 waiting jobs cost while the supplier is down
	@cargo build --release --locked -p api
	@dev/with-services bench cargo run --quiet --locked -p tools -- bench-backlog $(TARGET)/release/api
# sample: end

bench-hostile: ## Measure what 1,000 hostile connections cost the other clients of the release build
	@cargo build --release --locked -p api
	@dev/with-services test cargo run --quiet --locked -p tools -- bench-hostile $(TARGET)/release/api

check-telemetry: ## Check rules, dashboards and runbooks against a real scrape; test the alerts, if promtool is installed
	@dev/with-services test cargo test --quiet --workspace --locked -- telemetry::
	@dev/rules

up: ## Start the stack with docker compose and wait until it is healthy (WITHOUT=grafana omits a service)
	@dev/stack up

down: ## Stop the stack and delete its data
	@dev/stack down

smoke: ## Call every operation of the stack and print results and traces; elsewhere: URL=http://… TOKEN=…
	@dev/stack smoke

load: ## Run the flows of flows.toml on the stack; print a row per operation (DURATION=30 RATE=25; elsewhere: URL=… TOKEN=…)
	@dev/stack load

check-dashboards: ## Run the query of every dashboard panel on the stack; each must return data
	@dev/stack check-dashboards

drill-proxy: ## Send 2,000 requests through nginx after idle times near every limit; none may fail (about 5 minutes)
	@cargo build --quiet --locked -p api
	@dev/with-services test cargo run --quiet --locked -p tools -- proxy-idle-reuse $(TARGET)/debug/api

# sample: begin
drill: ## Inject a fault under load; verify the alert, the trace and recovery: make drill FAULT=postgres-down
	@dev/stack drill $(FAULT)

drill-all: ## Run every drill (about 35 minutes)
	@dev/stack drill-all
# sample: end

image: ## Build the images, named by content; load them into a cluster (LOAD='kind load docker-image') or push them (PUSH=registry/team)
	@dev/image

deploy: ## Deploy everything to kubectl's cluster, without analysis: make deploy ENV=local [IMAGE=…]
	@k8s/release.sh deploy $(IMAGE)

release: ## Release an image in steps, with analysis: make release ENV=production IMAGE=…@sha256:…
	@k8s/release.sh release $(IMAGE)

rollback: ## Restore the last promoted release, without steps
	@k8s/release.sh rollback

abort: ## Stop the release in progress
	@k8s/release.sh abort

promote: ## Skip the remaining steps of a release, without analysis: make promote ENV=… REASON='…'
	@k8s/release.sh promote $(if $(REASON),'$(subst ','\'',$(REASON))')

release-status: ## Show what serves in the cluster, what is in progress and what was promoted
	@k8s/release.sh status

# sample: begin
drill-rollout: ## Release good and faulty images to kubectl's cluster under load; verify promotion and rollback ([SCENARIO=…] [RUNS=3])
	@cargo run --quiet --locked -p tools -- drill-rollout $(SCENARIO)
# sample: end

test-compat: ## Check that the previous release works beside this one: its tests on this schema, jobs both ways (RELEASE=v1.4)
	@dev/compat

soak: ## Run 10,000 flows and kill the worker 20 times; no job may be lost (FLOWS=… KILLS=…)
	@cargo build --release --locked -p api
	@dev/with-services test cargo run --quiet --locked -p tools -- soak $(TARGET)/release/api

test-pooler: ## Run the acceptance tests through PgBouncer in transaction mode (PGBOUNCER=path)
	@dev/with-services test dev/with-pooler cargo test --locked -p acceptance
	@MAX_PREPARED_STATEMENTS=0 dev/with-services test dev/with-pooler cargo test --locked -p testkit -- --ignored a_pooler_

# sample: begin
outage: ## Place orders while the supplier is down for ten minutes; each must be confirmed once afterwards (OUTAGE=seconds)
	@OUTAGE=$(or $(OUTAGE),600) dev/with-services test cargo test --quiet --locked -p acceptance -- outage:: --nocapture
# sample: end

-include template/template.mk

# sample: begin
remove-sample: ## Remove the sample, once your first resource is in place
	@dev/remove-sample
# sample: end

clean: ## Delete builds and local data
	@cargo clean
	@rm -rf .dev
