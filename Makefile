# `make demo` trains a spiking network on real data, `make test` checks everything; each does its whole set-up.

PYTHON ?= python3
RUN = OMP_WAIT_POLICY=PASSIVE .venv/bin/

# Without an NVIDIA GPU torch's CPU build does, which is gigabytes smaller; it has an index of its own.
CPU_INDEX = https://download.pytorch.org/whl/cpu
REACHABLE = .venv/bin/python -c "import urllib.request as u; u.urlopen('$(CPU_INDEX)/torch/', timeout=5)" 2>/dev/null

.PHONY: demo test

demo: .venv/demo
	$(RUN)rheobase train

test: .venv/dev
	$(RUN)python -m pytest -q -n auto

.venv/%: pyproject.toml constraints.txt
	test -x .venv/bin/python || $(PYTHON) -m venv .venv
	index=""; if ! command -v nvidia-smi >/dev/null && $(REACHABLE); then index="--extra-index-url $(CPU_INDEX)"; fi; \
	.venv/bin/python -m pip install -q $$index -c constraints.txt -e '.[$*]'
	touch $@
