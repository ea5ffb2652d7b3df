"""`watchfloor policy`: check a policy file, or show the policy in force. Needs no database and no backend."""

import os
from pathlib import Path
from typing import Any

import click

from backend.notifications.channels import channels_in
from backend.policy.load import LoadedPolicy, load_with_warnings
from backend.policy.mistakes import Mistake, PolicyError, did_you_mean, dotted
from backend.policy.model import channel_names
from backend.settings import Settings
from console.commands.output import outside, wrapped, write_json, write_lines, write_whole_lines
from contract.errors import ExitCode

_POLICY_VARIABLE = "WATCHFLOOR_POLICY"
_WHOLE = "all"
_MISTAKE_CHARS = 1_000
_NAME_COLUMNS = 31
"""Room for the longest key that is common; a longer one gets a line of its own."""


@click.group()
def command() -> None:
    """Check or show the compliance policy: roles, limits, severities, retention and everything else."""


@command.command("check")
@click.argument("file")
@click.option("--channels", type=click.Path(path_type=Path), help="Also warn of channels that this file does not have.")
@click.option("--json", "as_json", is_flag=True, help="Write one JSON object to stdout.")
def check(file: str, *, channels: Path | None, as_json: bool) -> int:
    """Check a policy FILE (or a built-in name) and whatever it extends.

    Prints each mistake on one line as FILE: key: reason and ends with exit code 3 if there is any.
    """
    try:
        loaded = load_with_warnings(file)
    except PolicyError as error:
        if as_json:
            write_json("policy.check", {"ok": False, "mistakes": _bodies(error.mistakes), "warnings": []})
        else:
            write_whole_lines(outside(str(mistake), _MISTAKE_CHARS) for mistake in error.mistakes)
        return ExitCode.CONFIGURATION
    doubts = loaded.warnings + _channels_not_in(channels, loaded)
    if as_json:
        warnings = _bodies(doubts)
        write_json("policy.check", {"ok": True, "files": loaded.files, "mistakes": [], "warnings": warnings})
    else:
        below = f", over {', '.join(loaded.files[1:])}" if loaded.files[1:] else ""
        warned = [Mistake(warning.file, "warning", f"{warning.key}: {warning.reason}") for warning in doubts]
        write_whole_lines(outside(str(line), _MISTAKE_CHARS) for line in warned)
        write_whole_lines(
            [f"{outside(loaded.files[0], _MISTAKE_CHARS)}: ok{outside(below, _MISTAKE_CHARS) if below else ''}"]
        )
    return ExitCode.OK


@command.command("show")
@click.argument("section", default="")
@click.option("--policy", "source", metavar="NAME|FILE", help=f"Which policy; else {_POLICY_VARIABLE}, else mev.")
@click.option("--json", "as_json", is_flag=True, help="Write one JSON object to stdout.")
def show(section: str, source: str | None, *, as_json: bool) -> None:
    """Show the policy: its sections, one SECTION (also a part of one, such as risk.thresholds), or `all`."""
    name = source or os.environ.get(_POLICY_VARIABLE) or Settings.model_fields["policy"].default
    loaded = load_with_warnings(name)
    body = _body_of(loaded, everything=as_json)
    part = body if section in {"", _WHOLE} else _part(body, section)
    if as_json:
        write_json("policy.show", {"files": loaded.files, "section": section or _WHOLE, "policy": part})
    elif section:
        write_lines(_lines(part, 0))
    else:
        write_lines(_overview(loaded, body))


def _channels_not_in(channels: Path | None, loaded: LoadedPolicy) -> tuple[Mistake, ...]:
    """Where the policy names channels that a file of channels does not have."""
    if channels is None:
        return ()
    known = channels_in(channels)
    return tuple(
        Mistake(loaded.files[0], dotted(path), f"there is no channel {name!r} in {channels}{did_you_mean(name, known)}")
        for path, name in channel_names(loaded.policy)
        if name not in known
    )


def _bodies(mistakes: tuple[Mistake, ...]) -> list[dict[str, str]]:
    return [{"file": mistake.file, "key": mistake.key, "reason": mistake.reason} for mistake in mistakes]


def _body_of(loaded: LoadedPolicy, *, everything: bool) -> dict[str, Any]:
    """The policy as plain data; for a reader without what is not set."""
    body = loaded.policy.model_dump(mode="json", by_alias=True, exclude_defaults=not everything)
    for name, role in loaded.policy.roles.items():
        body["roles"][name]["holds"] = sorted(role.permissions)
    return body


def _part(body: dict[str, Any], section: str) -> Any:
    part: Any = body
    done: list[str] = []
    for key in section.split("."):
        if not isinstance(part, dict) or key not in part:
            known = part if isinstance(part, dict) else {}
            where = f" in {'.'.join(done)}" if done else ""
            raise click.UsageError(f"There is no section {outside(key, 60)!r}{where}{did_you_mean(key, known) or '.'}")
        part = part[key]
        done.append(key)
    return part


def _overview(loaded: LoadedPolicy, body: dict[str, Any]) -> list[str]:
    document = loaded.policy.document
    lines = [
        *wrapped(f"{document.title}, version {document.version}, {document.last_updated}", 0),
        *wrapped(f"from {', over '.join(outside(file) for file in loaded.files)}", 0),
        "",
    ]
    for name, section in body.items():
        what = ", ".join(section) if isinstance(section, dict) else f"{len(section)} entries"
        lines += _named(name, what, 0)
    return [*lines, "", "Show one with `watchfloor policy show SECTION`, everything with `all`."]


def _lines(value: Any, indent: int) -> list[str]:
    """Any part of a policy as text: names to the left, nested parts indented."""
    if isinstance(value, dict):
        return [line for name, inner in value.items() for line in _entry(name, inner, indent)]
    if isinstance(value, list):
        return [line for inner in value for line in _item(inner, indent)]
    return wrapped(_plain(value), indent)


def _entry(name: str, value: Any, indent: int) -> list[str]:
    if isinstance(value, dict) or (isinstance(value, list) and _is_long(value, indent)):
        return [" " * indent + outside(name), *_lines(value, indent + 2)]
    return _named(name, ", ".join(map(_plain, value)) if isinstance(value, list) else _plain(value), indent)


def _item(value: Any, indent: int) -> list[str]:
    if not isinstance(value, dict):
        return _bulleted(wrapped(_plain(value), indent + 2), indent)
    return _bulleted(_lines(value, indent + 2), indent)


def _bulleted(lines: list[str], indent: int) -> list[str]:
    return [" " * indent + "- " + lines[0].strip(), *lines[1:]] if lines else []


def _is_long(values: list[Any], indent: int) -> bool:
    return any(isinstance(value, dict) or " " in str(value) for value in values) and len(_lines(values, indent)) > 1


def _named(name: str, text: str, indent: int) -> list[str]:
    first, *rest = wrapped(text, _NAME_COLUMNS)
    label = " " * indent + outside(name)
    if len(label) >= _NAME_COLUMNS:
        return [label, first, *rest]
    return [label.ljust(_NAME_COLUMNS) + first.strip(), *rest]


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return outside(str(value), _MISTAKE_CHARS)
