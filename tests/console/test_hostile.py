"""Text from outside shows as text: no escape reaches the terminal, no markup is read, nothing crashes."""

import json
from collections.abc import Iterable

import pytest

from contract.alerts import AlertCounts, Severity
from contract.overview import Overview
from contract.scope import MAX_NAME_CHARS, Scope
from tests.console import floor_models as models
from tests.console.driving import running
from tests.console.paper import Paper
from tests.support.shared_data import shared_data

BATCH = 40
"""Texts shown at once: as many alerts as the overview holds."""

MARKUP = ["[bold]x[/bold]", "[/]", "[link=http://x]y[/link]", "[@click=app.exit]quit[/]", "[red", "\\[", "$foo", "{x}"]


def _naughty() -> list[str]:
    return [str(text) for text in json.loads(shared_data("vectors/naughty-strings/blns.json").read_text())]


def _payloads() -> list[str]:
    found: list[str] = []

    def collect(node: object) -> None:
        if isinstance(node, str):
            found.append(node)
        elif isinstance(node, dict):
            collect(list(node.values()))
        elif isinstance(node, list):
            for one in node:
                collect(one)

    collect(json.loads(shared_data("vectors/terminal-escape-payloads/ansi_payloads.json").read_text()))
    return found + [_unescaped(text) for text in found if "\\" in text]


def _unescaped(text: str) -> str:
    """The control characters that a payload writes as text."""
    for written, meant in (
        ("\\e", "\x1b"),
        ("\\033", "\x1b"),
        ("\\x1b", "\x1b"),
        ("\\x07", "\x07"),
        ("\\n", "\n"),
        ("\\r", "\r"),
    ):
        text = text.replace(written, meant)
    return text


def _sendable(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")


def _hostile_floor(texts: list[str]) -> Overview:
    base = models.overview()
    names = [_sendable(text).replace("\x00", "")[:MAX_NAME_CHARS] or "x" for text in texts]
    alerts = [
        models.alert(
            f"a-{number}",
            severity=list(Severity)[number % 4],
            rule=_sendable(text) or "x",
            message=_sendable(text),
            scope=Scope.parse(f"wallet:{name}") if name.strip() else None,
        )
        for number, (text, name) in enumerate(zip(texts, names, strict=True))
    ]
    executors = [
        one.model_copy(update={"name": name, "chain": name, "strategy": name, "wallet": name})
        for one, name in zip(base.executors, names, strict=False)
    ]
    freezes = [models.freeze(reason=_sendable(text) or "x") for text in texts[:1]]
    return base.model_copy(
        update={
            "alerts": alerts,
            "executors": executors,
            "freezes": freezes,
            "alert_counts": AlertCounts(critical=len(alerts)),
        }
    )


def _batches(texts: list[str]) -> Iterable[list[str]]:
    return (texts[start : start + BATCH] for start in range(0, len(texts), BATCH))


async def _walk(texts: list[str]) -> None:
    overview = _hostile_floor(texts)
    entries = [
        models.entry(f"e-{number}", user=_sendable(text)[:100] or None, event=_sendable(text)[:50] or "x")
        for number, text in enumerate(texts)
    ]
    paper = Paper(overview=overview, alerts=overview.alerts, entries=entries, role=_sendable(texts[0])[:60])
    async with running(paper, size=(120, 40)) as run:
        for keys, title in ((("2",), "Alerts"), (("3",), "Operations"), (("4",), "Audit"), (("1",), "Overview")):
            await run.press(*keys)
            await run.at(title)
            await run.press("G", "j", "k")
            _assert_clean(run.screen)
            assert run.app.message[0] != "error", run.app.message
        await run.press("enter")
        await run.at("Alerts")
        await run.press("enter")
        await run.at("Alert")
        _assert_clean(run.screen)


def _assert_clean(screen: str) -> None:
    controls = {char for char in screen if char != "\n" and (ord(char) < 32 or 127 <= ord(char) < 160)}
    assert not controls, controls
    assert not {"\u202e", "\u2066", "\u200b"} & set(screen)


async def test_naughty_strings_show_as_text() -> None:
    for texts in _batches(_naughty()):
        await _walk(texts)


async def test_terminal_escape_payloads_show_as_text() -> None:
    for texts in _batches(_payloads()):
        await _walk(texts)


@pytest.mark.parametrize("text", MARKUP)
async def test_markup_is_shown_and_not_read(text: str) -> None:
    overview = models.overview().model_copy(
        update={
            "alerts": [models.alert(message=f"see {text} here", rule=text)],
            "alert_counts": AlertCounts(critical=1),
        }
    )
    async with running(Paper(overview=overview, alerts=overview.alerts), size=(120, 40)) as run:
        await run.shows(text)
        await run.press("2")
        await run.at("Alerts")
        await run.shows(f"see {text} here")
