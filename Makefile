# The two commands: 'make flock' runs three sample nodes, 'make test' the tests.
# Both set up all they need in .venv.  PYTHON chooses the interpreter.

PYTHON ?= python3
VENV ?= .venv
SAMPLES ?= conf
TESTS ?= tests

BIN = $(VENV)/bin

.PHONY: flock test soak lint wheel clean help

help:
	@echo "make flock   run three sample nodes on this machine until Ctrl-C"
	@echo "make test    run the tests"
	@echo "make soak    run the tests with the long ones"
	@echo "make lint    run ruff and mypy"
	@echo "make clean   remove what these made"

flock: $(VENV)/installed
	@$(BIN)/python -m flocknode.sample $(SAMPLES)/node1 $(SAMPLES)/node2 $(SAMPLES)/node3

test: $(VENV)/installed-test
	$(BIN)/python -m twisted.trial $(TESTS)

soak: $(VENV)/installed-test
	FLOCKNODE_SOAK=1 $(BIN)/python -m twisted.trial $(TESTS)

lint: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/mypy flocknode tests
	$(BIN)/towncrier build --draft --version next > /dev/null

# A plain editable install would hide twisted/plugins from twistd.
INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check \
	--config-settings editable_mode=compat

$(BIN)/python:
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

$(VENV)/installed: $(BIN)/python setup.cfg pyproject.toml
	$(INSTALL) -e .
	@touch $@

$(VENV)/installed-test: $(VENV)/installed
	$(INSTALL) -e '.[test]'
	@touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(INSTALL) -e '.[dev]'
	@touch $@

wheel: $(BIN)/python
	rm -rf build
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps -w dist .

clean:
	rm -rf $(VENV) build dist *.egg-info _trial_temp* .hypothesis .mypy_cache .ruff_cache \
		conf/run conf/tcp/run twisted/plugins/dropin.cache
