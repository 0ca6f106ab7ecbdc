# What a developer of wq_hooks needs; `make` lists it.
#
#   make test PYTHON=python3.12          with another Python
#   make test ARGS="-k ledger -x"        with arguments for pytest
#   make test JOBS=1                     in one process; otherwise one a core
#   make demo VENV=/elsewhere            with an environment of your own
#
# `make test` leaves out most of what is slow: tests/slow_tests.txt lists it, and
# says how many of each are in. CI runs `make test-all`.
#
# The environment is made once, and again when what setup.cfg asks for changes.

PYTHON ?= python3
PYVER := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)
VENV ?= .venv-$(PYVER)
LINT_VENV ?= .venv-lint-$(PYVER)
DOCS_VENV ?= .venv-docs-$(PYVER)
ARGS ?=
JOBS ?= auto

RUN = $(VENV)/bin/python -m
INSTALLED = $(VENV)/.installed-$(PYVER)
LINT_RUN = $(LINT_VENV)/bin/python -m
LINT_INSTALLED = $(LINT_VENV)/.installed-$(PYVER)
DOCS_INSTALLED = $(DOCS_VENV)/.installed-$(PYVER)

.DEFAULT_GOAL := help
.PHONY: help venv demo test test-all test-versions chaos benchmarks lint docs dist clean

help: ## list the targets
	@echo "usage: make <target> [PYTHON=python3] [VENV=$(VENV)] [ARGS=...]"
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-13s %s\n", $$1, $$2 }' \
		$(firstword $(MAKEFILE_LIST))

venv: $(INSTALLED) ## make the environment, with TensorFlow and all else

demo: $(INSTALLED) ## train on a cluster on this machine; kill it; resume it
	@$(RUN) model_zoo.demo --output_dir=demo_run $(ARGS)

test: $(INSTALLED) ## run what finds most: 6 minutes on 2 cores
	@$(RUN) pytest --numprocesses=$(JOBS) --dist=loadfile -m "not slow" $(ARGS)

test-all: $(INSTALLED) ## run all tests
	@$(RUN) pytest --numprocesses=$(JOBS) --dist=loadfile $(ARGS)

test-versions: ## smoke runs on TensorFlow 2.15 to 2.21, in environments of their own
	@$(PYTHON) tools/test_versions.py $(ARGS)

chaos: $(INSTALLED) ## kill, preempt and cut off tasks of real clusters by 100 schedules
	@$(RUN) tests.chaos.run --seeds 0-99 $(ARGS)

benchmarks: $(INSTALLED) ## measure, beside what people would use instead
	@$(RUN) benchmarks $(ARGS)

lint: $(LINT_INSTALLED) ## run ruff and mypy; are sentences and pages short?
	$(LINT_RUN) ruff check .
	$(LINT_RUN) ruff format --check .
	$(LINT_RUN) mypy
	$(LINT_VENV)/bin/python tools/check_pages.py

docs: $(DOCS_INSTALLED) ## build the site of the documentation, strictly, into site/
	$(DOCS_VENV)/bin/python tools/reference_pages.py $(ARGS)
	NO_MKDOCS_2_WARNING=1 $(DOCS_VENV)/bin/python -m mkdocs build --strict --quiet

dist: ## build the distributions, check them, and try the wheel
	$(PYTHON) tools/check_dist.py $(ARGS)

clean: ## remove environments, caches and what the demo wrote
	rm -rf .venv-* demo_run benchmark_results build dist site ./*.egg-info
	rm -rf .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +

$(LINT_INSTALLED): setup.cfg
	@$(PYTHON) -m venv "$(LINT_VENV)"
	@$(LINT_RUN) pip install -qq --disable-pip-version-check \
		$$(sed -nE 's/^ +((mypy|ruff)[<>=].*)/\1/p' setup.cfg | sed 's/.*/"&"/' | xargs -n1)
	@touch $@

$(DOCS_INSTALLED): setup.cfg
	@$(PYTHON) -m venv "$(DOCS_VENV)"
	@$(DOCS_VENV)/bin/python -m pip install -qq --disable-pip-version-check \
		'.[docs]'
	@touch $@

$(INSTALLED): setup.cfg setup.py pyproject.toml
	@case "$(PYVER)" in 3.9|3.10|3.11|3.12|3.13) ;; *) \
		echo "Expected Python 3.9 to 3.13; $(PYTHON) is" \
			"$(if $(PYVER),$(PYVER),not to be found). Choose one, such as:" \
			"make $(MAKECMDGOALS) PYTHON=python3.11" >&2; \
		exit 1 ;; esac
	@$(RUN) pip --version >/dev/null 2>&1 || { \
		echo "Making $(VENV) with Python $(PYVER)."; \
		$(PYTHON) -m venv "$(VENV)"; \
	} || { \
		echo "Python's venv module failed; on Debian and Ubuntu it is in the" \
			"package python$(PYVER)-venv." >&2; \
		exit 1; \
	}
	@$(VENV)/bin/python -c 'import sys; sys.exit("%d.%d" % sys.version_info[:2] != "$(PYVER)")' || { \
		echo "Expected an environment of Python $(PYVER) in $(VENV); it is of" \
			"another. Name another directory with VENV=..." >&2; \
		exit 1; \
	}
	@echo "Installing what setup.cfg asks for, TensorFlow included (2 GB) ..."
	@start=$$(date +%s); \
	$(RUN) pip install -qq --disable-pip-version-check \
		--editable '.[tensorflow,tensorboard,dev]' && \
	echo "Installed in $$(( $$(date +%s) - start )) s; kept for the next time."
	@touch $@
