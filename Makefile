# `make demo`, `make serve` and `make test` are each enough on a fresh machine that has Python 3.11 or newer; all share one .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
BENCHMARKS := basics allpairs throughput training faces nonfaces encoding decision bulk gallery gallery_crashes gallery_milvus service hostile encoder att lfw growth

.PHONY: demo serve test test-slow lint setup bench clean

demo: setup
	$(BIN)/visavis demo

serve: setup
	mkdir -p runs
	$(BIN)/visavis serve --gallery runs/demo.gallery

test: setup
	$(BIN)/python -m pytest

test-slow: setup
	$(BIN)/python -m pytest -m slow

lint: setup
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy

# What is measured side by side first, then what takes hours; the peers that do not fit our versions get environments of their own.
bench: setup
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[bench]'
	test -f runs/torch/.installed || ($(PYTHON) -m venv runs/torch \
		&& runs/torch/bin/pip install --quiet torch==2.13.0 pytorch-metric-learning==2.9.0 && touch runs/torch/.installed)
	test -f runs/recognition/.installed || ($(PYTHON) -m venv runs/recognition \
		&& runs/recognition/bin/pip install --quiet dlib-bin==20.0.1.post1 face_recognition_models==0.3.0 'setuptools<81' Pillow numpy click \
		&& runs/recognition/bin/pip install --quiet --no-deps face_recognition==1.3.0 && touch runs/recognition/.installed)
	for script in $(BENCHMARKS); do $(BIN)/python benchmarks/$$script.py || exit 1; $(BIN)/python benchmarks/page.py; done

setup: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "visavis needs Python 3.11 or newer; try: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[all,dev]'
	touch $@

clean:
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
