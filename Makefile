# make app    start the app in a browser, http://127.0.0.1:8501
# make test   run every test
# make lint   check format and style
# make bench-models   train and measure every preset (hours; it goes on where it was interrupted)
#
# Each makes its own virtual environment in .venv first, and again installs into it whenever the requirements change.

PYTHON = python3
VENV_PYTHON = .venv/bin/python
PIP_INSTALL = $(VENV_PYTHON) -m pip install --quiet --quiet --disable-pip-version-check

# The real recordings that some tests and the training desk use lie beside the project, where they are there at all.
ifndef BIRDCORE_DATA
ifneq ($(wildcard ../shared/data/manifest.csv),)
export BIRDCORE_DATA := $(abspath ../shared/data)
endif
endif

.PHONY: app test lint bench-models

app: .venv/app.stamp
	$(VENV_PYTHON) -m streamlit run streamlit_app.py --server.address 127.0.0.1 --server.port 8501

test: .venv/dev.stamp
	$(VENV_PYTHON) .ci/chromium.py
	$(VENV_PYTHON) -m pytest

lint: .venv/dev.stamp
	$(VENV_PYTHON) -m ruff format --check .
	$(VENV_PYTHON) -m ruff check .

bench-models: .venv/dev.stamp
	$(VENV_PYTHON) -m benchmarks.models $(BENCH)

# A stamp is touched only once everything is installed, so an interrupted installation is taken up again.
.venv/app.stamp: requirements.txt | .venv/made.stamp
	@echo "Installing birdcore's requirements into .venv (some minutes the first time) ..."
	$(PIP_INSTALL) -r requirements.txt
	@touch $@

.venv/dev.stamp: requirements-dev.txt requirements.txt | .venv/made.stamp
	@echo "Installing birdcore's requirements into .venv (some minutes the first time) ..."
	$(PIP_INSTALL) -r requirements-dev.txt
	@touch .venv/app.stamp $@

.venv/made.stamp:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "birdcore needs Python 3.11 or newer, and '$(PYTHON)' is not; name another one: make PYTHON=python3.12" >&2; \
		exit 1; }
	$(PYTHON) -m venv .venv
	@touch $@
