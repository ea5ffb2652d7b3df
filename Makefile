# The commands of this repository. Owns names only: what they do is in scripts/.
# ARGS adds arguments: make demo ARGS="--scenario drawdown", make test ARGS="-k freeze".
.DEFAULT_GOAL := help
.PHONY: help install develop peers demo test lint bench bench-alerts bench-audit bench-freeze bench-recovery soak histories-incidents fuzz bench-audit-search lock picture clean
# hundreds of processes start from here: each would compile the whole product anew
unexport PYTHONDONTWRITEBYTECODE
ARGS ?=
ENTRIES ?= 5000000
CASES ?= 20000
# tests wait for servers half of their time: twice as many workers as there are cores
WORKERS ?= $(shell echo $$(( $$(nproc) * 2 )))

help:
	@echo "make demo     the console on live data: database, backend, simulated trading"
	@echo "make test     every test"
	@echo "make peers    the real programs that some tests are made against, into .peers; needs npm, 1 GB"
	@echo "make lint     every gate: style, types, boundaries, migrations, lock files, sizes"
	@echo "make bench    measure; results in bench-results/"
	@echo "make bench-audit-search  search in 5,000,000 entries (ENTRIES=…): ten gigabytes, half an hour"
	@echo "make bench-audit  measure the audit ledger's write path; make soak  kill it 200 times under load"
	@echo "make bench-alerts  a thousand alerts a second for a minute, the backend killed in the middle; the console's keys"
	@echo "make bench-freeze  time to halt, late orders and random histories; WATCHFLOOR_BENCH_RUNS=… for less than hours"
	@echo "make bench-recovery  recovery drills that pass, are aborted and killed in each step, lose and fail; on a pair and Patroni"
	@echo "make histories-incidents  twenty people at one incident's record, a thousand times"
	@echo "make fuzz     ask every route 20,000 times (CASES=…), as everybody, for what it allows and what it does not"
	@echo "make install  set up .venv only"
	@echo "make lock     resolve the lock files again (ARGS=--upgrade for newer versions)"
	@echo "make picture  take the README's picture again"
	@echo "make clean    remove .venv, caches and builds; the demo's data in .watchfloor stay"

install:
	@sh scripts/install.sh runtime

develop:
	@sh scripts/install.sh dev

peers:
	@sh scripts/peers.sh
	@sh scripts/peers_patroni.sh
	@sh scripts/peers_freqtrade.sh

demo: install
	@exec .venv/bin/watchfloor demo $(ARGS)

test: develop
	@exec .venv/bin/python -m pytest -n $(WORKERS) -m "not bench" $(ARGS)

lint: develop
	@exec .venv/bin/python -m scripts.lint $(ARGS)

bench: develop
	@exec .venv/bin/python -m tests.bench $(ARGS)

bench-audit-search: develop
	@WATCHFLOOR_BENCH_ENTRIES=$(ENTRIES) exec .venv/bin/python -m tests.bench audit_search $(ARGS)

bench-audit: develop
	@exec .venv/bin/python -m tests.bench audit $(ARGS)

# ARGS: alerts a second, seconds, alerts of a delivery, seed; then once more without a kill, where answers may not be slow
bench-alerts: develop
	@.venv/bin/python -m tests.support.alert_storm $(ARGS)
	@.venv/bin/python -m tests.support.alert_storm 1000 60 50 1 0
	@exec .venv/bin/python -m tests.bench alert_storm

# WATCHFLOOR_BENCH_RUNS: bots frozen under mishaps; WATCHFLOOR_BENCH_OUTAGES, WATCHFLOOR_BENCH_HISTORIES likewise
bench-freeze: develop
	@.venv/bin/python -m tests.bench freeze $(ARGS)
	@[ ! -d .peers/freqtrade ] || .venv/bin/python -m tests.bench adapters
	@.venv/bin/python -m tests.support.freeze_bound $${WATCHFLOOR_BENCH_RUNS:-504} 1
	@.venv/bin/python -m tests.support.freeze_outage $${WATCHFLOOR_BENCH_OUTAGES:-100} 1
	@exec .venv/bin/python -m tests.support.freeze_histories $${WATCHFLOOR_BENCH_HISTORIES:-10000} 1

# ARGS: --drills 20 --aborts 1 --kills 1 --consoles 1 --patroni 5 --losses 1 --faults 1
bench-recovery: develop
	@exec .venv/bin/python -m tests.support.recovery_rounds $(ARGS)

soak: develop
	@exec .venv/bin/python -m tests.support.ledger_soak 200 $(ARGS)

histories-incidents: develop
	@exec .venv/bin/python -m tests.support.incident_histories $${WATCHFLOOR_BENCH_HISTORIES:-1000} 1

fuzz: develop
	@exec .venv/bin/python -m tests.support.api_fuzz $(CASES) $(ARGS)

lock: develop
	@exec .venv/bin/python -m scripts.lock $(ARGS)

picture: develop
	@exec sh scripts/readme_picture.sh

clean:
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist build bench-results
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
