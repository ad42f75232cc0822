# make demo   sets up .venv and runs the whole workflow on the generated demo corpus
# make planted   asks of the demo corpus whether artist groups help, at several rates of label noise: docs/planted.md
# make test   sets up .venv and passes the tests, two files at a time
# make test-long   kills a run again and again, and runs the whole grid: docs/reliability.md
# make docs   builds the documentation: docs/_build/html/index.html
# make lint   checks style of code and rules
# make lock   writes requirements.lock anew from pyproject.toml

PYTHON ?= python3.11
CORES ?= $(shell nproc)
BIN := .venv/bin
export OMP_WAIT_POLICY := PASSIVE

.PHONY: demo planted test test-long docs lint lock setup
.DELETE_ON_ERROR:

demo: setup
	$(BIN)/snakemake --cores $(CORES)
	@$(BIN)/agf summary results/demo

planted: setup
	$(BIN)/snakemake --cores $(CORES) planted

test: setup
	$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder

test-long: setup
	$(BIN)/pytest -s -m long tests/kill tests/workflow

docs: setup
	$(BIN)/sphinx-build -W --keep-going -q docs docs/_build/html
	@echo 'docs/_build/html/index.html'

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile workflow/rules
	$(BIN)/snakemake --lint

setup: .venv/ready

# pip, not another installer: it alone takes a CPU build of torch from a folder of wheels where one is at hand.
.venv/ready: requirements.lock pyproject.toml
	@echo 'Setting up .venv: some 100 packages, one to three minutes.'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

# The CUDA packages are left out: pip adds them by itself where torch is a CUDA build. UV_OPTIONS may name a folder
# of wheels (--find-links DIR).
lock:
	$(PYTHON) -m venv .venv/lock
	.venv/lock/bin/python -m pip install --quiet uv
	.venv/lock/bin/uv pip compile pyproject.toml --extra dev --extra docs --extra serve --constraint constraints.txt --python-version 3.11 \
		--no-header --no-annotate --no-emit-index-url --no-emit-find-links $(UV_OPTIONS) > .venv/lock/all.txt
	(echo '# Every package, pinned for Python 3.11; written by make lock.'; \
		grep -vE '^(nvidia|cuda|triton)' .venv/lock/all.txt | sed 's/+cpu$$//') > requirements.lock
	rm -r .venv/lock
