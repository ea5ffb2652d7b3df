"""Makes the lock files and says whether they are fresh. Must never write the name of an index or a machine path.

`python -m scripts.lock` resolves again (`--upgrade` moves every version); `--check` compares without a network.
"""

import argparse
import hashlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RUNTIME_LOCK = "requirements.lock"
DEVELOPMENT_LOCK = "requirements-dev.lock"
PYTHON_FLOOR = "3.11"
# What a lock may consist of: comments without addresses, pinned names with markers, hashes.
ALLOWED_LINE = re.compile(
    r"#[^/@]*|[a-z0-9._-]+(\[[a-z0-9,_-]+\])?==[^\s/@]+( ; [^/@]+)? \\|    --hash=sha256:[0-9a-f]{64}( \\)?"
)


def inputs_digest(pyproject: Path) -> str:
    """Digest everything in pyproject.toml that decides what is installed, so that a stale lock shows offline."""
    data: dict[str, Any] = tomllib.loads(pyproject.read_text())
    project = data["project"]
    inputs = [
        project["requires-python"],
        project["dependencies"],
        project.get("optional-dependencies", {}),
        data.get("dependency-groups", {}),
        data["build-system"]["requires"],
    ]
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()


def problems(root: Path) -> list[str]:
    """List what is wrong with the lock files of a checkout; empty when they are fresh and clean."""
    found = []
    digest = inputs_digest(root / "pyproject.toml")
    for name in (RUNTIME_LOCK, DEVELOPMENT_LOCK):
        path = root / name
        if not path.is_file():
            found.append(f"{name} is missing: run `make lock`")
            continue
        lines = path.read_text().splitlines()
        if f"# inputs: {digest}" not in lines:
            found.append(f"{name} was not made from this pyproject.toml: run `make lock`")
        found += [
            f"{name}:{number}: unexpected line: {line[:80]}"
            for number, line in enumerate(lines, 1)
            if not ALLOWED_LINE.fullmatch(line)
        ]
        found += _unhashed(name, lines)
    return found


def _unhashed(name: str, lines: list[str]) -> list[str]:
    following = zip(lines, [*lines[1:], ""], strict=True)
    return [f"{name}: no hash for {line}" for line, after in following if "==" in line and "--hash" not in after]


def compile_lock(root: Path, name: str, group: str, *, constraint: str | None, upgrade: bool) -> None:
    """Resolve one lock file for every platform, keeping the versions it already names unless upgrading."""
    uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or "uv"
    with tempfile.TemporaryDirectory() as scratch:
        output = Path(scratch) / name
        if (root / name).exists():
            shutil.copy(root / name, output)
        command = [
            uv, "pip", "compile", "--quiet", "--universal", "--python-version", PYTHON_FLOOR, "--generate-hashes",
            "--no-emit-index-url", "--no-emit-find-links", "--no-annotate", "--no-header", "--extra", "parquet",
            "--extra", "pdf", "--extra", "s3", "--group", group, "--output-file", str(output), "pyproject.toml",
        ]  # fmt: skip
        if constraint:
            command += ["--constraint", constraint]
        if upgrade:
            command.append("--upgrade")
        subprocess.run(command, cwd=root, check=True)
        digest = inputs_digest(root / "pyproject.toml")
        header = f"# Made by `make lock` from pyproject.toml. Do not edit.\n# inputs: {digest}\n"
        body = [line for line in output.read_text().splitlines(keepends=True) if not line.startswith("#")]
        (root / name).write_text(header + "".join(body))


def main() -> int:
    """Make or check the lock files; exit code 1 when a check finds something."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--upgrade", action="store_true")
    chosen = parser.parse_args()
    if not chosen.check:
        compile_lock(ROOT, RUNTIME_LOCK, "build", constraint=None, upgrade=chosen.upgrade)
        compile_lock(ROOT, DEVELOPMENT_LOCK, "dev", constraint=RUNTIME_LOCK, upgrade=chosen.upgrade)
    found = problems(ROOT)
    for problem in found:
        print(problem)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
