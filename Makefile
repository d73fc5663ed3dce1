# make demo        a small network on handwritten digits, compiled, run and trained here: needs a C compiler and Python 3.11
# make test        all checks and tests; with root on Debian it installs cross compilers and emulators first
# make test-full   the same with the slow tests
# make clean       removes what these have made

PYTHON ?= python3
VENV = .venv
BIN = $(VENV)/bin
PYTEST = $(BIN)/pytest -n 2

demo: $(VENV)/demo
	$(BIN)/tte compile examples/digits/digits-int8.onnx --board host -o build/digits
	@echo
	@$(BIN)/python examples/digits/evaluate.py build/digits
	@echo
	@echo "The camera is mounted sideways now: all digits are turned by a quarter. The device learns to read them."
	@$(BIN)/python examples/digits/turn.py build/turned.npz
	$(BIN)/tte compile examples/digits/digits-int8.onnx --board host --train -o build/digits-learns
	$(BIN)/tte train build/digits-learns --data build/turned.npz --epochs 20 --rate 0.004 --picture build/turned.svg

test: check
	$(PYTEST) -m "not full"

test-full: check
	$(PYTEST)

check: tools $(VENV)/test
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/pyright --pythonpath $(BIN)/python

# Cross compilers and emulators, where we may install them; elsewhere, say which boards the tests will skip.
tools:
	@$(PYTHON) .ci/packages.py

$(VENV)/demo: pyproject.toml
	$(PYTHON) .ci/make_venv.py $(VENV)
	$(BIN)/python -m pip install -q --disable-pip-version-check -e .
	@touch $@

$(VENV)/test: $(VENV)/demo
	$(BIN)/python -m pip install -q --disable-pip-version-check -e '.[test]'
	@touch $@

clean:
	rm -rf build $(VENV)

.PHONY: demo test test-full check tools clean
