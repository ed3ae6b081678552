# `make` alone lists what there is. Needs Python 3.11 or later with venv, and make; nothing else for `make run`.
.DEFAULT_GOAL := help
.PHONY: help run test check bench soak fuzz docs clean

VENV := .venv
BIN := $(VENV)/bin
VERSIONS := python3.13 python3.12 python3.11 python3

# The first Python that runs (a name on PATH may be a stub), is new enough and can make environments.
PYTHON ?= $(shell for python in $(VERSIONS); do \
	"$$python" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 \
	&& { echo "$$python"; break; }; done)

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /\1|/p' $(MAKEFILE_LIST) | while IFS='|' read -r name what; do \
		printf '  make %-6s  %s\n' "$$name" "$$what"; done
	@echo '  PYTHON=python3.12 make ... chooses the interpreter of a new $(VENV) (make clean first)'

run: $(VENV)/.server ## start the server with a test pattern on air; Ctrl-C ends it
	@exec $(BIN)/penstock serve --test-pattern

# Tests wait for media more than they compute: more of them at once than there are cores.
JOBS ?= 3

test: $(VENV)/.dev ## install what the tests need, then run all of them, JOBS=3 at a time
	@tools/peers.sh
	@$(BIN)/python -m pytest --numprocesses $(JOBS) --dist worksteal

# With CI=true nothing is rewritten: what is not formatted fails.
check: $(VENV)/.dev ## format, lint and type-check
	@$(BIN)/ruff format $(if $(filter true,$(CI)),--check)
	@$(BIN)/ruff check
	@$(BIN)/mypy

bench: $(VENV)/.dev ## measure, beside the servers that Debian has
	@tools/peers.sh
	@$(BIN)/python -m bench.run all

soak: $(VENV)/.dev ## 100,000 streams in MINUTES=30, and whether memory and descriptors stay as they are
	@$(BIN)/python -m bench.soak $(if $(MINUTES),--minutes $(MINUTES)) $(if $(NAMES),--names $(NAMES))

fuzz: $(VENV)/.dev ## fuzz each parser for MINUTES=10, guided by coverage; a finding ends it
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[server,dev,fuzz]'
	@set -e; for target in $(or $(TARGET),amf0 bodies chunks files gateway segments); do \
		$(BIN)/python -m tests.fuzz.run $$target --minutes $(or $(MINUTES),10); \
		$(BIN)/python -m tests.fuzz.run $$target --keep; done

docs: $(VENV)/.dev ## write the pages that are made from the code, and the SDK's methods
	@$(BIN)/python -m tools.clients
	@$(BIN)/python -m tools.docs

clean: ## remove the environment, caches and build results; data/ stays
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .peers .fuzz bench/.work
	find src tests tools bench -name __pycache__ -prune -exec rm -rf {} +

# A stamp per set of packages, so that `make run` installs no test tool; the larger set covers the smaller.
$(VENV)/.server: pyproject.toml
	@$(call environment,server)
	@touch $@

$(VENV)/.dev: pyproject.toml
	@$(call environment,server$(comma)dev)
	@touch $@ $(VENV)/.server

# An environment of another folder (this one was moved, or copied with it) would run the code over there.
AT_HOME := grep -qsF "$(CURDIR)/$(BIN)/python" $(BIN)/pip
$(shell $(AT_HOME) || rm -f $(VENV)/.server $(VENV)/.dev)

# Such an environment, or one whose Python is gone, is made anew.
comma := ,
define environment
	{ $(AT_HOME) && $(BIN)/python -m pip --version >/dev/null 2>&1; } || { \
		$(call require_python) "$(PYTHON)" -m venv --clear $(VENV) || exit 1; }; \
	echo "Installing .[$(1)] into $(VENV) ..."; \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[$(1)]'
endef

define require_python
	"$(PYTHON)" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 || { \
		echo 'Penstock needs Python 3.11 or later with its venv module; none of these is one: $(or $(PYTHON),$(VERSIONS))'; \
		echo 'On Debian 12 or later:  sudo apt-get install python3 python3-venv'; \
		echo 'Another interpreter:    PYTHON=/path/to/python3.13 make $(MAKECMDGOALS)'; exit 1; } >&2;
endef
