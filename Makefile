# Two commands do everything from a fresh clone: `make demo` and `make test`.
PYTHON ?= python3
VENV   ?= .venv
BIN     = $(VENV)/bin
STAMP   = $(VENV)/.installed

.PHONY: demo test docs spark lint types layers floors mutants check clean

demo: $(STAMP)
	$(BIN)/python examples/demo.py

test: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

# The docs as a site, a folder of files: open site/index.html. A warning is an error; what the theme says
# about another version of mkdocs is none.
docs: $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet

# Every grounding test once more on Spark, parts of a run in local mode, and frames; skipped where Java or pyspark is absent.
spark: $(STAMP)
	if command -v java; then $(BIN)/python -m pip install -q -c constraints.txt pyspark || \
		echo "skipped: pyspark cannot be installed"; fi
	OMP_NUM_THREADS=1 KNOWREASON_EXAMPLES=3 KNOWREASON_PROGRAMS=10 KNOWREASON_RANDOM_PROGRAMS=20 \
	$(BIN)/python -m pytest -m spark tests/grounding tests/run tests/data

lint: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(STAMP)
	$(BIN)/mypy

layers: $(STAMP)
	$(BIN)/lint-imports

floors: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python .ci/floors.py

# OF: packages, COUNT: mutants of all these together.
OF    ?= factors inference learning explanation
COUNT ?= 200
mutants: $(STAMP)
	$(BIN)/python .ci/mutants.py $(OF) --count $(COUNT)

check: lint types layers test

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed (make PYTHON=python3.11 ...)")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $(STAMP)

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis dist site
