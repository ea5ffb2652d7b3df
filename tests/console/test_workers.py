"""Workers touch no widget: read from the source, so that no path is missed. Heavy imports stay off the start path."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import console

ROOT = Path(console.__file__).parent
FORBIDDEN = frozenset(
    {
        "query",
        "query_one",
        "push_screen",
        "pop_screen",
        "switch_screen",
        "refresh",
        "redraw",
        "repaint",
        "mount",
        "focus",
        "set_focus",
        "show",
        "say",
        "notify",
        "display",
        "styles",
    }
)
"""What belongs to handlers: widgets, screens and reactives."""


def _trees() -> dict[Path, ast.Module]:
    return {path: ast.parse(path.read_text()) for path in ROOT.rglob("*.py") if "commands" not in path.parts}


def _worker_names(tree: ast.Module) -> Iterator[str]:
    """Names of functions that are run as workers: decorated with @work, or called inside run_worker(...)."""
    for node in ast.walk(tree):
        if isinstance(node, ast.AsyncFunctionDef | ast.FunctionDef):
            marks = [getattr(mark, "func", mark) for mark in node.decorator_list]
            if any(getattr(mark, "id", getattr(mark, "attr", "")) == "work" for mark in marks):
                yield node.name
            for call in ast.walk(node):
                if isinstance(call, ast.Call) and getattr(call.func, "attr", "") == "run_worker":
                    yield from _called(call.args[0], node)


def _called(argument: ast.expr, function: ast.AST) -> Iterator[str]:
    """The function behind run_worker's argument; a name is followed to what was assigned to it or defined as it."""
    if isinstance(argument, ast.Call):
        yield getattr(argument.func, "id", getattr(argument.func, "attr", ""))
    elif isinstance(argument, ast.Name):
        for node in ast.walk(function):
            if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                if any(isinstance(target, ast.Name) and target.id == argument.id for target in targets):
                    yield from _called(node.value, function)
            elif isinstance(node, ast.AsyncFunctionDef) and node.name == argument.id:
                yield node.name
                for inner in ast.walk(node):
                    if isinstance(inner, ast.Await):
                        yield from _called(inner.value, node)


def _offences(function: ast.AST) -> set[str]:
    used = {node.attr for node in ast.walk(function) if isinstance(node, ast.Attribute)}
    return used & FORBIDDEN


def test_there_are_workers_and_none_touches_a_widget() -> None:
    trees = _trees()
    names = {name for tree in trees.values() for name in _worker_names(tree)}
    assert {"ask_backend", "feed_updates"} <= names
    functions = [
        node
        for tree in trees.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.AsyncFunctionDef | ast.FunctionDef) and node.name in names
    ]
    assert len(functions) >= len(names)
    assert {function.name: _offences(function) for function in functions} == {name: set() for name in names}


def test_the_check_finds_a_worker_that_touches_a_widget() -> None:
    tree = ast.parse("class A:\n    @work(group='x')\n    async def load(self):\n        self.query_one('#a').show()\n")
    assert list(_worker_names(tree)) == ["load"]
    assert _offences(tree) == {"query_one", "show"}


def test_no_worker_is_a_thread_and_none_may_end_the_application() -> None:
    for path, tree in _trees().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "run_worker":
                options = {keyword.arg: keyword.value for keyword in node.keywords}
                assert "thread" not in options, path
                stays = options.get("exit_on_error")
                assert isinstance(stays, ast.Constant), path
                assert stays.value is False, path
                assert "group" in options, path


@pytest.mark.parametrize(
    "module",
    [
        "pydantic",
        "httpx",
        "contract.overview",
        "console.client.api",
        "textual.widgets._data_table",
        "textual.widgets._markdown",
        "textual.widgets._text_area",
        "textual.widgets._header",
        "textual.widgets._footer",
        "pyotp",
    ],
)
def test_the_first_screen_waits_for_no_heavy_import(module: str) -> None:
    code = f"import sys, console.app, console.screens.overview.screen; sys.exit({module!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_state_imports_no_textual() -> None:
    names = ", ".join(f"console.state.{path.stem}" for path in (ROOT / "state").glob("*.py") if path.stem != "__init__")
    code = f"import sys, {names}; sys.exit('textual' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
