"""Measurements: `python -m tests.bench` runs every `bench_*.py` here, prints a table and writes `bench-results/`.

A module has `run() -> list[Row]`. Figures are taken beside a baseline in the same run wherever a limit is a ratio.
"""
