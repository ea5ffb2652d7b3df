"""Alerting rules of Prometheus: their files, and the wire types of taking them in. Pure; templates stay as they are.

Must never be called on the event loop: a long file takes a second to read.
"""

from typing import Annotated, Any, Final

from pydantic import Field, field_validator

from contract.base import UtcDatetime, Wire, WireRequest, storable

MAX_RULES: Final = 5_000
"""Of one import: twenty times what a large cluster has."""
MAX_FILE_BYTES: Final = 4 * 1024 * 1024
"""The largest rule file of those that are published has a fiftieth of it."""
MAX_DEPTH: Final = 50
"""Braces, brackets and steps of indentation within one another; a rule file has eight."""
_MAX_TEXTS: Final = 100
_RUNBOOK: Final = "runbook_url"
Texts = Annotated[dict[str, str], Field(max_length=_MAX_TEXTS)]
"""Labels or annotations, with their templates."""


class ImportedRule(WireRequest):
    """One alerting rule."""

    group: str = Field(min_length=1, max_length=200)
    name: str = Field(min_length=1, max_length=200)
    """What its alerts are called: the label `alertname`."""
    expr: str = Field(max_length=20_000)
    labels: Texts = {}
    annotations: Texts = {}

    _texts = field_validator("group", "name", "expr")(storable)

    @field_validator("labels", "annotations")
    @classmethod
    def _storable(cls, value: dict[str, str]) -> dict[str, str]:
        for text in (*value, *value.values()):
            storable(text)
        return value

    @property
    def runbook_url(self) -> str | None:
        """Where to read what to do."""
        stated = self.annotations.get(_RUNBOOK, "")
        return stated if stated.startswith(("http://", "https://")) else None


class RulesRequest(WireRequest):
    """Take rules in: each group that they name becomes what they say of it."""

    source: str = Field(default="default", pattern=r"^[a-z0-9][a-z0-9_.-]{0,62}$")
    """Whose rules they are, e.g. the Alertmanager that their alerts come from."""
    rules: list[ImportedRule] = Field(min_length=1, max_length=MAX_RULES)


class RulesAnswer(Wire):
    """What became of an import."""

    stored: int
    groups: int
    with_runbook: int
    alerts_filled: int
    """Alerts not cleared that had no runbook and have one now."""


class AlertRule(Wire):
    """One alerting rule that was taken in."""

    id: str
    source: str
    group: str
    name: str
    expr: str
    labels: dict[str, str]
    annotations: dict[str, str]
    runbook_url: str | None = None
    imported_at: UtcDatetime
    imported_by: str


class RuleFileError(ValueError):
    """A file that holds no alerting rules, with the reason."""


def rules_of(text: bytes) -> list[ImportedRule]:
    """Read a rule file of Prometheus, or a `PrometheusRule` of its operator; recording rules are left out.

    Raises:
        RuleFileError: saying what is wrong.
    """
    whole = _yaml(text)
    if isinstance(whole, dict) and "spec" in whole:
        whole = whole["spec"]
    groups = whole.get("groups") if isinstance(whole, dict) else None
    if not isinstance(groups, list):
        raise RuleFileError("it has no list of groups")
    found: list[ImportedRule] = []
    for number, group in enumerate(groups, start=1):
        if not isinstance(group, dict) or not isinstance(group.get("rules") or [], list):
            raise RuleFileError(f"group {number} has no list of rules")
        for rule in group.get("rules") or []:
            if isinstance(rule, dict) and "alert" in rule:
                found.append(_rule(group.get("name"), rule))
            if len(found) > MAX_RULES:
                raise RuleFileError(f"it has more than {MAX_RULES:,} alerting rules")
    return found


def _rule(group: Any, rule: dict[str, Any]) -> ImportedRule:
    name = rule["alert"]
    try:
        return ImportedRule(
            group=group,
            name=name,
            expr=str(rule.get("expr", "")),
            labels=_texts(rule.get("labels")),
            annotations=_texts(rule.get("annotations")),
        )
    except ValueError as error:
        shown = name if isinstance(name, str) else "without a name"
        raise RuleFileError(f"the rule {shown[:100]!r} of the group {str(group)[:100]!r} is not whole") from error


def _texts(value: Any) -> dict[str, str]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ValueError("labels and annotations are a mapping")  # noqa: TRY004  collected with pydantic's
    return {str(name): str(text) for name, text in value.items()}


def _yaml(text: bytes) -> Any:
    import yaml

    if len(text) > MAX_FILE_BYTES:
        raise RuleFileError(f"it is longer than {MAX_FILE_BYTES:,} bytes")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        _refuse_deep(yaml, loader, text)
        return yaml.load(text, Loader=loader)  # noqa: S506  both are safe loaders
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        where = getattr(error, "problem_mark", None)
        line = f" (line {where.line + 1})" if where is not None else ""
        raise RuleFileError(f"it is no YAML of one document{line}") from error


def _refuse_deep(yaml: Any, loader: Any, text: bytes) -> None:
    """Refuse what would take the whole stack to build, and references that stand for more than they are."""
    depth = 0
    for event in yaml.parse(text, Loader=loader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH or isinstance(event, yaml.AliasEvent):
            raise ValueError("too deep, or with references")
