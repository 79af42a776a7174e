# The front door. `make run` and `make test` need Python 3.11 (or newer) and nothing else; CI calls the same targets.

PYTHON := $(shell for p in python3.11 python3.12 python3.13 python3 python; do \
	if "$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then echo "$$p"; break; fi; done)
CODE := app worker models migrations tests bench install.py

.PHONY: run test check fix bench scan catalogue faults fuzz soak python

run: python
	@$(PYTHON) install.py && exec .venv/bin/firstread up --until-parent-ends

test: python
	@$(PYTHON) install.py --extra test --extra export && exec .venv/bin/python -m pytest --numprocesses logical --maxprocesses 4 $(ARGS)

check: python
	@$(PYTHON) install.py --extra test --extra export
	@.venv/bin/ruff check $(CODE)
	@.venv/bin/ruff format --check $(CODE)
	@.venv/bin/mypy

fix: python
	@$(PYTHON) install.py --extra test --extra export
	@.venv/bin/ruff check --fix $(CODE)
	@.venv/bin/ruff format $(CODE)

# The catalogues of app/locales have what the code says, and nothing else; what is still to be translated is told.
catalogue: python
	@$(PYTHON) install.py --extra test --extra export
	@.venv/bin/python -m tests.catalogue

bench: python
	@$(PYTHON) install.py --extra test --extra export
	@exec .venv/bin/python -m bench $(ARGS)

# Images are posted while everything breaks; the table says what was lost (docs/reliability.md).
faults: python
	@$(PYTHON) install.py --extra test --extra export
	@exec .venv/bin/python -m tests.faults $(ARGS)

# 200 senders and 50 readers for ten minutes: what they wait, what is refused, what memory grows by.
soak: python
	@$(PYTHON) install.py --extra test --extra export && exec .venv/bin/python -m bench.soak $(ARGS)

# The bill of materials (build/sbom.cdx.json, CycloneDX), and what the index's advisories say of it.
scan: python
	@$(PYTHON) install.py && $(PYTHON) .ci/scan --asked

# At least 20,000 files and as many requests that nobody should send (FUZZ_CASES, FUZZ_SEED; docs/reliability.md).
fuzz: python
	@$(PYTHON) install.py --extra test --extra export
	@FUZZ_CASES=$${FUZZ_CASES:-20000} FUZZ_SEED=$${FUZZ_SEED:-$$$$} .venv/bin/python -m pytest --show-capture=no tests/fuzz $(ARGS)

python:
	@test -n "$(PYTHON)" || { echo "FirstRead needs Python 3.11 or newer, and none was found as python3.11 or python3." >&2; exit 1; }
