# `make demo`, `make serve` and `make test` work on a fresh machine with Python 3.11 or newer; all share one .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
PIP := -m pip --disable-pip-version-check install --quiet
BENCHMARKS := basics allpairs throughput training faces detector turned nonfaces encoding decision bulk gallery gallery_crashes gallery_milvus service photo_pool hostile encoder quality_gate intake labels albums video decisions population evaluating att losses lfw fine_tuning inversion guarantees coverage growth first_minutes

.PHONY: demo serve test test-slow test-lowest browser lint setup lock sbom bench clean

demo: setup
	$(BIN)/visavis demo

serve: setup
	mkdir -p runs
	$(BIN)/visavis serve --gallery runs/demo.gallery

# Two processes, each with whole files of tests.
TWO := --numprocesses 2 --dist loadfile

test: setup
	$(BIN)/python -m pytest $(TWO)

test-slow: setup
	$(BIN)/python -m pytest $(TWO) -m slow

# The lowest versions that pyproject.toml allows. Old releases may warn about newer ones of their own dependencies.
test-lowest:
	$(PYTHON) -m venv $(VENV)-lowest
	$(VENV)-lowest/bin/python $(PIP) --require-hashes --requirement requirements/lowest.txt
	$(VENV)-lowest/bin/python $(PIP) --no-deps --no-build-isolation --editable .
	$(VENV)-lowest/bin/python -m pytest $(TWO) -W default::DeprecationWarning

# onnxruntime-web, which the tests of `visavis export --browser` need; they skip without it. Needs npm and a network.
browser: runs/browser/.installed

runs/browser/.installed: src/visavis/encoders/browser/package.json
	mkdir -p runs/browser
	cp $< runs/browser
	npm install --prefix runs/browser --ignore-scripts --no-audit --no-fund --loglevel error
	touch $@

lint: setup
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy

# The pinned versions, with hashes, of what pyproject.toml declares. Needs a network.
LOCK := $(BIN)/uv pip compile --quiet --upgrade --generate-hashes --no-annotate --custom-compile-command 'make lock' pyproject.toml
lock: setup
	$(LOCK) --universal --python-version 3.11 requirements/build.in --extra all --extra dev --output-file requirements/dev.txt
	$(LOCK) --universal --python-version 3.11 --constraint requirements/dev.txt --output-file requirements/core.txt
	$(LOCK) --universal --python-version 3.11 --constraint requirements/dev.txt requirements/build.in --extra serve --output-file requirements/serve.txt
	$(LOCK) --universal --python-version 3.11 --constraint requirements/dev.txt --extra bench --output-file requirements/bench.txt
	$(LOCK) --python-version 3.11 --resolution lowest-direct requirements/build.in --extra all --extra dev --output-file requirements/lowest.txt

# The software bill of materials of the service (CycloneDX), with the hashes of the locked requirements. No network is needed.
sbom: setup
	mkdir -p dist
	$(BIN)/cyclonedx-py requirements requirements/serve.txt --pyproject pyproject.toml --output-reproducible --output-file dist/visavis.cdx.json

# Comparisons first, then what takes hours. Peers that need other versions than ours get their own environments.
bench: setup
	$(BIN)/python $(PIP) --require-hashes --requirement requirements/bench.txt
	for backend in tensorflow jax torch; do test -f runs/$$backend/.installed || ($(PYTHON) -m venv runs/$$backend \
		&& runs/$$backend/bin/pip install --quiet --editable ".[$$backend]" && touch runs/$$backend/.installed) || exit 1; done
	runs/torch/bin/pip install --quiet pytorch-metric-learning==2.9.0
	test -f runs/recognition/.installed || ($(PYTHON) -m venv runs/recognition \
		&& runs/recognition/bin/pip install --quiet dlib-bin==20.0.1.post1 face_recognition_models==0.3.0 'setuptools<81' Pillow numpy click \
		&& runs/recognition/bin/pip install --quiet --no-deps face_recognition==1.3.0 && touch runs/recognition/.installed)
	for script in $(BENCHMARKS); do $(BIN)/python benchmarks/$$script.py || exit 1; $(BIN)/python benchmarks/page.py; done

setup: $(INSTALLED)

$(INSTALLED): pyproject.toml requirements/dev.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "visavis needs Python 3.11 or newer; try: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python $(PIP) --require-hashes --requirement requirements/dev.txt
	$(BIN)/python $(PIP) --no-deps --no-build-isolation --editable .
	touch $@

clean:
	rm -rf $(VENV) $(VENV)-lowest build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
