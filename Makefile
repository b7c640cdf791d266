# crm-api: everything a developer types. `make` alone lists it.
#
#   PYTHON=python3.13 make setup     which Python builds .venv (3.11 or newer)
#   make test ARGS="-k balances"     ARGS goes to the tool behind: pytest, crm-api dev, the benchmarks, uv
#   make test WORKERS=0              tests in this one process, for a debugger

PYTHON ?= python3
WORKERS = auto
ARGS    =

BIN   := .venv/bin
READY := .venv/.ready

# A .venv that lost its Python (an upgrade of the system's), or was copied here from elsewhere, is made anew.
$(shell test -x $(BIN)/python && grep -qsxF "$(CURDIR)" $(READY) || rm -f $(READY))

.DEFAULT_GOAL := help
.PHONY: help setup run test check lint types contracts openapi-drift openapi-lint dockerfile compose bench openapi \
        format lock clean

help: ## List these targets
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(READY) ## Build .venv from the locked packages (hash-checked), with this project in it

run: setup ## Start everything on this machine, sample data included: crm-api dev
	@$(BIN)/crm-api dev $(ARGS)

test: setup ## Run the whole test suite on all cores; ARGS="-k balances" narrows it
	@$(BIN)/pytest -n $(WORKERS) $(ARGS)

check: lint types contracts openapi-drift openapi-lint dockerfile compose test ## Lint, types, import rules, OpenAPI, containers, then the tests

lint: setup ## Ruff: rules and formatting
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: setup ## Mypy, strict
	@$(BIN)/mypy

contracts: setup ## Import-linter: the tiers import downwards only
	@$(BIN)/lint-imports

openapi-drift: setup ## The committed openapi/openapi.json is what the code serves
	@$(BIN)/crm-api openapi --check

openapi-lint: setup ## openapi/openapi.json is valid OpenAPI
	@$(BIN)/openapi-spec-validator openapi/openapi.json

dockerfile: setup ## Hadolint
	@$(BIN)/hadolint Dockerfile

compose: setup ## compose.yaml fits the compose specification
	@$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec compose.yaml

bench: setup ## Run the benchmarks
	@$(BIN)/python -m benchmarks $(ARGS)

openapi: setup ## Write openapi/openapi.json anew
	@$(BIN)/crm-api openapi --write

format: setup ## Let ruff put the code in order
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

UV_COMPILE = $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header \
             --python-version 3.11 pyproject.toml $(ARGS)

lock: setup ## Make both locks anew after a change in pyproject.toml; ARGS=--upgrade takes newer releases
	@$(UV_COMPILE) -o requirements.lock
	@$(UV_COMPILE) --all-extras -c requirements.lock -o requirements-dev.lock
	@$(MAKE) --no-print-directory setup

clean: ## Remove caches and build output; .venv and the data in .crm stay
	@rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find src tests benchmarks migrations tools -name __pycache__ -type d -prune -exec rm -rf {} +

$(READY): pyproject.toml requirements.lock requirements-dev.lock tools/setup_venv.py tools/locked.py
	@command -v "$(PYTHON)" >/dev/null || { echo "There is no '$(PYTHON)' here. Install Python 3.11 or newer, \
	or name it: make setup PYTHON=python3.12" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "crm-api needs Python 3.11 or newer; \
	'$(PYTHON)' is $$("$(PYTHON)" --version 2>&1). Name a newer one: make setup PYTHON=python3.12" >&2; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { echo "'$(PYTHON)' has no venv module. Debian and Ubuntu \
	keep it in a package of its own: apt-get install python3-venv" >&2; exit 1; }
	@"$(PYTHON)" tools/setup_venv.py
