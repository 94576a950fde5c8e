# Everything starts here. Each target does its own set-up and is quick when nothing is missing.
#
#   make demo            a moving city in your terminal (Ctrl-C stops it; FOR=60 stops by itself)
#   make test            all quick tests against a real broker and a real TimescaleDB (FULL=1: the long ones too; JOBS=2 at a time)
#   make check           lint, types, imports, docs drift
#   make bench           what a message costs, in CPU seconds per 100,000
#   make chaos N=300     N kills of every part under load, then count what was lost (MINUTES=45; RESUME=FILE goes on)
#   make fuzz            fuzz what parses bytes from outside, SECONDS=600 for each target (TARGET=mqtt: only one)
#   make clean           remove .venv, .dothi and caches of this folder

PYTHON ?= python3
DIR ?= .dothi
PEOPLE ?= 2000
DENSITY ?= 50
N ?= 300
SECONDS ?= 600
JOBS ?= 2
FUZZ := .venv-fuzz/bin
BIN := .venv/bin
TESTS ?= tests

.DEFAULT_GOAL := help
.PHONY: help setup runtime demo test check bench chaos fuzz lock clean

help:
	@sed -n 's/^#   //p' Makefile

setup: $(BIN)/dothi runtime

$(BIN)/dothi: requirements.lock pyproject.toml
	@echo "Python environment in .venv: creating it and installing the locked packages (about 130 MB the first time) …"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed, $(PYTHON) is $$($(PYTHON) --version). Another one: make PYTHON=python3.13 …"; exit 1; }
	@$(PYTHON) -m venv .venv || { echo "Python's venv is missing. As root: apt-get install python3-venv"; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@echo "Compiling the detectors (about 20 s) …"
	@$(BIN)/python -c "from devices.native_text import prepare; prepare()"
	@$(BIN)/python -m analytics.detectors.beforehand
	@touch $@

runtime: $(BIN)/dothi
	@$(BIN)/python -m dothi.runtime

demo: setup
	@$(BIN)/dothi up --dir $(DIR) --people $(PEOPLE) --density $(DENSITY) --live $(if $(FOR),--for $(FOR))

test: setup
	@$(BIN)/python -m pytest $(if $(FULL),,-m "not full") -n $(if $(FULL),0,$(JOBS)) $(TESTS)

check: $(BIN)/dothi
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m dothi.docs --check

bench: setup
	@$(BIN)/python -m tests.bench.ingest
	@$(BIN)/python -m tests.bench.duplicates

chaos: setup
	@$(BIN)/python -m tests.chaos --kills $(N) $(if $(MINUTES),--minutes $(MINUTES)) $(if $(SEED),--seed $(SEED)) \
		$(if $(RESUME),--resume $(RESUME))

fuzz: $(FUZZ)/installed
	@$(FUZZ)/python -m tests.fuzz --seconds $(SECONDS) $(if $(TARGET),--target $(TARGET))

# The fuzzer has wheels for few Pythons, so it lives beside .venv and sees that one's packages.
$(FUZZ)/installed: tests/fuzz/requirements.lock | $(BIN)/dothi
	@echo "Fuzzing environment in .venv-fuzz: installing atheris (about 35 MB) …"
	@$(BIN)/python -m venv .venv-fuzz
	@$(BIN)/python -c 'import site; print(site.getsitepackages()[0])' > \
		"$$($(FUZZ)/python -c 'import site; print(site.getsitepackages()[0])')/dothi.pth"
	@$(FUZZ)/python -m pip install --quiet --disable-pip-version-check --only-binary=:all: --require-hashes -r $< || \
		{ echo "atheris has wheels for Python 3.11 to 3.14 on Linux (x86-64) only; this is $$($(FUZZ)/python --version) on" \
		"$$(uname -sm). Another Python: make clean fuzz PYTHON=python3.11"; exit 1; }
	@touch $@

# The lock carries hashes and no index address: where packages come from is the machine's business.
lock: $(BIN)/dothi
	@$(BIN)/python -m pip install --quiet uv && \
		$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
		--group dev pyproject.toml -o requirements.lock

clean:
	rm -rf .venv .venv-fuzz .dothi build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
