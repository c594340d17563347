# Two commands do everything: `make demo` and `make test`. Both create .venv on first use.
PYTHON ?= python3
JOBS ?= 2
IMAGES ?=
RUN := .venv/bin

# After the install nothing goes to the network.
export HF_HUB_OFFLINE = 1

.PHONY: help setup demo emoverse ui test check benchmark ablation

help:
	@echo "make demo [IMAGES=folder]  the whole loop once; ends in runs/demo/report.html"
	@echo "make emoverse              conversations: feelings, causes, reasons; ends in runs/emoverse/report.html"
	@echo "make ui                    a page in the browser: read, paint, memory, runs"
	@echo "make test                  all tests"
	@echo "make check                 ruff, format, mypy, import order"
	@echo "make benchmark [ONLY=name] speed of the main paths on this machine, into docs/performance.md"
	@echo "make ablation              what each part of the method is worth: about an hour, resumable"
	@echo "make setup                 only create .venv and install"

setup:
	@$(PYTHON) scripts/setup_venv.py

demo: setup
	$(RUN)/emosym demo $(if $(IMAGES),--images "$(IMAGES)")

emoverse: setup
	$(RUN)/emosym emoverse

ui: setup
	$(RUN)/emosym ui

# One thread for each of two workers finishes sooner than two threads each. A file's tests stay with
# one worker, which makes what they share once; slow files come first (tests/conftest.py).
test: setup
	OMP_NUM_THREADS=1 $(RUN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder

check: setup
	$(RUN)/ruff check .
	$(RUN)/ruff format --check .
	$(RUN)/mypy
	$(RUN)/python -m pytest tests/test_imports.py

ablation: setup
	$(RUN)/emosym ablate recipes/ablation.yaml

benchmark: setup
	$(RUN)/python scripts/run_benchmarks.py $(ONLY)
