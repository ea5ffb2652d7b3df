"""Turns a policy's name or path into a checked policy, or into the full list of what is wrong with it."""

from dataclasses import dataclass

from pydantic import ValidationError

from backend.policy import checks
from backend.policy.layers import Layer, Table, merge, origin, read_layers
from backend.policy.mistakes import Mistake, PolicyError, describe, dotted
from backend.policy.model import Policy


@dataclass(frozen=True, slots=True)
class LoadedPolicy:
    """A policy that may be used, where it came from, and what looks unintended."""

    policy: Policy
    files: tuple[str, ...]
    """The file itself, then those it extends."""
    warnings: tuple[Mistake, ...]


def load_policy(name_or_path: str) -> Policy:
    """The policy of a built-in name (`mev`, `methtrader`) or of a TOML file that may extend another.

    Raises:
        PolicyError: with every mistake's file, key and reason; the process must not start.
    """
    return load_with_warnings(name_or_path).policy


def load_with_warnings(name_or_path: str) -> LoadedPolicy:
    """Like `load_policy`, together with the doubts that do not forbid a start.

    Raises:
        PolicyError: with every mistake's file, key and reason.
    """
    layers = read_layers(name_or_path)
    data, mistakes = merge(layers)
    policy, found = _validate(data, layers)
    mistakes += found
    mistakes += [Mistake(origin(layers, path), dotted(path), reason) for path, reason in checks.wrong_names(data)]
    if policy is None or mistakes:
        raise PolicyError(sorted(set(mistakes), key=str))
    warnings = tuple(Mistake(origin(layers, path), dotted(path), reason) for path, reason in checks.doubts(policy))
    return LoadedPolicy(policy, tuple(layer.name for layer in layers), warnings)


def _validate(data: Table, layers: tuple[Layer, ...]) -> tuple[Policy | None, list[Mistake]]:
    try:
        return Policy.model_validate(data), []
    except ValidationError as error:
        described = [describe(detail, Policy) for detail in error.errors(include_url=False)]
        return None, [Mistake(origin(layers, path), dotted(path), reason) for path, reason in described]
