"""Writes the pages of docs/ that are made from code, and with --check says which of them no longer tell the truth.

Owns the pages of docs/ named in `PAGES`; nobody edits these by hand.
"""

import argparse
import ast
import difflib
import inspect
import sys
import textwrap
from collections.abc import Callable, Iterator
from importlib import import_module
from itertools import pairwise
from pathlib import Path

import click
from pydantic_core import PydanticUndefined

from backend.audit.events import EVERY_EVENT, AuditEvent
from backend.audit.recovery_events import RecoveryEvent
from backend.policy.load import load_policy
from backend.risk.indicators import RULES
from backend.settings import Settings
from console import actions, cli, keys
from contract.errors import EXIT_CODE, HTTP_STATUS, ErrorCode, ExitCode
from watchfloor.commands import CONSOLE_SUMMARY, SERVER_COMMANDS, WITHOUT_BACKEND

ROOT = Path(__file__).resolve().parent.parent
HELP_COLUMNS = 80
NOTICE = "<!-- Made by `python -m scripts.generate_docs`; edits are overwritten. -->\n"
SHOWN_DIFFERENCES = 8

CLI_PREFACE = """
`watchfloor` without a command opens the console. Commands that speak to a backend take `--json` (one object on stdout,
with a `schema`) and `--url`; messages go to stderr. Exit codes: [errors.md](errors.md).
"""
ERRORS_PREFACE = """\
Every answer that is no success is `{code, message, hint, request_id}`; commands turn the code into an exit code.
"""

INDICATORS_PREFACE = """\
An indicator stands at its gravest reason; each reason names its fact and links to it (`w` on the overview). A source
that says nothing makes the indicator UNKNOWN, never LOW. The steps are policy data: `policy show watchfloor`.
"""
AUDIT_PREFACE = """\
Written in the transaction of the act itself; refusals in one of their own. Retention and encryption of each category
are policy data: `watchfloor policy show audit`.
"""

CLIENT_VARIABLES = {
    "WATCHFLOOR_URL": "The backend that the console and the commands speak to; `http://127.0.0.1:8420` by default",
    "WATCHFLOOR_TOKEN": "A token to use instead of the stored session",
    "WATCHFLOOR_USB_KEY": "File of a hardware key on USB, as ssh-keygen makes it; used instead of the SSH agent",
    "WATCHFLOOR_DEBUG": "Any value: show the traceback of an unexpected error",
    "XDG_STATE_HOME": "Sessions are kept in `$XDG_STATE_HOME/watchfloor/`; `~/.local/state` by default",
    "WATCHFLOOR_THEME": "Colours of the console: `auto`, `dark`, `light` or `terminal` (the terminal's own 16)",
    "WATCHFLOOR_ASCII": "Any value: plain ASCII glyphs",
    "NO_COLOR": "Any value: no colours",
}
EXIT_MEANINGS = {
    ExitCode.OK: "It worked.",
    ExitCode.CHECK_FAILED: "It was done and the answer is no: lines refused, a conflict, an unexpected error.",
    ExitCode.USAGE: "The command, a file or a value given to it is wrong.",
    ExitCode.CONFIGURATION: "Settings, address or stored session are wrong, or something is not installed.",
    ExitCode.NOT_ALLOWED: "Not signed in, or the role may not do this.",
    ExitCode.NOT_FOUND: "There is no such thing.",
    ExitCode.REFUSED_BY_POLICY: "The policy refuses: a second person is missing, one's own request, lapsed or changed.",
    ExitCode.UNREACHABLE: "No backend answers, or it cannot now: the same may be tried again.",
    ExitCode.REFUSED_BY_FREEZE: "A freeze covers it.",
    ExitCode.TIMED_OUT: "No answer in time: whether it took effect is not known.",
}


def cli_page() -> str:
    """Every command with its help, as the person sees it."""
    parts = [
        f"# Commands\n\n{NOTICE}\n",
        CLI_PREFACE,
        f"\n## console\n\n{CONSOLE_SUMMARY}\n",
    ]
    for name in SERVER_COMMANDS:
        parts += _command_sections(import_module(f"watchfloor.commands.{name}").command, name)
    for name in cli.COMMANDS:
        parts += _command_sections(cli.load(name), name)
        parts += [
            f"\n### {' '.join(path)}\n\n"
            + _help(import_module(f"watchfloor.commands.{module}").command, f"watchfloor {' '.join(path)}")
            for path, module in WITHOUT_BACKEND.items()
            if path[0] == name
        ]
    return "".join(parts)


def _command_sections(command: click.Command, name: str) -> Iterator[str]:
    yield f"\n## {name}\n\n{_help(command, f'watchfloor {name}')}"
    yield from _subsections(command, f"watchfloor {name}")


def _subsections(command: click.Command, path: str) -> Iterator[str]:
    if not isinstance(command, click.Group):
        return
    for name, child in command.commands.items():
        yield f"\n### {path.removeprefix('watchfloor ')} {name}\n\n{_help(child, f'{path} {name}')}"
        yield from _subsections(child, f"{path} {name}")


def _help(command: click.Command, path: str) -> str:
    context = click.Context(command, info_name=path, terminal_width=HELP_COLUMNS, max_content_width=HELP_COLUMNS)
    return f"```text\n{command.get_help(context)}\n```\n"


