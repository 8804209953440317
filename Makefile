# From a fresh clone: `make demo`, `make test`. They need Python 3.11 or newer and make.

PYTHON ?=#           the Python to make .venv with; default: the first that fits
DEMO   ?= greeting_silence
PREFIX ?= $(HOME)/.local#   make install: vad-agent goes to its bin/
REAL   ?=#           make bench: a recording of a real call
WORKERS ?= 4#        make test: more than processors, since much of the suite waits for real time
ARGS   ?=#           make bench, bench-live, bench-peers, lock: more arguments, such as --quick or --upgrade

AUDIO := espeak-ng asterisk-core-sounds-ru-wav asterisk-moh-opsound-wav
DATABASE := postgresql
BROWSER := chromium fonts-dejavu-core
HEADSET := libportaudio2 libpulse0 espeak-ng
LIVE  := libportaudio2 pulseaudio pulseaudio-utils libasound2-plugins baresip-core \
	pipewire pipewire-pulse wireplumber dbus-daemon sip-tester
FAST := $(addprefix tests/,core script trace common client detection test_architecture.py)
BIN := .venv/bin
PY  := $(BIN)/python
PIP := $(PY) -m pip --disable-pip-version-check -qq
export PYTHONUTF8 := 1

READY := .venv/.ready
COMPILE = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" $(ARGS)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help install demo test test-fast soak faults check bench bench-live bench-callbacks bench-panel bench-pbx bench-peers accuracy accuracy-cost calls calls-record train train-check constants goldens fixtures pictures lock clean

help: ## print this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

install: ## vad-agent on the PATH, apart from the checkout (Linux, macOS); PREFIX=~/.local
	@scripts/system-packages $(HEADSET) || echo "without them there is no sound"
	@scripts/install "$(PREFIX)" $(PYTHON)

demo: $(READY) ## replay a shipped call: timeline here, report in out/demo.html
	@mkdir -p out
	@sed -n 's/^title = "\(.*\)"$$/\n\1\n/p' audio_fixtures/$(DEMO).recipe.toml
	@$(BIN)/vad-agent replay audio_fixtures/$(DEMO).flac --report out/demo.html

test: export PYTHONDONTWRITEBYTECODE := # each worker would compile all tests anew
test: check ## make check, then the whole test suite: what takes time alone, the rest in lanes
	@scripts/system-packages $(AUDIO) || echo "the tests that make audio from them are skipped"
	@scripts/system-packages $(LIVE) || echo "the tests with an audio server and telephones are skipped"
	@scripts/system-packages $(DATABASE) || echo "the tests with PostgreSQL are skipped"
	@scripts/system-packages $(BROWSER) || echo "the tests in a browser are skipped"
	@scripts/asterisk-chroot .asterisk || echo "the tests with an Asterisk are skipped"
	@$(PY) -m pytest -m serial $$(grep --recursive --files-with-matches --include "test_*.py" "mark\.serial" tests)
	@$(PY) -m pytest -m "not serial" --numprocesses $(WORKERS) --dist loadgroup

test-fast: $(READY) ## in under a minute, for daily work: core, script, detection, trace; no servers, no devices
	@$(PY) -m pytest -q -m "not serial and not real" --numprocesses 2 $(FAST)

faults: $(READY) ## the storm of kills on SQLite and PostgreSQL: the table of docs/faults.md
	@scripts/system-packages $(DATABASE)
	@$(PY) -m tests.callbacks.faults $(ARGS)

soak: $(READY) ## calls one after the other beside a busy neighbour, with faults; MINUTES=30
	@scripts/system-packages $(AUDIO) $(LIVE)
	@$(PY) -m tests.headset.soak --minutes $(or $(MINUTES),30)

check: $(READY) ## format, lint, types, import contracts
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

bench: $(READY) ## benchmarks; REAL=call.flac adds a real call
	@$(PY) -m benchmarks $(if $(REAL),--real "$(REAL)") $(ARGS)
	@$(PY) -m pytest benchmarks --benchmark-only

bench-live: $(READY) ## what listen costs on this machine: start, processors, memory, lost samples
	@scripts/system-packages $(LIVE) espeak-ng
	@$(PY) -m benchmarks.headset $(ARGS)

bench-callbacks: $(READY) ## what the desk of callbacks costs, on SQLite and PostgreSQL
	@scripts/system-packages $(DATABASE)
	@$(PY) -m benchmarks.callbacks $(ARGS)

bench-panel: $(READY) ## how late a page is, how heavy, and what a hall of 200 costs the desk
	@scripts/system-packages $(BROWSER)
	@$(PY) -m benchmarks.web $(ARGS)

bench-pbx: $(READY) ## calls a core at the PBX, and how late a phrase is at the client of a real Asterisk; REAL=call.flac
	@scripts/system-packages $(LIVE) espeak-ng
	@scripts/asterisk-chroot .asterisk
	@$(PY) -m benchmarks.telephony $(if $(REAL),--real "$(REAL)") $(ARGS)

