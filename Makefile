# make demo   build for this machine and send a photograph through it
# make test   every test, the slow ones too
# make peers  convert the bundled weights for the other engines (after they have changed)
# Needs Python 3.11, make and gcc; everything else goes into .venv.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
PEERS := .venv-peers
STAMP := $(VENV)/.installed

.PHONY: demo test lint peers clean

demo: $(STAMP)
	$(BIN)/python compile/demo.py

test: $(STAMP) lint
	$(BIN)/python -m pytest -m "slow or not slow" --durations 10 \
		--numprocesses auto --dist loadfile --no-loadscope-reorder

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

peers: $(PEERS)/.installed
	$(PEERS)/bin/python -m bench.peers.convert_litert
	$(PEERS)/bin/python -m bench.peers.convert_onnx

clean:
	rm -rf build demo

$(STAMP): requirements.lock requirements-no-deps.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --requirement requirements-no-deps.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

$(PEERS)/.installed: requirements-peers.lock
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet --requirement requirements-peers.lock
	touch $@
