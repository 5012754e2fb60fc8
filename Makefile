# hubkit's tasks. `make quickstart` and `make test` need only Python >= 3.10, git and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
WORKDIR ?= quickstart
SIZE ?= 2B
WORKERS ?= 3
N ?= 100
SECONDS ?= 600
# A test starts hubkit in many processes: each would compile its modules again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup git-lfs quickstart test test-integration test-faults test-crash test-hostile test-images canaries fuzz lint format types docs site man base wheel bench-publish bench-merge bench-prepare bench-staging bench-startup bench-evaluate clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | awk -F '\t' '{printf "  make %-18s %s\n", $$1, $$2}'

setup: $(INSTALLED) git-lfs ## Create .venv with everything pinned, and check git-lfs

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("hubkit needs Python 3.10 or newer; set PYTHON=..." if sys.version_info < (3, 10) else 0)'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { echo "no venv module: install your system's python3-venv package"; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --upgrade pip
	$(BIN)/python -m pip install --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

git-lfs:
	@git lfs version >/dev/null 2>&1 || sh .ci/install-git-lfs

quickstart: setup ## Train, release and verify a tiny model on real handwriting (WORKDIR=quickstart)
	$(BIN)/hubkit quickstart --workdir $(WORKDIR)

test: setup ## Lint, types and the default test suite
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup -m "not integration"

test-integration: setup ## The slower suites: killed releases, the whole quickstart, installation from a wheel
	$(BIN)/python -m pytest -n 2 --dist loadgroup -m integration

test-faults: setup ## The whole fault matrix of the hubs, its table at the end
	$(BIN)/python -m pytest -m integration -n 8 tests/publishing/test_fault_matrix.py

test-crash: setup ## N kills, N interruptions and full disks of a release to three hubs, their table at the end (N=100)
	HUBKIT_CRASHES=$(N) $(BIN)/python -m pytest -s -q -m integration tests/pipeline/test_crash.py

test-hostile: setup ## Broken and hostile input through the command line, its table at the end
	$(BIN)/python tests/hostile/run.py

test-images: setup ## Build the image `publish` with buildah and run it (root; buildah, debootstrap, 4 GB of disk)
	HUBKIT_IMAGES=1 $(BIN)/python -m pytest -s -m integration tests/images

canaries: setup ## Every form of secret in every place that is published, the table at the end
	$(BIN)/python tests/hygiene/table.py

fuzz: setup ## Random input for the readers of headers, pickles, release.yaml and hubs' answers (SECONDS=600 each)
	$(BIN)/python tests/hostile/fuzz.py --seconds $(SECONDS)

lint: setup ## ruff and the import contracts
	$(BIN)/ruff check .
	$(BIN)/lint-imports

format: setup ## Format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

types: setup ## Strict mypy
	$(BIN)/mypy

docs: setup ## Write the references below docs/ from the commands, the docstrings and the schemas
	$(BIN)/python docs/make_cli.py
	$(BIN)/python docs/make_reference.py
	$(BIN)/python docs/make_release_file.py
	$(BIN)/python docs/make_events.py
	$(BIN)/python docs/make_models.py

site: setup ## Build the documentation site into site/ (strict; Python 3.11 or newer)
	$(BIN)/zensical build --strict --config-file mkdocs.yml
	$(BIN)/zensical build --strict --config-file mkdocs.zh.yml

man: setup ## Write manual pages into build/man (man -M build/man hubkit; Python 3.11 or newer)
	$(BIN)/python docs/make_man.py build/man $$(git log -1 --format=%cs)

base: setup ## Make the quickstart's tiny base again from its seed (about 5 minutes)
	$(BIN)/python -m hubkit.quickstart.make_base hubkit/quickstart/base

wheel: man ## Build the wheel into dist/, with the manual pages (Python 3.11 or newer)
	$(BIN)/python -m build --wheel --no-isolation

bench-publish: setup ## Measure publishing to the rehearsal hub beside a plain http PUT (4.4 GB; needs 20 GB of disk)
	$(BIN)/python benchmarks/publish.py
	$(BIN)/python benchmarks/push.py

bench-merge: setup ## Measure a merge beside cp and beside transformers + peft (SIZE=2B: 4.4 GB; needs 20 GB of disk)
	$(BIN)/python benchmarks/merge.py --peer --size $(SIZE)

bench-evaluate: setup ## Measure what an evaluation takes beside generation (the tiny model, 2 minutes)
	$(BIN)/python benchmarks/evaluate.py

bench-staging: setup ## Measure Git LFS staging beside git lfs track, add and commit (SIZE=2B; needs 10 GB of disk)
	$(BIN)/python benchmarks/staging.py --size $(SIZE)

bench-prepare: setup ## Measure the validation of 665,000 records beside json.load of the same file (1 GB of disk)
	$(BIN)/python benchmarks/prepare.py --repeat 3

bench-startup: setup ## Measure what hubkit's commands take before they do anything, and hold their limits
	$(BIN)/python benchmarks/startup.py

clean: ## Remove .venv, caches and build output
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
