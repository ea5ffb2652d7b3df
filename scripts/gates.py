"""Gates of our own: sizes, docstrings, addresses that must not be in a file. Pure: a checkout in, complaints out."""

import ast
from collections.abc import Iterator
from pathlib import Path

PACKAGES = (
    "adapters",
    "backend",
    "console",
    "contract",
    "gate",
    "ledger",
    "simulator",
    "watchers",
    "watchfloor",
    "witness",
    "scripts",
    "tests",
)
LONGEST_FILE_LINES = 400
LONGEST_CLASS_LINES = 300
LONGEST_FUNCTION_LINES = 60
SHORTER_FILES = {"console/app.py": 250}  # wiring only
BROAD_HANDLERS = ("Exception", "BaseException")


def sources(root: Path) -> Iterator[tuple[str, str]]:
    """Give (path relative to `root`, text) of every Python file of ours."""
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            yield path.relative_to(root).as_posix(), path.read_text()


def size_problems(root: Path) -> list[str]:
    """List files, classes and functions too long to be read in one go."""
    found = []
    for name, text in sources(root):
        lines, limit = len(text.splitlines()), SHORTER_FILES.get(name, LONGEST_FILE_LINES)
        if lines > limit:
            found.append(f"{name}: {lines} lines (at most {limit})")
        for node in ast.walk(ast.parse(text)):
            found += _too_long(name, node)
    return found


def _too_long(name: str, node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.ClassDef):
        limit = LONGEST_CLASS_LINES
    elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        limit = LONGEST_FUNCTION_LINES
    else:
        return
    length = (node.end_lineno or node.lineno) - node.lineno + 1
    if length > limit:
        yield f"{name}:{node.lineno}: {node.name} is {length} lines (at most {limit})"


def docstring_problems(root: Path) -> list[str]:
    """List modules that do not say what they own."""
    return [
        f"{name}:1: no module docstring"
        for name, text in sources(root)
        if text.strip() and ast.get_docstring(ast.parse(text)) is None
    ]


def handler_problems(root: Path) -> list[str]:
    """List broad handlers without a comment beside them that names the boundary they stand at."""
    found = []
    for name, text in sources(root):
        lines = text.splitlines()
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ExceptHandler) and _is_broad(node) and not _reraises(node):
                above, nearby = lines[node.lineno - 2], lines[node.lineno - 1 : node.body[0].lineno]
                if not above.lstrip().startswith("#") and not any("#" in line for line in nearby):
                    found.append(f"{name}:{node.lineno}: broad except without a comment naming the boundary")
    return found


def _is_broad(node: ast.ExceptHandler) -> bool:
    return node.type is None or (isinstance(node.type, ast.Name) and node.type.id in BROAD_HANDLERS)


def _reraises(node: ast.ExceptHandler) -> bool:
    last = node.body[-1]
    return isinstance(last, ast.Raise) and last.exc is None
