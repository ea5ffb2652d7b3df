"""Finds and reads policy files and lays them over one another. Knows nothing of what a policy means."""

import re
import tomllib
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from backend.policy.mistakes import Mistake, PolicyError, did_you_mean

_HERE = Path(__file__).parent
BUILT_IN = tuple(sorted(path.stem for path in _HERE.glob("*.toml")))
_BUILT_IN_PREFIX = "built-in "
_EXTENDS, _REPLACES = "extends", "replaces"
_TOML_POSITION = re.compile(r"^(?P<reason>.*) \(at (?P<where>line \d+, column \d+|end of document)\)$", re.DOTALL)

Table = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Layer:
    """One policy file as read."""

    name: str
    """How messages name it: the path as given, or `built-in NAME`."""
    data: Table
    replaces: tuple[str, ...] = ()
    """Dotted tables of the layers below that this one states afresh."""


def read_layers(name_or_path: str) -> tuple[Layer, ...]:
    """A policy file and those it extends, the file itself first.

    Raises:
        PolicyError: a file is missing, is not TOML, or extends itself.
    """
    layers: list[Layer] = []
    seen: list[Path] = []
    reference: str | None = name_or_path
    base = Path()
    while reference is not None:
        path, name = _locate(reference, base, layers)
        if path in seen:
            raise PolicyError([Mistake(layers[0].name, _EXTENDS, f"the files extend one another in a circle: {name}")])
        seen.append(path)
        layer, reference = _split(Layer(name, _read(path, name)))
        layers.append(layer)
        base = path.parent
    return tuple(layers)


def _locate(reference: str, base: Path, layers: list[Layer]) -> tuple[Path, str]:
    if reference in BUILT_IN:
        return _HERE / f"{reference}.toml", f"{_BUILT_IN_PREFIX}{reference}"
    path = base / Path(reference).expanduser()
    if path.suffix == ".toml" or path.exists():
        return path.resolve(), str(path) if layers else reference
    reason = f"there is no such file, and no built-in policy of that name{did_you_mean(reference, BUILT_IN)}"
    if layers:
        raise PolicyError([Mistake(layers[-1].name, _EXTENDS, f"{reference!r}: {reason}")])
    raise PolicyError([Mistake(reference, "", reason)])


def _read(path: Path, name: str) -> Table:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"), parse_float=Decimal)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise PolicyError([Mistake(name, "", f"cannot be read: {reason}")]) from error
    except UnicodeDecodeError as error:
        raise PolicyError([Mistake(name, f"byte {error.start}", "is not UTF-8 text")]) from error
    except tomllib.TOMLDecodeError as error:
        found = _TOML_POSITION.match(str(error))
        where, reason = (found["where"], found["reason"]) if found else ("", str(error))
        raise PolicyError([Mistake(name, where, f"is not TOML: {reason[0].lower()}{reason[1:]}")]) from error


def _split(layer: Layer) -> tuple[Layer, str | None]:
    data = dict(layer.data)
    extends, replaces = data.pop(_EXTENDS, None), data.pop(_REPLACES, [])
    mistakes = []
    if extends is not None and not isinstance(extends, str):
        mistakes.append(Mistake(layer.name, _EXTENDS, "must be the name of one policy, in quotes"))
    if not isinstance(replaces, list) or not all(isinstance(path, str) for path in replaces):
        mistakes.append(Mistake(layer.name, _REPLACES, "must be a list of tables, in quotes"))
    if mistakes:
        raise PolicyError(mistakes)
    return replace(layer, data=data, replaces=tuple(replaces)), extends


def merge(layers: tuple[Layer, ...]) -> tuple[Table, list[Mistake]]:
    """Lay the files over one another: tables merge key by key, everything else is replaced by the upper file's."""
    mistakes: list[Mistake] = []
    merged: Table = {}
    for layer in reversed(layers):
        for path in layer.replaces:
            merged, dropped = _without(merged, path.split("."))
            if not dropped:
                mistakes.append(Mistake(layer.name, _REPLACES, f"there is no table {path!r} below to replace"))
        merged = _over(merged, layer.data)
    return merged, mistakes


def _over(base: Table, upper: Table) -> Table:
    result = dict(base)
    for key, value in upper.items():
        below = base.get(key)
        result[key] = _over(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return result


def _without(table: Table, path: list[str]) -> tuple[Table, bool]:
    first, *rest = path
    if first not in table:
        return table, False
    if not rest:
        return {key: value for key, value in table.items() if key != first}, True
    if not isinstance(table[first], dict):
        return table, False
    inner, dropped = _without(table[first], rest)
    return {**table, first: inner}, dropped


def origin(layers: tuple[Layer, ...], path: tuple[str | int, ...]) -> str:
    """The name of the file to blame for a key: the uppermost that states it, else the one a person would add it to.

    A built-in policy is right by itself, so what is wrong with it comes from the file laid over it.
    """
    top = layers[0].name
    stated = next((layer.name for layer in layers if _states(layer.data, path)), top)
    return top if stated.startswith(_BUILT_IN_PREFIX) else stated


def _states(data: Any, path: tuple[str | int, ...]) -> bool:
    for part in path:
        try:
            data = data[part]
        except (LookupError, TypeError):
            return False
    return bool(path)
