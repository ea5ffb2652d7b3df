"""Says what is wrong with a policy file, in words: file, key, reason. Owns no check."""

import difflib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from backend.errors import ConfigurationError

Path = tuple[str | int, ...]
_SHOWN_AT_ONCE = 3
"""Mistakes named in the one line of a refused start; `policy check` names all."""


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing wrong with one file."""

    file: str
    key: str
    """Dotted path of the key, or the place in a file that is not TOML; empty when it is the file itself."""
    reason: str

    def __str__(self) -> str:
        return ": ".join(part for part in (self.file, self.key, self.reason) if part)


class PolicyError(ConfigurationError):
    """A policy file that Watchfloor refuses to work with, and everything that is wrong with it."""

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        shown = "; ".join(str(mistake) for mistake in mistakes[:_SHOWN_AT_ONCE])
        more = len(mistakes) - _SHOWN_AT_ONCE
        super().__init__(f"The policy is wrong: {shown}{f'; and {more} more' if more > 0 else ''}")
        self.mistakes = tuple(mistakes)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?` when a known word is close, else nothing."""
    close = difflib.get_close_matches(word, sorted(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def dotted(path: Path) -> str:
    """A key path as people write it; a key with a dot or a space in it is quoted."""
    return ".".join(
        f'"{part}"' if isinstance(part, str) and not part.replace("_", "").replace("-", "").isalnum() else str(part)
        for part in path
    )


def describe(error: ErrorDetails, root: type[BaseModel]) -> tuple[Path, str]:
    """The key path and the reason of one validation error of a model."""
    path: Path = tuple(part for part in error["loc"] if part != "[key]")
    word = _WORDING.get(error["type"])
    reason = word(error) if word else error["msg"].replace("Input should be", "must be")
    if error["type"] == "extra_forbidden":
        reason += did_you_mean(str(path[-1]), _known_keys(root, path[:-1]))
    elif error["type"] in {"enum", "literal_error"} and isinstance(error["input"], str):
        reason += did_you_mean(
            error["input"], error["ctx"]["expected"].replace("'", "").replace(" or ", ", ").split(", ")
        )
    return path, reason


_WORDING: dict[str, Callable[[ErrorDetails], str]] = {
    "missing": lambda _: "is missing",
    "extra_forbidden": lambda _: "unknown key",
    "value_error": lambda error: str(error["ctx"]["error"]),
    "int_type": lambda _: "must be a whole number",
    "bool_type": lambda _: "must be true or false",
    "string_type": lambda _: "must be text in quotes",
    "decimal_parsing": lambda _: "must be a number",
    "finite_number": lambda _: "must be a finite number",
    "tuple_type": lambda _: "must be a list",
    "dict_type": lambda _: "must be a table",
    "model_type": lambda _: "must be a table",
    "too_short": lambda _: "must not be empty",
}


def _known_keys(root: type[BaseModel], path: Path) -> list[str]:
    here: Any = root
    for part in path:
        here = _inner(here, part)
    model = _model(here)
    return [field.alias or name for name, field in model.model_fields.items()] if model else []


def _inner(annotation: Any, part: str | int) -> Any:
    model = _model(annotation)
    if model is not None:
        field = next((f for name, f in model.model_fields.items() if part in (f.alias or name, name)), None)
        return field.annotation if field else None
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    arguments = get_args(annotation)
    if not arguments:
        return None
    return arguments[1] if get_origin(annotation) is dict else arguments[0]


def _model(annotation: Any) -> type[BaseModel] | None:
    if get_origin(annotation) in (Annotated, Union, UnionType):
        return next((found for found in map(_model, get_args(annotation)) if found), None)
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None
