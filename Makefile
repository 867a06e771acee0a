# Each target needs nothing done before: it makes the environment (.venv, from uv.lock) and the front-end files itself.
# Afterwards `.venv/bin/vigia` is the command line.

UV_VERSION := 0.13.9
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3 python; do \
	$$p -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
# The machine's own certificates: a company's proxy is trusted when the machine trusts it.
export UV_SYSTEM_CERTS := 1
export UV_NO_PROGRESS := 1
# Who forbids Python to keep what it compiled pays for it at every start of a process, and the tests start hundreds.
unexport PYTHONDONTWRITEBYTECODE

ENVIRONMENT := .venv/.synced
FRONTEND := vigia/portal/static/vendor/.built

.PHONY: setup demo test test-all lint format bench chaos clean

setup: $(ENVIRONMENT) $(FRONTEND)

demo: setup
	@.venv/bin/vigia demo $(ARGS)

test: setup lint
	.venv/bin/pytest -n 2 --dist loadgroup -m "not slow and not chaos" $(ARGS)

test-all: setup lint
	.venv/bin/pytest -n 2 --dist loadgroup $(ARGS)

chaos: setup
	.venv/bin/pytest -m chaos $(ARGS)

lint: $(ENVIRONMENT)
	.venv/bin/ruff check --quiet .
	.venv/bin/ruff format --quiet --check .
	.venv/bin/mypy --no-error-summary vigia
	.venv/bin/lint-imports > .venv/lint-imports.txt || { cat .venv/lint-imports.txt; exit 1; }

format: $(ENVIRONMENT)
	.venv/bin/ruff check --quiet --fix .
	.venv/bin/ruff format --quiet .

bench: setup
	@.venv/bin/vigia bench $(or $(ARGS),all)

clean:
	rm -rf .venv vigia/portal/static/vendor

$(ENVIRONMENT): pyproject.toml uv.lock Makefile
	@test -n "$(PYTHON)" || { echo "Vigía needs Python 3.11 or newer with its venv module; none is on PATH (Debian: apt install python3-venv)."; exit 2; }
	@echo "Making the environment in .venv (first time: about a minute)"
	@test -x .venv/bin/python || $(PYTHON) -m venv .venv
	@test "$$(.venv/bin/uv --version 2>/dev/null | cut -d' ' -f2)" = "$(UV_VERSION)" || \
		.venv/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@VIRTUAL_ENV=.venv .venv/bin/uv sync --quiet --frozen --all-extras --active
	@touch $@

$(FRONTEND): $(ENVIRONMENT) $(wildcard vigia/portal/frontend/package*.json) $(wildcard vigia/portal/locales/*/LC_MESSAGES/*.po)
	@.venv/bin/python -m vigia.portal.build
	@touch $@
