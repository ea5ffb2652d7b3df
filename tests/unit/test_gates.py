"""Every gate of `make lint` trips on a copy of the tree that is broken in the way it guards against."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from scripts import drift, gates, lint, lock

ROOT = Path(__file__).resolve().parents[2]
TOOLS = Path(sys.executable).parent


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A tree small enough for every tool, with this repository's own configuration."""
    for name in ("pyproject.toml", "requirements.lock", "requirements-dev.lock"):
        shutil.copy(ROOT / name, tmp_path)
    for package in (*gates.PACKAGES[:-2], "tests"):
        write(tmp_path, f"{package}/__init__.py", f'"""Room {package}."""\n')
    for package in ("client", "state"):
        write(tmp_path, f"console/{package}/__init__.py", '"""A part."""\n')
    write(tmp_path, "watchfloor/embedded/__init__.py", '"""A part."""\n')
    shutil.copytree(ROOT / "scripts", tmp_path / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def write(root: Path, name: str, text: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def run(name: str, checkout: Path) -> list[str]:
    return lint.run_command(lint.COMMANDS[name], checkout)


def test_a_tree_in_order_passes(checkout: Path) -> None:
    for check in lint.CHECKS.values():
        assert check(checkout) == []
    for name in ("ruff check", "ruff format", "import contracts"):
        assert run(name, checkout) == []


def test_lines_of_a_file_class_and_function(checkout: Path) -> None:
    filler = "    x = 1\n"
    write(checkout, "gate/long.py", '"""Doc."""\n' + "x = 1\n" * gates.LONGEST_FILE_LINES)
    for name in ("backend/migrations/versions/9_wide.py", "gate/wide.py"):
        write(checkout, name, '"""Doc."""\ndef f() -> None:\n' + filler * gates.LONGEST_FUNCTION_LINES)
    write(checkout, "gate/tall.py", '"""Doc."""\nclass C:\n' + filler * gates.LONGEST_CLASS_LINES)
    write(checkout, "console/app.py", '"""Doc."""\n' + "x = 1\n" * 250)
    assert [line.partition(" ")[0] for line in gates.size_problems(checkout)] == [
        "backend/migrations/versions/9_wide.py:2:", "console/app.py:",
        "gate/long.py:", "gate/tall.py:2:", "gate/wide.py:2:",
    ]  # fmt: skip


def test_a_module_without_docstring(checkout: Path) -> None:
    write(checkout, "gate/silent.py", "x = 1\n")
    assert gates.docstring_problems(checkout) == ["gate/silent.py:1: no module docstring"]


@pytest.mark.parametrize("head", ["except Exception:", "except BaseException:", "except:"])
def test_a_broad_handler_that_names_no_boundary(checkout: Path, head: str) -> None:
    write(checkout, "gate/broad.py", f'"""Doc."""\ntry:\n    x = 1\n{head}\n    x = 2\n')
    assert gates.handler_problems(checkout) == ["gate/broad.py:4: broad except without a comment naming the boundary"]
    for named in (f"{head}  # boundary: tests", f"# boundary: tests\n{head}", f"{head}\n    # boundary: tests"):
        write(checkout, "gate/broad.py", f'"""Doc."""\ntry:\n    x = 1\n{named}\n    x = 2\n')
        assert gates.handler_problems(checkout) == []


def test_a_dependency_that_is_not_locked(checkout: Path) -> None:
    pyproject = (checkout / "pyproject.toml").read_text()
    write(checkout, "pyproject.toml", pyproject.replace('"alembic', '"left-pad",\n    "alembic', 1))
    assert lock.problems(checkout) == [
        "requirements.lock was not made from this pyproject.toml: run `make lock`",
        "requirements-dev.lock was not made from this pyproject.toml: run `make lock`",
    ]


@pytest.mark.parametrize(
    "line",
    [
        "--index" + "-url https://index.example/simple",
        "--find-links /srv/wheels",
        "pkg @ https://example.org/pkg.whl",
        "pkg==1",
    ],
)
def test_a_lock_file_that_names_an_index_or_lacks_a_hash(checkout: Path, line: str) -> None:
    with (checkout / "requirements.lock").open("a") as file:
        file.write(f"{line}\n")
    assert lock.problems(checkout)


def test_a_missing_lock_file(checkout: Path) -> None:
    (checkout / "requirements.lock").unlink()
    assert lock.problems(checkout) == ["requirements.lock is missing: run `make lock`"]


def test_style_and_format(checkout: Path) -> None:
    write(checkout, "gate/unused.py", '"""Doc."""\n\nimport os\n')
    write(checkout, "gate/spaced.py", '"""Doc."""\n\nx  =  1\n')
    assert any("F401" in line for line in run("ruff check", checkout))
    assert any("spaced.py" in line for line in run("ruff format", checkout))


def test_types(checkout: Path) -> None:
    write(checkout, "gate/wrong.py", '"""Doc."""\n\n\ndef f() -> int:\n    """Lie."""\n    return "text"\n')
    assert any("wrong.py:6: error" in line for line in run("mypy strict", checkout))


AREA = {
    "backend/one/__init__.py": '"""One."""\n',
    "backend/one/service.py": '"""One\'s rules."""\n',
    "backend/one/tables.py": '"""One\'s tables."""\n',
    "backend/two/__init__.py": '"""Two."""\n',
    "backend/two/service.py": '"""Two\'s rules."""\n',
}
BROKEN_IMPORTS = {
    "contract imports neither side": ("contract/bad.py", "import backend"),
    "console speaks HTTP only": ("console/bad.py", "import backend"),
    "console.client and console.state know no terminal": ("console/state/bad.py", "import textual"),
    "backend knows no client": ("backend/bad.py", "import console"),
    "gate stands alone": ("gate/bad.py", "import backend"),
    "simulator uses the public interface only": ("simulator/bad.py", "import backend"),
    "ledger is a pure core": ("ledger/bad.py", "import backend"),
    "embedded PostgreSQL stands alone": ("watchfloor/embedded/bad.py", "import backend"),
    "areas of the backend meet at their services": ("backend/two/bad.py", "import backend.one.tables"),
    "no import cycles": ("backend/one/bad.py", "import backend.two.service\n"),
}


@pytest.fixture
def areas(checkout: Path) -> Path:
    for name, text in AREA.items():
        write(checkout, name, text)
    return checkout


@pytest.mark.parametrize("contract", BROKEN_IMPORTS)
def test_each_import_contract(areas: Path, contract: str) -> None:
    name, statement = BROKEN_IMPORTS[contract]
    if contract == "no import cycles":
        write(areas, "backend/two/bad.py", '"""Doc."""\n\nimport backend.one.service\n')
    assert run("import contracts", areas) == []
    write(areas, name, f'"""Doc."""\n\n{statement}\n')
    assert any(line.startswith(f"{contract} BROKEN") for line in run("import contracts", areas))


def test_areas_may_meet_at_their_services(areas: Path) -> None:
    write(areas, "backend/two/good.py", '"""Doc."""\n\nimport backend.one.service\n')
    assert run("import contracts", areas) == []


def test_a_table_without_a_migration(monkeypatch: pytest.MonkeyPatch) -> None:
    from sqlalchemy import Column, Integer, Table

    from backend.db import Base

    assert drift.problems() == []
    extra = Table("never_migrated", Base.metadata, Column("id", Integer, primary_key=True))
    try:
        assert any("never_migrated" in line for line in drift.problems())
    finally:
        Base.metadata.remove(extra)


def test_the_whole_run_fails_when_one_gate_does(checkout: Path) -> None:
    write(checkout, "gate/silent.py", "x = 1\n")
    program = (
        "import sys; from scripts import lint;"
        " lint.COMMANDS = {}; lint.CHECKS = {'module docstrings': lint.CHECKS['module docstrings']};"
        " sys.exit(lint.main())"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=checkout, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "FAIL module docstrings" in done.stdout
    assert done.stdout.endswith("lint: failed: module docstrings\n")
