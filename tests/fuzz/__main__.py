"""Runs one harness under atheris, which whoever fuzzes installs by hand: `python -m tests.fuzz signature -runs=100000`.

Further arguments are libFuzzer's.
"""

import sys
import tempfile
from importlib import import_module
from pathlib import Path

INSTRUMENTED = [
    "contract.sshwire", "contract.hardware", "backend.auth.hardware", "backend.auth.tokens", "console.client.agent",
    "jwt", "contract.alertmanager",
]  # fmt: skip
"""Where new branches are looked for."""


def main() -> None:
    """Fuzz until libFuzzer ends the process."""
    atheris = import_module("atheris")
    with atheris.instrument_imports(include=INSTRUMENTED):
        harness = import_module(f"tests.fuzz.fuzz_{sys.argv[1]}")
    with tempfile.TemporaryDirectory(prefix="wf-fuzz-") as corpus:
        for number, seed in enumerate(harness.seeds()):
            (Path(corpus) / f"seed-{number}").write_bytes(seed)
        atheris.Setup([sys.argv[0], *sys.argv[2:], corpus], harness.check)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
