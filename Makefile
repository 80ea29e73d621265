# Everything a fresh Debian machine needs is installed here, as root.
#   make cycle   set up, then destroy, create and verify three machines on this computer
#   make test    set up, then every test
#   make faults  set up, then every fault case, and write docs/faults.md
#   make docs    set up, then build the documentation into site/
#   make pictures  set up, then draw the live table of a run for the documentation
#   make lock    renew requirements-dev.lock
#   make bench   set up, then measure beside other tools and write docs/benchmarks.md
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# where this is set, each worker and command of the tests would compile every module again
export PYTHONDONTWRITEBYTECODE :=

VENV := .venv
BIN := $(VENV)/bin
RUN_PACKAGES := python3 python3-venv systemd-container mmdebstrap iproute2 nftables zstd openssh-client
TEST_PACKAGES := $(RUN_PACKAGES) chromium curl git podman runc
# the podman of Debian 12 may have CNI, which tells names with this plugin
TEST_PACKAGES += $(shell . /etc/os-release 2>/dev/null; [ "$$ID$$VERSION_ID" = debian12 ] && \
	echo golang-github-containernetworking-plugin-dnsname)
WORKERS ?= 6

.PHONY: help cycle test check compiled fix smoke bench faults contract reference docs pictures lock clean

help:
	@grep -E '^#   ' Makefile | sed 's/^#   //'

cycle: $(VENV)/.run
	$(BIN)/spotdeploy cycle --provider local

test: $(VENV)/.dev
	$(MAKE) --jobs=3 --output-sync=target check smoke compiled
	$(BIN)/pytest --numprocesses $(WORKERS) --dist worksteal

check: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

fix: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# every test module, once for all workers, which tell what is wrong with one
compiled: $(VENV)/.dev
	-$(BIN)/pytest --collect-only -p no:terminal

smoke: $(VENV)/.dev
	tests/packaging/smoke.sh

bench: $(VENV)/.dev
	$(BIN)/python bench/run.py

faults: $(VENV)/.dev
	$(BIN)/python -m tests.faults.campaign

contract: $(VENV)/.dev
	$(BIN)/python -m tests.contract_table

# the generated pages: docs/reference, docs/events.md and docs/architecture.md
reference: $(VENV)/.dev
	$(BIN)/python -m docs.generate

# docs/assets/live-*.svg: the live table of a run on this computer
pictures: $(VENV)/.dev
	$(BIN)/python -m docs.pictures

docs: $(VENV)/.dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# requirements-dev.lock: every package of development and tests, with its hashes
lock: $(VENV)/.pip
	$(BIN)/pip install --quiet uv
	$(BIN)/uv pip compile pyproject.toml --all-extras --group dev --upgrade --generate-hashes \
		--universal --python-version 3.11 --no-emit-index-url --no-header --no-annotate \
		--quiet --output-file requirements-dev.lock

clean:
	rm -rf $(VENV) dist site .mypy_cache .ruff_cache .pytest_cache

# $(call installed,PACKAGES): installs the Debian packages that are missing, as root on Debian; anywhere
# else machines are booted with the podman or docker that is there
define installed
	@if ! command -v apt-get >/dev/null || [ "$$(id -u)" != 0 ]; then \
		echo "Installing no Debian packages: this is not Debian, or not root"; exit 0; \
	fi; \
	missing=$$(for package in $(1); do \
		dpkg-query --show --showformat='$${Status}' $$package 2>/dev/null | grep -q 'ok installed' || echo $$package; \
	done); \
	if [ -n "$$missing" ]; then \
		echo "Installing Debian packages:" $$missing; \
		apt-get update -qq; \
		DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null; \
	fi
endef

# made anew when an earlier attempt was cut off before its end
$(VENV)/.pip:
	$(call installed,$(RUN_PACKAGES))
	python3 -m venv --clear $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	@touch $@

$(VENV)/.run: pyproject.toml | $(VENV)/.pip
	$(call installed,$(RUN_PACKAGES))
	$(BIN)/pip install --quiet --editable .
	@touch $@

$(VENV)/.dev: pyproject.toml requirements-dev.lock | $(VENV)/.pip
	$(call installed,$(TEST_PACKAGES))
	$(BIN)/pip install --quiet --require-hashes --requirement requirements-dev.lock
	$(BIN)/pip install --quiet --no-deps --editable .
	@touch $@ $(VENV)/.run