def settings_page() -> str:
    """Every environment variable that means something."""
    lines = [
        f"# Settings\n\n{NOTICE}\nAll come from the environment. The backend reads:\n",
        "| variable | default | what |\n|---|---|---|",
    ]
    for name, field in Settings.model_fields.items():
        default = "none" if field.default is None else f"`{field.default}`"
        default = "required" if field.default is PydanticUndefined else default
        lines.append(f"| `WATCHFLOOR_{name.upper()}` | {default} | {_cell(field.description or '')} |")
    lines.append("\nThe console and the commands read:\n\n| variable | what |\n|---|---|")
    lines += [f"| `{name}` | {_cell(what)} |" for name, what in CLIENT_VARIABLES.items()]
    return "\n".join(lines) + "\n"


def keys_page() -> str:
    """Every key of the console, by where it works."""
    lines = [f"# Keys\n\n{NOTICE}\nKeys after a space are pressed one after the other. `:` opens the command line."]
    for context in actions.Context:
        found = actions.in_contexts([context])
        if not found:
            continue
        lines.append(f"\n## {context.value}\n\n| key | what | `:` command | needs |\n|---|---|---|---|")
        for action in found:
            shown = ", ".join(f"`{keys.shown_key(key)}`" for key in action.keys)
            typed = f"`{' '.join(filter(None, (action.command, action.argument)))}`" if action.command else ""
            needs = action.permission.value if action.permission else ""
            lines.append(f"| {shown} | {_cell(action.help)} | {_cell(typed)} | {needs} |")
    return "\n".join(lines) + "\n"


def errors_page() -> str:
    """Every error code with its HTTP status and exit code, and what the exit codes mean."""
    lines = [
        f"# Errors\n\n{NOTICE}\n{ERRORS_PREFACE}\n",
        "| code | HTTP | exit |\n|---|---|---|",
    ]
    lines += [f"| `{code.value}` | {HTTP_STATUS[code]} | {int(EXIT_CODE[code])} |" for code in ErrorCode]
    lines.append("\n| exit code | meaning |\n|---|---|")
    lines += [f"| {int(code)} | {EXIT_MEANINGS[code]} |" for code in ExitCode]
    lines.append("\nA command stopped with Ctrl-C ends with 130, one whose reader has gone with 141.")
    return "\n".join(lines) + "\n"


def indicators_page() -> str:
    """Every rule of the three risk indicators, and the policy's steps behind them."""
    rows = [f"| {rule.id} | {rule.indicator} | {_cell(rule.sentence)} |\n" for rule in RULES]
    head = "| rule | indicator | what raises it |\n|---|---|---|\n"
    return f"# Risk indicators\n\n{NOTICE}\n{INDICATORS_PREFACE}\n{head}{''.join(rows)}"


def audit_events_page() -> str:
    """Every event type of the audit log with its category in the built-in policy."""
    policy = load_policy("mev")
    texts = _member_texts(AuditEvent) | _member_texts(RecoveryEvent)
    rows = [
        f"| `{event.value}` | {policy.audit_category(event.value)} | {_cell(texts[event.name])} |\n"
        for event in EVERY_EVENT
    ]
    head = "| event type | category | what happened |\n|---|---|---|\n"
    return f"# Audit events\n\n{NOTICE}\n{AUDIT_PREFACE}\n{head}{''.join(rows)}"


def _member_texts(kind: type) -> dict[str, str]:
    """The text that follows each member of an enumeration in its source."""
    body = ast.parse(textwrap.dedent(inspect.getsource(kind))).body[0]
    assert isinstance(body, ast.ClassDef)  # noqa: S101  it is the source of a class
    found = {}
    for member, text in pairwise(body.body):
        if isinstance(member, ast.Assign) and isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
            target = member.targets[0]
            if isinstance(target, ast.Name):
                found[target.id] = str(text.value.value)
    return found


def _cell(text: str) -> str:
    """Text within one cell of a table."""
    return inspect.cleandoc(text).replace("\n", " ").replace("|", "\\|")


PAGES: dict[str, Callable[[], str]] = {
    "docs/cli.md": cli_page,
    "docs/settings.md": settings_page,
    "docs/keys.md": keys_page,
    "docs/errors.md": errors_page,
    "docs/indicators.md": indicators_page,
    "docs/audit-events.md": audit_events_page,
}


def problems(root: Path) -> list[str]:
    """Pages that differ from what the code says, with the first lines that do."""
    found = []
    for name, page in PAGES.items():
        path = root / name
        written = path.read_text() if path.exists() else ""
        wanted = page()
        if written != wanted:
            found.append(f"{name} is stale; run: python -m scripts.generate_docs")
            changes = difflib.unified_diff(written.splitlines(), wanted.splitlines(), n=0, lineterm="")
            found += [f"  {line}" for line in list(changes)[2 : 2 + SHOWN_DIFFERENCES]]
    return found


def main() -> int:
    """Write the pages, or check them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 when a page is stale")
    if parser.parse_args().check:
        found = problems(ROOT)
        print("\n".join(found) or "documents: up to date")
        return 1 if found else 0
    for name, page in PAGES.items():
        (ROOT / name).write_text(page())
    return 0


if __name__ == "__main__":
    sys.exit(main())
