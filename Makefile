PY ?= python3
VENV ?= .venv
# Without a GPU, a smaller torch: PIPFLAGS='--extra-index-url https://download.pytorch.org/whl/cpu'
PIPFLAGS ?=
STAMP := $(VENV)/.installed

.PHONY: demo test check docs results

demo: $(STAMP)  ## train on embedded digits, beside backprop, and write a report
	rm -rf runs/demo
	$(VENV)/bin/onward run ff-digits --twin --threads 1 --out runs/demo

test: $(STAMP)  ## every test, a file at a time on each of up to four processes
	$(VENV)/bin/python -m pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

check: $(STAMP)  ## the quick ones: style, types, imports, promises
	$(VENV)/bin/ruff check . && $(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports
	$(VENV)/bin/python -m pytest tests/test_contract.py tests/test_matlab.py

docs: $(STAMP)  ## the documentation site, into site/; a warning is an error
	$(VENV)/bin/sphinx-build -q -W --keep-going -b html -c docs . site

results: $(STAMP)  ## RESULTS.md and the tables' pages from the committed records
	$(VENV)/bin/python -m onward.report.results results RESULTS.md
	$(VENV)/bin/python -m onward.recipes.table results README.md
	$(VENV)/bin/onward table uff --write
	$(VENV)/bin/onward table collaboration --write
	$(VENV)/bin/onward table theta --write
	$(VENV)/bin/onward table goodness --write
	$(VENV)/bin/onward table phases --write
	$(VENV)/bin/onward table hinton --write
	$(VENV)/bin/onward table federation --write
	$(VENV)/bin/onward table blackbox --write
	$(VENV)/bin/onward table cost --write

$(STAMP): pyproject.toml
	$(PY) -m venv $(VENV)
	$(VENV)/bin/python -m pip install -q $(PIPFLAGS) -e '.[test,docs,export,tensorboard,federated]'
	touch $@