bench-peers: .venv/.peers ## the same frames through other detectors
	@$(PY) -m benchmarks.peers $(if $(REAL),--real "$(REAL)") $(ARGS)

train: .train/.ready ## train the network anew; CALLS=folder of labelled calls adds real turns (an hour; 3 GB of Debian's packages, 9 unpacked)
	@scripts/system-packages espeak-ng flite fluidsynth
	@OPENBLAS_NUM_THREADS=1 .train/bin/python -m training.dataset .train/cache .train/rows $(if $(CALLS),--given "$(CALLS)")
	@.train/bin/python -m training.train .train/rows $(or $(WEIGHTS),vad_agent/detection/neural_network.npz)
	@sha256sum $(or $(WEIGHTS),vad_agent/detection/neural_network.npz)

train-check: .train/.ready ## train on a few calls twice, from the same clips, and compare the weights bit for bit
	@scripts/system-packages espeak-ng flite fluidsynth
	@for run in a b; do \
	  OPENBLAS_NUM_THREADS=1 .train/bin/python -m training.dataset .train/cache .train/check-$$run --calls 60 --eventful 20 \
	    && .train/bin/python -m training.train .train/check-$$run .train/check-$$run.npz --epochs 2 || exit 1; done
	@cmp .train/check-a.npz .train/check-b.npz && sha256sum .train/check-a.npz

accuracy: $(READY) ## wrong decisions by condition; CALLS=folder of labelled calls and noise
	@scripts/system-packages $(AUDIO) bucklespring-data
	@$(PY) -m benchmarks.accuracy "$(CALLS)" $(ARGS)

accuracy-cost: $(READY) ## what a frame costs the endpointer, by condition; CALLS=folder of labelled calls and noise
	@scripts/system-packages $(AUDIO) bucklespring-data
	@OPENBLAS_NUM_THREADS=1 $(PY) -m benchmarks.accuracy.cost "$(CALLS)" $(ARGS)

calls: $(READY) ## whole generated calls, right and wrong; PART=test|tuning CALLS=folder N= JOBS=2, ONLY=name
	@$(PY) -m benchmarks.calls $(if $(CALLS),"$(CALLS)") $(if $(PART),--part $(PART)) $(if $(N),--calls $(N)) \
		--jobs $(or $(JOBS),2) $(if $(ONLY),--only $(ONLY)) $(ARGS)

constants: $(READY) ## the effect of changing each constant of the endpointer, on whole calls
	@$(PY) -m benchmarks.calls.constants $(ARGS)

calls-record: $(READY) ## write anew what the tests expect of 200 whole calls: review it as a diff
	@$(PY) -m tests.calls.record --write

goldens: $(READY) ## write the expected traces, help and API description anew: review them as a diff
	@$(PY) -m tests.goldens --write

fixtures: $(READY) ## make the recordings anew, bit for bit (wants Debian's packages)
	@scripts/system-packages $(AUDIO)
	@$(PY) -m audio_fixtures.build clips
	@$(PY) -m audio_fixtures.build recordings

pictures: $(READY) ## make the pictures of the pages in docs/ anew, in Chromium
	@scripts/system-packages $(BROWSER)
	@PICTURES=1 $(PY) -m pytest -q tests/web/test_browser.py::test_pictures tests/web/test_supervisor_browser.py::test_axe_finds_nothing_and_nothing_is_too_wide -k "1280 and False"
	@cp out/panel/cue-1280-light.png docs/panel.png
	@cp out/panel/supervisor-page-top-1280-light.png docs/supervisor.png
	@cp out/panel/supervisor-overdue-top-1280-light.png docs/supervisor-callback.png

lock: $(READY) ## write the lock files from pyproject.toml; ARGS=--upgrade: the newest
	@$(PIP) install "uv>=0.9"
	@$(COMPILE) pyproject.toml --extra report --extra callbacks --extra archive --group dev -o requirements.lock
	@$(COMPILE) --group peers -c requirements.lock -o requirements-peers.lock

clean: ## remove .venv, out and every cache
	rm -rf .venv out dist .hypothesis .benchmarks .*_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# -- set-up: each stamp says that what it names was done ---------------------------------------------

.venv/.made:
	@python="$$(scripts/find-python $(if $(PYTHON),"$(PYTHON)"))" && echo "set-up: .venv with $$python" && \
		"$$python" -m venv --clear .venv
	@touch $@

.venv/.locked: requirements.lock .venv/.made
	@echo "set-up: the packages of requirements.lock"
	@$(PIP) install --require-hashes -r requirements.lock
	@touch $@

$(READY): pyproject.toml .venv/.locked
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

.train/.ready: requirements.lock .venv/.made
	@$(PY) -m venv --clear .train
	@.train/bin/python -m pip install -qq --require-hashes -r requirements.lock
	@.train/bin/python -m pip install -qq torch==2.13.0 scipy==1.17.1 mido==1.3.3
	@.train/bin/python -m pip install -qq --no-deps --no-build-isolation --editable .
	@touch $@

.venv/.peers: requirements-peers.lock $(READY)
	@$(PIP) install --require-hashes -r requirements-peers.lock
	@touch $@
