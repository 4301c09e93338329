# Every target works on a fresh clone: the virtual environment is made from the locked, hashed versions.
PYTHON  ?= python3
PYTHONS ?= 3.11 3.12 3.13 3.14
VENV    ?= .venv
BIN     := $(VENV)/bin

# Many containers set it. Without bytecode on disk every worker and every program under test compiles all modules again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo run test test-thorough test-versions test-programs test-deploy test-browser test-benchmarks test-sdk screenshots bench strong-reads contract chaos fuzz soak types check lock pin-base clean

help:                          ## what there is to make
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# pip compiles one module after the other, a third of its work: here each core takes its share.
INSTALL := $(BIN)/pip --quiet --disable-pip-version-check install --no-compile
COMPILE := $(BIN)/python -m compileall -qq -j 0 $(VENV)/lib || true # some packages carry files for other Pythons

# Two stamps: what the service needs to run, and on top of it what development needs.
$(VENV)/.runtime: requirements.lock
	@echo "[1/2] making $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV)
	@echo "[2/2] installing the $$(grep -c '^[a-z].*==' requirements.lock) packages that the service needs; under a minute, the first time only"
	@$(INSTALL) --require-hashes -r requirements.lock
	@$(COMPILE)
	@touch $@

$(VENV)/.installed: $(VENV)/.runtime requirements-dev.lock pyproject.toml
	@echo "installing what development needs, up to $$(grep -c '^[a-z].*==' requirements-dev.lock) packages; a minute or two, the first time only"
	@$(INSTALL) --require-hashes -r requirements-dev.lock
	@$(INSTALL) --no-deps --no-build-isolation --editable .
	@$(COMPILE)
	@touch $@

demo: $(VENV)/.runtime         ## a local Firestore, live data and the service, in one command
	@echo "starting the demo"
	@$(BIN)/python -m service demo

run: $(VENV)/.runtime          ## serve what FIRESTORE_EMULATOR_HOST or PROJECT_ID points at
	@$(BIN)/python -m service serve

PYTEST := $(BIN)/pytest -n auto --dist worksteal
SUITE := $(PYTEST) $(addprefix --ignore=tests/,programs deploy browser benchmarks sdk)

test: $(VENV)/.installed       ## the test suite, on the local Firestore; what takes longer has targets of its own
	$(SUITE) -m "not thorough"

test-thorough: $(VENV)/.installed  ## the rest of it: on Google's emulator, at random, byte by byte
	$(SUITE) -m thorough

test-versions:                 ## the test suite on each of PYTHONS that is found here, pyenv's too, each in an environment of its own
	@for version in $(PYTHONS); do \
		python=$$(PATH="$$(pyenv prefix $$version 2>/dev/null)/bin:$$PATH"; command -v python$$version); \
		if "$$python" -c '' 2>/dev/null; then $(MAKE) test test-thorough PYTHON="$$python" VENV=.venv-$$version || exit; \
		else echo "python$$version is not found here: left out"; fi; \
	done

test-programs: $(VENV)/.installed  ## the program as processes: starts, ends, freezes, restarts under load, a short chaos run
	$(PYTEST) tests/programs

test-deploy: $(VENV)/.installed  ## deploy/: rules, alerts and dashboard on a real Prometheus, manifests, the image's steps
	$(PYTEST) --dist loadfile tests/deploy # what the tests of a file share takes up to a minute to make

test-browser: $(VENV)/.installed  ## the page, in Debian's chromium
	command -v chromium >/dev/null || test "$$(id -u)" != 0 || (apt-get update && apt-get install -y chromium)
	$(PYTEST) tests/browser

test-benchmarks: $(VENV)/.installed  ## the benchmarks themselves: what counts as a measurement, and that every baseline answers
	$(PYTEST) tests/benchmarks

test-sdk: $(VENV)/.installed   ## the system tests of Google's Python library on the local Firestore; pip downloads them
	$(PYTEST) tests/sdk

