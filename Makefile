# Every target sets up what it needs. `make help` lists them.
# Kept to what GNU make 3.81 knows, which is macOS's own.

PYTHON ?= python3
VENV := .venv/bin/python
# The makers' tools: no part of the package that users install.
LAB := PYTHONPATH=tools $(VENV) -m lab
INSTALLED := .venv/installed
MICROPYTHON32 := .micropython32/micropython
RP2 := .micropython_rp2

# In CI on Linux x86-64 nothing is skipped, the 32-bit MicroPython included.
ifeq ($(CI) $(shell uname -sm),true Linux x86_64)
EVERYTHING := $(MICROPYTHON32)
endif

# MicroPython for an RPI_PICO, with library and node frozen, and with nothing frozen and a ROMFS.
FIRMWARE ?= build/firmware/RPI_PICO.uf2
# The same for an RPI_PICO that has lwIP, over PPP.
LWIP ?= build/firmware/RPI_PICO_PPP.uf2
STOCK ?= build/firmware/stock/RPI_PICO.uf2

# What is said to this make is not for another one that its programs run.
unexport ARGS BOARD FILE FIRMWARE LWIP MICROPYTHON SEEDS

.DEFAULT_GOAL := help
.PHONY: help setup demo test nightly coverage test-32bit test-rp2040 test-lwip virtual mpy firmware devices flash config deploy repl run logs image fleet doctor monitor bench budget heap wear measured simulate soak lint types format clean

help: ## list these targets
	@echo 'usage: make TARGET [ARGS="more arguments for its program"]'
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/  \1|\2/p' Makefile | awk -F'|' '{ printf "%-14s%s\n", $$1, $$2 }'

setup: $(INSTALLED) ## make .venv with all host tools; make sure of mosquitto and MicroPython
	@$(LAB) setup

test-rp2040: setup $(MICROPYTHON32) $(FIRMWARE) $(LWIP) ## run library and node on an emulated RP2040: FIRMWARE=file.uf2 LWIP=file.uf2, or from Debian's packages
	@FIRMWARE=$(FIRMWARE) LWIP=$(LWIP) $(VENV) -m pytest -q --timeout 600 tests/boards/rp2040/on_rp2040.py tests/boards/rp2040/on_lwip.py $(ARGS)

test-lwip: setup $(LWIP) ## of these only the ones with lwIP
	@LWIP=$(LWIP) $(VENV) -m pytest -q --timeout 600 tests/boards/rp2040/on_lwip.py $(ARGS)

virtual: $(INSTALLED) ## start a board without hardware, and print its port; Ctrl-C ends it
	@$(VENV) -m umq virtual $(ARGS)

demo: $(if $(filter mosquitto,$(BROKER)),setup,$(INSTALLED)) ## watch the firmware run here, through a broker: ten seconds; BROKER=mosquitto takes that one
	@$(LAB) demo $(if $(BROKER),--broker $(BROKER)) $(ARGS)

test: setup $(EVERYTHING) ## run all tests, on all cores; ARGS='-k codec' runs some
	@$(VENV) -m pytest -q -n auto --dist worksteal $(ARGS)

nightly: setup $(EVERYTHING) ## run the tests that take long: every cut, every pair of cuts, all on MicroPython too
	@$(VENV) -m pytest -q -n auto --dist worksteal -m nightly --timeout 1800 $(ARGS)

coverage: setup ## which lines and branches of the library do the tests run on CPython? Fails below the limit in pyproject.toml
	@mkdir -p build/coverage
	@$(VENV) -m pytest -q -n auto --dist worksteal --cov --cov-report=term tests/both tests/lib \
	  -k 'not micropython and not typings and not design and not statements' $(ARGS)

test-32bit: setup $(MICROPYTHON32) ## run tests/both on 32-bit MicroPython, fetched from Debian (Linux x86-64)
	@$(VENV) -m pytest -q -n auto tests/lib/test_on_micropython.py -k 32-bit $(ARGS)

mpy: $(INSTALLED) ## compile the library for boards into build/lib, the client in one file
	@$(VENV) -m umq build $(ARGS)

firmware: $(INSTALLED) ## build MicroPython with library and node frozen: BOARD=... MICROPYTHON=folder
	@$(VENV) -m umq freeze $(BOARD) $(if $(MICROPYTHON),--micropython $(MICROPYTHON)) $(ARGS)

devices: $(INSTALLED) ## list the boards that are plugged in
	@$(VENV) -m umq devices $(ARGS)

flash: $(INSTALLED) ## put MicroPython onto a board: BOARD=RPI_PICO_W
	@$(VENV) -m umq flash $(BOARD) $(ARGS)

config: $(INSTALLED) ## write the node's configuration: Wi-Fi, broker, credentials, name
	@$(VENV) -m umq config $(ARGS)

deploy: $(INSTALLED) ## put library, node and configuration onto a board, or what has changed
	@$(VENV) -m umq deploy $(ARGS)

repl: $(INSTALLED) ## a board's prompt, with the library mounted
	@$(VENV) -m umq repl $(ARGS)

run: $(INSTALLED) ## run a program on a board, with the library mounted: FILE=program.py
	@$(VENV) -m umq run $(FILE) $(ARGS)

logs: $(INSTALLED) ## show what a board prints
	@$(VENV) -m umq logs $(ARGS)

