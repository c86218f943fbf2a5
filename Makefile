# make demo   build for this machine and send a photograph through it
# make test   every test, the slow ones too
# make fast   the tests of what compiles nothing for long
# make peers  convert the bundled weights for the other engines (after they have changed); with
#             NETWORK="unet hdrunet" those networks, into build/peers
# Needs Python 3.11 to 3.14 with venv, make and gcc; everything else goes into .venv. That gets the
# newest such Python that is here, and keeps it until PYTHON names another (PYTHON=python3.12).

PYTHONS := python3.14 python3.13 python3.12 python3.11
# Not all that is in requirements-peers.lock has a wheel for Python 3.14.
PEERS_PYTHONS := python3.13 python3.12 python3.11
VENV := .venv
BIN := $(VENV)/bin
PEERS := .venv-peers
STAMP := $(VENV)/.installed

# The first of the commands $(1) that can run the code $(2): a shim of pyenv's may run nothing.
first_to_run = $(firstword $(foreach python,$(1),\
	$(shell $(python) -c '$(2)' >/dev/null 2>&1 && echo $(python))))
supported := import sys; version = sys.version_info[:3]; \
	sys.exit(not (3, 11) <= version < (3, 15) or version == (3, 14, 1))
# PYTHON or the first of $(1) that can make an environment, which Debian has in a package apart.
find_python = $(or $(call first_to_run,$(or $(PYTHON),$(1)),import ensurepip; $(supported)),\
	$(error $(call no_python,$(call first_to_run,$(or $(PYTHON),$(1)),$(supported)))))
no_python = $(or $(without_venv),$(unsupported),no Python from 3.11 to 3.14 is here: \
	sudo apt-get install python3-venv (Debian 12 or Ubuntu 24.04, or later))
without_venv = $(if $(1),$(1) is here without venv: sudo apt-get install $(notdir $(1))-venv)
unsupported = $(if $(PYTHON),PYTHON=$(PYTHON) runs no Python from 3.11 to 3.14)
# What compile/codegen/link/link.py takes to link for this machine; a compiler needs files of the C library's.
on_path = $(wildcard $(addsuffix /$(1),$(subst :, ,$(PATH))))
compiler = $(firstword $(foreach name,cc gcc clang,$(call on_path,$(name))))
linker = $(or $(if $(compiler),$(libc),$(call on_path,ld.lld*)),$(error $(no_linker)))
libc = $(filter /%,$(shell $(compiler) -print-file-name=crti.o))
no_linker = $(if $(or $(PYTHON),$(keep),$(any_python)),$(no_compiler),$(neither))
any_python = $(call first_to_run,$(PYTHONS),import ensurepip; $(supported))
no_compiler = no C compiler that links is here: sudo apt-get install gcc libc6-dev
neither = neither a C compiler that links nor a Python from 3.11 to 3.14 with venv is here: \
	sudo apt-get install gcc libc6-dev python3-venv

# The environment is made anew if it was never finished, its Python has gone or become another one,
# or PYTHON asks for another one.
minor := import sys; print("%d.%d" % sys.version_info[:2])
present := $(shell test -e $(STAMP) && $(BIN)/python -c 'import pip; $(minor)' 2>/dev/null)
wanted := $(if $(PYTHON),$(shell $(PYTHON) -c '$(minor)' 2>/dev/null),$(present))
python = $(if $(keep),$(BIN)/python,$(call find_python,$(PYTHONS)))
keep := $(and $(present),$(filter $(present),$(wanted)))
ifndef keep
.PHONY: $(STAMP)
endif

FAST := $(addprefix tests/compile/,codegen frontend graph imaging networks passes support) \
	tests/targets tests/bench/page \
	$(addprefix tests/system/,test_docs.py test_folder_order.py) \
	--ignore tests/compile/networks/files --ignore tests/compile/frontend/test_every_converter.py

.PHONY: demo test fast lint peers clean

demo: $(STAMP)
	$(BIN)/python compile/demo.py

test: $(STAMP) lint
	$(BIN)/python -m pytest -m "slow or not slow" --durations 10 \
		--numprocesses auto --dist loadfile --no-loadscope-reorder

fast: $(STAMP)
	$(BIN)/python -m pytest --numprocesses auto --dist loadfile $(FAST)

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

peers: $(PEERS)/.installed
	$(if $(NETWORK),$(foreach network,$(NETWORK),\
		$(PEERS)/bin/python -m bench.peers.convert_network --network $(network) &&) true,\
		$(PEERS)/bin/python -m bench.peers.convert_litert && \
		$(PEERS)/bin/python -m bench.peers.convert_onnx)

clean:
	rm -rf build demo

$(STAMP): requirements.lock requirements-no-deps.lock pyproject.toml
	$(if $(linker),)
	@echo "installing into $(VENV), by $(python): up to 3 GB to download and 7 GB on disk," \
		"which pip unpacks for minutes without a word"
	$(if $(keep),,$(python) -m venv --clear $(VENV))
	$(BIN)/python -m pip install --requirement requirements.lock
	$(BIN)/python -m pip install --no-deps --requirement requirements-no-deps.lock
	$(BIN)/python -m pip install --no-deps --no-build-isolation --editable .
	touch $@

$(PEERS)/.installed: requirements-peers.lock
	$(call find_python,$(PEERS_PYTHONS)) -m venv --clear $(PEERS)
	$(PEERS)/bin/python -m pip install --requirement requirements-peers.lock
	touch $@