screenshots: $(VENV)/.installed  ## renew the pictures of the page that the documentation shows
	SAVE_SCREENSHOTS=benchmarks/results $(BIN)/pytest tests/browser/test_screenshots.py

bench: $(VENV)/.installed      ## every benchmark, beside its baselines; results and plots are kept
	$(BIN)/python -m benchmarks --save --plots benchmarks/results
	$(BIN)/python -m benchmarks report --write

strong-reads: $(VENV)/.installed  ## ten thousand strong reads under load, on each server, and some in a RESET of 100,000 documents
	STRONG_READ_TRIES=10000 RESET_DOCUMENTS=100000 CONFIRMATIONS=200 $(BIN)/pytest --timeout 600 tests/service/test_strong_reads.py tests/listeners/test_strong_reads.py -k "acknowledged_commit or acknowledged_before or sent_again"

contract: $(VENV)/.installed   ## random faults in virtual time, every answer checked against the contract
	CONTRACT_EXAMPLES=1000 LISTEN_EXAMPLES=300 $(BIN)/pytest --timeout 3600 tests/service/test_contract_machine.py tests/listeners/stream/test_listen_stream_machine.py

chaos: $(VENV)/.installed      ## some minutes of faults, every answer checked; docs/guarantees.md shows the result
	$(BIN)/python -m benchmarks.chaos --seconds 240 --answers 1000000 --save
	$(BIN)/python -m benchmarks report --write

fuzz: $(VENV)/.installed       ## 20,000 mutated requests: the service's connections and aiohttp's give the same
	FUZZ_CASES=$${FUZZ_CASES:-20000} $(BIN)/pytest --timeout 3600 tests/fuzzing -k mutated

soak: $(VENV)/.installed       ## ten minutes of faults on the stream listener: nothing leaked, nothing missed
	$(BIN)/python -m benchmarks.soak_listener --seconds 600

types: $(VENV)/.installed      ## mypy --strict, and the import layers
	$(BIN)/mypy
	$(BIN)/lint-imports

# mypy has one process, and no cache in CI: it takes the time in which tests wait.
check: $(VENV)/.installed      ## what CI asks: style, types, layers, tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(MAKE) --jobs 2 types test
	$(MAKE) test-thorough
	$(MAKE) test-programs
	$(MAKE) test-deploy
	$(MAKE) test-browser
	$(MAKE) test-benchmarks
	$(MAKE) test-sdk

lock:                          ## renew the locked versions
	$(PYTHON) -m venv $(VENV)-lock
	$(VENV)-lock/bin/pip install --quiet pip-tools
	CUSTOM_COMPILE_COMMAND='make lock' $(VENV)-lock/bin/pip-compile --quiet --upgrade --generate-hashes --strip-extras --allow-unsafe --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --output-file=requirements.lock pyproject.toml --extra workers
	CUSTOM_COMPILE_COMMAND='make lock' $(VENV)-lock/bin/pip-compile --quiet --upgrade --generate-hashes --strip-extras --allow-unsafe --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --constraint=requirements.lock --output-file=requirements-dev.lock pyproject.toml --extra dev --all-build-deps
	rm -rf $(VENV)-lock

pin-base:                      ## name the base image by the digest that its tag has today, as the registry tells through docker
	@tag=$$(sed -n 's/^ARG PYTHON_IMAGE=\([^@]*\).*/\1/p' Dockerfile) && \
		digest=$$(docker buildx imagetools inspect --format '{{.Manifest.Digest}}' "$$tag") && \
		expr "$$digest" : 'sha256:[0-9a-f]\{64\}$$' >/dev/null && \
		sed -i "s|^ARG PYTHON_IMAGE=.*|ARG PYTHON_IMAGE=$$tag@$$digest|" Dockerfile && grep '^ARG PYTHON_IMAGE=' Dockerfile

clean:                         ## remove everything that was made
	rm -rf $(VENV) $(VENV)-* build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