image: $(INSTALLED) ## make one file of a node for a board: BOARD=RPI_PICO_W
	@$(VENV) -m umq image $(BOARD) $(ARGS)

fleet: $(INSTALLED) ## make one file for each node of a fleet: BOARD=RPI_PICO_W FILE=nodes.csv
	@$(VENV) -m umq fleet $(FILE) $(BOARD) $(ARGS)

doctor: $(INSTALLED) ## find out why a board, or the way to its broker, does not work
	@$(VENV) -m umq doctor $(ARGS)

monitor: $(INSTALLED) ## show the nodes of a broker, live: BROKER=HOST
	@$(VENV) -m umq monitor $(BROKER) $(ARGS)

bench: setup ## measure messages a second, beside bare sockets and other libraries
	@$(LAB) bench $(ARGS)

budget: setup $(EVERYTHING) ## measure heap and size on MicroPython, and wear; fails when a limit is broken
	@$(LAB) budget $(ARGS)
	@$(if $(ARGS),,echo && $(LAB) wear)

heap: $(INSTALLED) $(MICROPYTHON32) $(FIRMWARE) $(STOCK) ## measure heap of code from .py, .mpy, ROMFS, frozen; of messages on an emulated RP2040
	@$(LAB) heap --stock $(STOCK) --frozen $(FIRMWARE) $(ARGS)

wear: setup ## measure what the journal does to flash, and how long that lasts
	@$(LAB) wear $(ARGS)

measured: setup $(MICROPYTHON32) $(FIRMWARE) $(STOCK) $(LWIP) ## run budget, heap, lwip, wear and bench, and write their tables into docs/measured.md
	@$(LAB) budget --into docs/measured.md
	@$(LAB) heap --stock $(STOCK) --frozen $(FIRMWARE) --into docs/measured.md
	@$(LAB) lwip --firmware $(LWIP) --into docs/measured.md
	@$(LAB) wear --into docs/measured.md
	@$(LAB) bench --into docs/measured.md

simulate: $(INSTALLED) ## tell SEEDS=n stories of a simulated node while everything befalls it
	@$(LAB) simulate $(if $(SEEDS),--seeds $(SEEDS)) $(ARGS)

soak: setup ## exchange 100 000 messages through a real broker while links, nodes and broker break
	@$(LAB) soak $(ARGS)

lint: $(INSTALLED) ## check style and likely mistakes with ruff
	@$(VENV) -m ruff check --quiet .
	@$(VENV) -m ruff format --quiet --check . || { echo 'umqtt_full: `make format` puts the layout right'; exit 1; }

types: $(INSTALLED) ## check types with pyright, on boards with MicroPython's own standard library
	@$(LAB) types

format: $(INSTALLED) ## lay all Python files out as `make lint` wants them
	@$(VENV) -m ruff check --quiet --fix . || true
	@$(VENV) -m ruff format --quiet .

clean: ## remove all that make has made
	rm -rf .venv .micropython32 $(RP2) .pytest_cache .ruff_cache .hypothesis build tools/*.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(INSTALLED): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo 'umqtt_full: $(PYTHON) is missing or older than Python 3.11; install a newer one, or name it: make PYTHON=python3.12 ...' >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo 'umqtt_full: $(PYTHON) cannot make virtual environments: apt-get install python3-venv' >&2; exit 1; }
	@echo 'umqtt_full: installing the host tools into .venv, once: about 500 MB, a minute or two'
	@$(VENV) -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear .venv
	@$(VENV) -m pip install --disable-pip-version-check -e '.[dev]'
	@$(VENV) -c "import sysconfig; open(sysconfig.get_path('purelib') + '/umqtt_full.pth', 'w').write('$(CURDIR)/lib\n')"
	@touch $@

$(MICROPYTHON32): tools/micropython32.sh tools/debian.sh
	@sh tools/micropython32.sh .micropython32

$(RP2)/micropython: tools/micropython_rp2.sh tools/debian.sh
	@sh tools/micropython_rp2.sh $(RP2)

build/firmware/RPI_PICO.uf2: $(INSTALLED) $(RP2)/micropython tests/boards/rp2040/manifest.py $(wildcard lib/umqtt_full/*.py firmware/*.py)
	@PATH="$(CURDIR)/$(RP2)/usr/bin:$$PATH" $(VENV) -m umq freeze RPI_PICO --micropython $(RP2)/micropython --manifest $(word 3,$^)

build/firmware/RPI_PICO_PPP.uf2: $(INSTALLED) $(RP2)/micropython tests/boards/rp2040/manifest.py $(wildcard lib/umqtt_full/*.py firmware/*.py)
	@PATH="$(CURDIR)/$(RP2)/usr/bin:$$PATH" $(VENV) -m umq freeze RPI_PICO_PPP --micropython $(RP2)/micropython --manifest $(word 3,$^)

build/firmware/stock/RPI_PICO.uf2: $(INSTALLED) $(RP2)/micropython tests/boards/rp2040/stock/manifest.py
	@PATH="$(CURDIR)/$(RP2)/usr/bin:$$PATH" CFLAGS_EXTRA=-DMICROPY_HW_ROMFS_BYTES=131072 \
	  $(VENV) -m umq freeze RPI_PICO --micropython $(RP2)/micropython --manifest $(word 3,$^) --to $(@D)
