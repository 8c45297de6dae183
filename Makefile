# One word a chore. `make up` and `make test` are all that a newcomer needs.

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
NEEDS  := pyproject.toml constraints.txt hatch_build.py src/plaudit/vectors.h $(wildcard src/plaudit/*/*.c)

.PHONY: up test check bench shipped docs clean help

help:  ## what there is to make
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

REVIEWS ?= sample
ARGS    ?=
up: $(VENV)/.up  ## reviews to a live page; REVIEWS=imdb, or a file of your own; ARGS="--port 8001"
	@$(BIN)/plaudit up "$(REVIEWS)" $(ARGS)

test: $(VENV)/.test  ## everything that says the product works
	@$(BIN)/python -m tests.run

check: $(VENV)/.test  ## the quick half of the tests: style, types, imports
	@$(BIN)/python -m tests.run --quick

ONLY ?=
bench: $(VENV)-bench/.done  ## measure against the original and against peers; ONLY=words for one
	@$(VENV)-bench/bin/python -m benchmarks $(ONLY)

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Plaudit needs Python 3.11 or newer: make PYTHON=python3.11"; exit 2; }
	@$(PYTHON) -m venv $(VENV) || \
		{ rm -rf $(VENV); echo "Python has no venv module here: apt-get install python3-venv, then make again"; exit 2; }

$(VENV)/.up: $(NEEDS) | $(VENV)/bin/python
	@echo "setting up $(VENV): once, a few minutes, most of it torch"
	@$(PIP) --editable '.[train]'
	@touch $@

$(VENV)/.test: $(NEEDS) | $(VENV)/bin/python
	@echo "setting up what the tests need: once, a few minutes"
	@$(PIP) --editable '.[train,aws,ray,test]'
	@touch $(VENV)/.up $@

$(VENV)-bench/.done: $(NEEDS) | $(VENV)/bin/python
	@echo "setting up $(VENV)-bench, where peers and oracles are: once, a few minutes"
	@$(BIN)/python -m venv $(VENV)-bench
	@$(subst $(BIN),$(VENV)-bench/bin,$(PIP)) --editable '.[bench]'
	@touch $@

SHIPPED := src/plaudit/shipped
shipped: $(VENV)/.test  ## the encoder and the bundle that come with Plaudit, made again: over an hour; REVIEWS=the IMDb archive
	@$(BIN)/plaudit pretrain "$(REVIEWS)" --out $(SHIPPED)/encoder
	@$(BIN)/plaudit train "$(REVIEWS)" --out $(SHIPPED)/bundle
	@$(BIN)/plaudit evaluate "$(REVIEWS)" --bundle $(SHIPPED)/bundle --save

docs: $(VENV)/.test  ## what the docs take from the product: tables, commands
	@$(BIN)/python -m docs.generate

clean:  ## remove the environment and everything that was made here
	rm -rf $(VENV) $(VENV)-bench .plaudit .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
