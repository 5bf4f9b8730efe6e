# Every target sets up its own .venv; `uv` makes that faster when it is on the PATH.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
ifneq ($(shell command -v uv 2>/dev/null),)
INSTALL = uv pip install -q -p $(BIN)/python -c constraints.txt
else
INSTALL = $(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt
endif

.PHONY: demo serve test test-train test-upstream check lint unit bench clean

demo: $(VENV)/.base
	$(BIN)/floorline demo

# A gateway to talk to: simulated models, open to this machine only.
serve: $(VENV)/.gateway
	$(BIN)/floorline serve --demo

test: lint unit

# Needs PyTorch, which 'make test' does without.
test-train: $(VENV)/.train
	$(BIN)/python -m pytest tests/training

# Calls a model server that is not ours, and providers through LiteLLM.
test-upstream: $(VENV)/.upstream
	$(BIN)/python -m pytest tests/upstream_real tests/gateway/upstreams

check: lint

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

unit: $(VENV)/.dev
	$(BIN)/python -m pytest -n 2

bench: $(VENV)/.dev
	for file in benchmarks/bench_*.py; do $(BIN)/python $$file || exit 1; done

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.base: $(BIN)/python pyproject.toml constraints.txt
	$(INSTALL) -e .
	touch $@

$(VENV)/.gateway: $(VENV)/.base
	$(INSTALL) -e '.[gateway]'
	touch $@

# Always plain pip: its own configuration knows where builds of PyTorch for the CPU are.
$(VENV)/.train: $(VENV)/.dev
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[train]'
	touch $@

# Plain pip for the same reason.
$(VENV)/.upstream: $(VENV)/.dev
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[upstream-test]'
	touch $@

$(VENV)/.dev: $(BIN)/python pyproject.toml constraints.txt
	$(INSTALL) -e '.[dev]'
	touch $@ $(VENV)/.base $(VENV)/.gateway
