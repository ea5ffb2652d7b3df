"""The report of a recovery drill as a document of Markdown. Pure; every figure in it is from the facts.

A figure that nobody measured is said to be missing, never 0.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from backend.continuity.report import Facts, proposed_findings, sha256_of
from backend.documents.document import Document
from backend.documents.text import literal
from contract import lengths
from contract.incidents import FollowUp
from contract.recovery import DrillState, Recovered

NOT_MEASURED: Final = "not measured"
_NOT_COUNTED: Final = "not counted"
_NONE: Final = "—"
_DIFFERS: Final = (
    "They differ: the facts are no longer those that were signed. The name of a person who was erased since does that;"
    " the audit ledger says whether somebody was, and has the hash that was signed."
)


@dataclass(frozen=True, slots=True)
class Signature:
    """Who signed a report off."""

    by: str
    at: datetime
    statement: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Around:
    """What people have made of a drill since it ended: beside the facts, not part of what is signed."""

    incident: str | None
    findings: Sequence[FollowUp]
    signature: Signature | None


def document_of(facts: Facts, around: Around) -> Document:
    """The report."""
    sections = (
        ("Result", _result(facts)),
        ("What was measured", _measured(facts)),
        ("Preconditions and steady state", _checks(facts)),
        ("Cluster", _clusters(facts)),
        ("Steps", _steps(facts)),
        ("Rollback", _rollback(facts)),
        ("Left to do", _listed(facts["left_to_do"]) or "Nothing is left to do."),
        ("Who did what", _acts(facts)),
        ("Findings", _findings(facts, around.findings)),
        ("Sign-off", "\n\n".join(literal(line) for line in standing(facts, around.signature))),
    )
    title = f"Recovery drill {literal(facts['ref'])}: {literal(facts['title'])}"
    return Document(title, tuple(_head(facts, around)), sections)


def standing(facts: Facts, signature: Signature | None) -> list[str]:
    """Who stands behind the report, in words."""
    own = f"SHA-256 of the facts of this report: {sha256_of(facts)}"
    if signature is None:
        return ["Nobody has signed this report.", own]
    signed = f"Signed by {signature.by} at {_moment(signature.at)}: {signature.statement}"
    if signature.sha256 == sha256_of(facts):
        return [signed, own]
    return [signed, f"SHA-256 that was signed: {signature.sha256}", own, _DIFFERS]


def _head(facts: Facts, around: Around) -> Iterable[tuple[str, str]]:
    yield "Outcome", facts["state"] or "it has not ended"
    yield "Why", literal(facts["reason"])
    yield "Plan", f"{literal(facts['plan'])}, {'hands-off' if facts['hands_off'] else 'step by step'}"
    yield "Cluster", f"{literal(facts['cluster'])} ({literal(facts['provider'])})"
    yield "Started", f"{_instant(facts['started_at'])} by {literal(facts['started_by'])}"
    yield "Ended", _instant(facts["ended_at"])
    yield "Run by", ", ".join(literal(one) for one in facts["backends"])
    none = "none: nothing was touched" if facts["state"] == DrillState.REFUSED.value else "none"
    yield "Incident", literal(around.incident) if around.incident else none


def _result(facts: Facts) -> str:
    return literal(facts["sentence"])


def _measured(facts: Facts) -> str:
    found = Recovered.model_validate(facts["measured"])
    if not facts["with_outage"]:
        return "The plan has no outage: there is no recovery time and no recovery point to measure."
    rows = [
        ("Recovery time (RTO)", _span(found.rto_ms), lengths.target(found.rto_target_seconds), _met(found.rto_met)),
        ("Recovery point (RPO)", _span(found.rpo_ms), lengths.target(found.rpo_target_seconds), _met(found.rpo_met)),
    ]
    counted = [
        ("Outage began", _moment(found.outage_began_at)),
        ("First write acknowledged after it", _moment(found.first_write_at)),
        ("Ledger checked", _moment(found.ledger_checked_at)),
        ("Markers acknowledged before the outage", _count(found.markers_acknowledged)),
        ("Markers of these that were lost", _count(found.markers_lost)),
        ("Transactions that only the old primary had", _count(found.transactions_lost)),
        ("Of these never acknowledged to anybody", _count(found.transactions_unacknowledged)),
    ]
    return (
        _table(("Objective", "Measured", "Target", "Met"), rows)
        + "\n\n"
        + _table(("What was counted", "Found"), counted)
    )


def _checks(facts: Facts) -> str:
    before, after = facts["before"], facts["after"]
    if before is None:
        return "Nobody looked at them: the drill ended before."
    later = {} if after is None else {check["name"]: check for check in after["checks"]}
    rows = [(literal(check["title"]), _check(check), _check(later.get(check["name"]))) for check in before["checks"]]
    return _table(("What has to be so", "Before", "After"), rows)


def _check(check: Facts | None) -> str:
    if check is None:
        return "not looked at"
    word = "ok" if check["ok"] else "not met" if check["blocking"] else "not met (does not keep a drill from starting)"
    return f"{word}: {literal(check['found'])}"


def _clusters(facts: Facts) -> str:
    return "\n\n".join(f"### {word}\n\n{_cluster(facts[word.lower()])}" for word in ("Before", "After"))


def _cluster(look: Facts | None) -> str:
    if look is None:
        return "Nobody looked."
    topology = look["topology"]
    mode = "synchronous" if topology["synchronous_mode"] else "asynchronous"
    said = f"Replication is {mode}{', and the cluster is paused' if topology['paused'] else ''}."
    problem = f" {literal(topology['problem'])}" if topology["problem"] else ""
    rows = [
        (
            literal(node["name"]), node["role"], literal(node["state"]) or _NONE, _or_none(node["timeline"]),
            "unknown" if node["lag_bytes"] is None else f"{node['lag_bytes']:,} bytes",
            "yes" if node["synchronous"] else "no",
        )
        for node in topology["nodes"]
    ]  # fmt: skip
    nodes = _table(("Node", "Role", "State", "Timeline", "Behind", "Commits wait for it"), rows) if rows else ""
    return f"{_instant(look['at'])}. {said}{problem}\n\n{nodes}".strip()


def _steps(facts: Facts) -> str:
    rows = [
        (
            str(step["number"]), literal(step["title"]), step["state"].replace("_", " "), _instant(step["started_at"]),
            _NONE if step["duration_ms"] is None else lengths.span(step["duration_ms"]),
            literal(step["by"]) or _NONE,
        )
        for step in facts["steps"]
    ]  # fmt: skip
    table = _table(("Step", "What", "Outcome", "Began", "Took", "By"), rows)
    return "\n\n".join([table, *(_step(step) for step in facts["steps"])])


def _step(step: Facts) -> str:
    told = [
        f"- **Passes when:** {literal(step['passes_when'])}",
        f"- **Found:** {literal(step['summary']) or 'nothing'}",
        f"- **Ended:** {_end(step)}",
        f"- **Evidence (SHA-256):** {step['evidence_sha256'] or 'none'}",
    ]
    return f"### Step {step['number']}: {literal(step['title'])}\n\n" + "\n".join(told)


def _end(step: Facts) -> str:
    if step["started_at"] is None:
        return "it was never begun"
    if step["ended_at"] is None:
        return "nobody knows: the backend that ran it did not come back"
    return f"{_instant(step['ended_at'])}; {lengths.target(step['timeout_seconds'])} were allowed"


def _rollback(facts: Facts) -> str:
    undone = [step for step in reversed(facts["steps"]) if step["undone"] is not None]
    if not undone:
        return "Nothing was rolled back."
    rows = [
        (
            str(step["number"]), literal(step["title"]), "undone" if step["undone"]["passed"] else "not undone",
            _instant(step["undone"]["at"]), literal(step["undone"]["summary"]), step["undone"]["evidence_sha256"],
        )
        for step in undone
    ]  # fmt: skip
    return _table(("Step", "What", "Outcome", "At", "Found", "Evidence (SHA-256)"), rows)


def _acts(facts: Facts) -> str:
    rows = [(_instant(act["at"]), literal(act["by"]), literal(act["did"]) + _unasked(act)) for act in facts["acts"]]
    return _table(("When", "Who", "What"), rows)


def _unasked(act: Facts) -> str:
    return " (the database could not be asked whether they may)" if act["by_token_alone"] else ""


def _findings(facts: Facts, kept: Sequence[FollowUp]) -> str:
    rows = [
        (literal(one.id), literal(one.text), literal(one.owner or "nobody"), str(one.due_on or _NONE), _done(one))
        for one in kept
    ]
    parts = [_table(("Action", "What", "Owner", "Due", "Done"), rows) if rows else "None has become an action."]
    if proposed := proposed_findings(facts):
        parts += ["### Proposed by the facts", _listed(proposed)]
    return "\n\n".join(parts)


def _done(one: FollowUp) -> str:
    if one.done_at is not None:
        return _moment(one.done_at)
    return "overdue" if one.overdue else "no"


# words


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    told = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in told)


def _listed(things: Sequence[str]) -> str:
    return "\n".join(f"- {literal(thing)}" for thing in things)


def _span(ms: int | None) -> str:
    return NOT_MEASURED if ms is None else lengths.span(ms)


def _count(found: int | None) -> str:
    return _NOT_COUNTED if found is None else f"{found:,}"


def _met(met: bool | None) -> str:  # noqa: FBT001  a figure of the wire
    return "unknown" if met is None else "yes" if met else "no"


def _or_none(value: Any) -> str:
    return _NONE if value is None else str(value)


def _instant(text: str | None) -> str:
    return _NONE if text is None else _moment(datetime.fromisoformat(text))


def _moment(at: datetime | None) -> str:
    """To the millisecond: a drill lasts seconds."""
    if at is None:
        return NOT_MEASURED
    return f"{at:%Y-%m-%d %H:%M:%S}.{at.microsecond // 1000:03d} UTC"
