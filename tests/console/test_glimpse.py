"""The first overview read without the wire types' library: the same in everything, or refused."""

import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import AwareDatetime, BaseModel

from console.state import floor as reducers
from console.state.floor import Floor, urgent
from console.state.glimpse import glimpse
from console.state.headline import headline
from console.state.pulse import hold_texts, next_look_s
from console.widgets import alert_rows
from console.widgets import overview as draw
from console.widgets.glyphs import UNICODE
from console.widgets.holds import freezes_lines
from console.widgets.lines import Line
from console.widgets.open_incidents import incidents_lines
from console.widgets.view import View
from contract.overview import Overview
from contract.scope import GLOBAL, TERM_ORDER, Scope
from tests.console import alert_models
from tests.console import floor_models as models
from tests.console.floor_models import NOW

_LATEST = datetime(2200, 1, 1)  # noqa: DTZ001  Hypothesis adds the zone
_SIMPLE: dict[Any, st.SearchStrategy[Any]] = {
    str: st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
    int: st.integers(-(2**63), 2**63),
    bool: st.booleans(),
    Decimal: st.decimals(allow_nan=False, allow_infinity=False),
    AwareDatetime: st.datetimes(max_value=_LATEST, timezones=st.just(UTC)),
    type(None): st.none(),
    Scope: st.just(GLOBAL)
    | st.builds(
        Scope,
        kind=st.sampled_from(TERM_ORDER),
        name=st.text("abcé0", min_size=1, max_size=9),
    )
    | st.just(Scope.parse("chain:base+strategy:arbitrage")),
}
_GENERIC: dict[Any, Callable[..., st.SearchStrategy[Any]]] = {
    Annotated: lambda kind: kind,
    UnionType: st.one_of,
    Union: st.one_of,
    list: lambda kind: st.lists(kind, max_size=2),
    dict: lambda name, kind: st.dictionaries(name, kind, max_size=2),
}


def values(kind: Any) -> st.SearchStrategy[Any]:
    """Any value that a field of this type can hold."""
    origin = get_origin(kind)
    if kind in _SIMPLE:
        return _SIMPLE[kind]
    if origin is not None:
        arguments = get_args(kind)[:1] if origin is Annotated else get_args(kind)
        return _GENERIC[origin](*map(values, arguments))
    if issubclass(kind, StrEnum):
        return st.sampled_from(kind)
    return st.builds(kind, **{name: values(field.annotation) for name, field in kind.model_fields.items()})


def assert_same(seen: Any, wire: Any) -> None:
    """The same fields, types and values, all the way down."""
    if isinstance(wire, BaseModel):
        assert set(vars(seen)) == set(type(wire).model_fields)
        for name in type(wire).model_fields:
            assert_same(getattr(seen, name), getattr(wire, name))
        if isinstance(wire, Scope):
            assert str(seen) == str(wire)
    elif isinstance(wire, list):
        assert len(seen) == len(wire)
        for left, right in zip(seen, wire, strict=True):
            assert_same(left, right)
    else:
        assert (type(seen), seen) == (type(wire), wire)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(values(Overview))
def test_it_reads_what_the_wire_types_read(overview: Overview) -> None:
    body = overview.model_dump_json().encode()
    assert_same(glimpse(body), Overview.model_validate_json(body))


def picture(overview: Overview, view: View) -> list[Line | str | float]:
    """Everything that the first picture reads."""
    floor = reducers.load(Floor(), overview, NOW)
    alerts = urgent(floor.alerts)
    return [
        headline(floor, NOW).text,
        *hold_texts(floor),
        next_look_s(floor, NOW),
        *draw.risk_lines(floor, view),
        *draw.chains_lines(floor, view, 4),
        draw.indicators_line(floor, view),
        *draw.side_lines(floor, view),
        alert_rows.alerts_title(floor, view),
        *[alert_rows.alert_row(alert, floor, view) for alert in alerts],
        *alert_rows.no_alerts(floor, view),
        *incidents_lines(floor, view, 6),
        *freezes_lines(floor, view, 6),
        draw.executors_line(floor, view),
    ]


def test_it_draws_what_the_wire_types_draw() -> None:
    overview = alert_models.overview()
    seen = glimpse(overview.model_dump_json().encode())
    assert seen is not None
    for width in (60, 100, 160):
        view = View(width, 40, UNICODE, NOW)
        assert picture(seen, view) == picture(overview, view)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["executors_total"], True),
        (["executors_total"], 1.0),
        (["executors_total"], None),
        (["server_time"], "2026-11-21T03:12:09"),
        (["server_time"], "yesterday"),
        (["server_time"], 5),
        (["risk", "measures", 0, "limit"], 1.5),
        (["risk", "measures", 0, "limit"], "NaN"),
        (["risk", "measures", 0, "limit"], "ten"),
        (["risk", "measures", 0, "state"], "wonderful"),
        (["risk", "measures", 0, "scope"], "global"),
        (["risk", "measures", 0, "scope", "name"], "base"),
        (["alerts", 0, "scope", "name"], ""),
        (["alerts", 0, "scope", "name"], " base"),
        (["alerts", 0, "severity"], ["critical"]),
        (["alerts", 0, "facts"], {"value": 7}),
        (["alerts"], {}),
        (["freezes"], None),
        ([], []),
    ],
)
def test_what_is_not_as_expected_is_left_to_the_client(path: list[Any], value: object) -> None:
    document: Any = {"root": models.overview().model_dump(mode="json")}
    place = document
    for step in ["root", *path][:-1]:
        place = place[step]
    place[["root", *path][-1]] = value
    assert glimpse(json.dumps(document["root"]).encode()) is None


@pytest.mark.parametrize("name", ["alerts", "event_id", "risk"])
def test_a_missing_field_is_left_to_the_client(name: str) -> None:
    document = models.overview().model_dump(mode="json")
    del document[name]
    assert glimpse(json.dumps(document).encode()) is None


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"null", b"[" * 100_000])
def test_what_is_no_object_is_left_to_the_client(body: bytes) -> None:
    assert glimpse(body) is None


def test_a_field_of_a_newer_backend_is_ignored() -> None:
    document = models.overview().model_dump(mode="json")
    document["alerts"][0]["mood"] = "gloomy"
    assert glimpse(json.dumps(document).encode()) is not None


def test_the_first_picture_does_without_the_library() -> None:
    """Its import would double the time until live data are on the screen."""
    names = (
        "console.app, console.opening, console.screens.overview.screen, console.state.glimpse, console.state.headline,"
        "console.state.pulse, console.widgets.overview, console.feeding"
    )
    unseen = "{'pydantic', 'console.screens.verify', 'console.screens.ledger', 'console.state.verification'}"
    code = f"import sys, {names}; sys.exit(bool({unseen} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
