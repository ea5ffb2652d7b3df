"""The part of the backend on paper that knows incidents, post-mortems and drafts."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
from pydantic import BaseModel

from contract.base import Page
from contract.incidents import (
    Evidence,
    FollowUp,
    Incident,
    IncidentStatus,
    Severity,
    TimelineEntry,
)
from contract.postmortem import (
    Draft,
    EditOutcome,
    ImportedReport,
    Postmortem,
    PostmortemState,
    ReportText,
    SectionAnswer,
)
from tests.console import incident_models as models
from tests.console.floor_models import NOW

Body = dict[str, Any]


def _json(model: BaseModel, status: int = 200) -> httpx.Response:
    return httpx.Response(status, content=model.model_dump_json(), headers={"content-type": "application/json"})


def _limit(body: Body) -> int:
    return int(body.get("limit", 500))


def _more(found: Sequence[object], body: Body) -> str | None:
    return "more" if len(found) > _limit(body) else None


def _is_in(one: FollowUp, state: str) -> bool:
    return state == "all" or bool(one.done_at) == (state == "done")


def _missing(what: str) -> httpx.Response:
    body = {"code": "not_found", "message": f"There is no {what}.", "hint": None, "request_id": "req-1"}
    return httpx.Response(404, json=body)


@dataclass
class IncidentPaper:
    """What it holds; tests change it."""

    items: list[Incident] = field(default_factory=models.incidents)
    lines: list[TimelineEntry] = field(default_factory=models.timeline)
    evidence: list[Evidence] = field(default_factory=lambda: [models.evidence()])
    follow_ups: list[FollowUp] = field(default_factory=models.follow_ups)
    postmortems: list[Postmortem] = field(default_factory=list)
    """Of the one incident, the newest last."""
    drafts: dict[str, Draft] = field(default_factory=dict)
    reports: list[ImportedReport] = field(default_factory=lambda: [models.report()])
    taken: dict[str, str] = field(default_factory=dict)
    """By idempotency key: the incident that was declared under it already."""
    conflict: str | None = None
    """What the next edit of a section is answered with: its text with both versions between marks."""
    merged: str | None = None
    """The text that the next edit of a section is merged to."""

    def answer(self, method: str, path: str, body: Body) -> httpx.Response | None:
        """The answer, or None where the path is somebody else's."""
        parts = path.split("/")[2:]
        match parts:
            case ["drafts", key]:
                return self._draft(method, key, body)
            case ["follow-ups"]:
                found = [one for one in self.follow_ups if _is_in(one, str(body.get("state", "open")))]
                return _json(Page[FollowUp](items=found[: _limit(body)], next_cursor=_more(found, body)))
            case ["incidents", "stats"]:
                return _json(models.stats(drills=bool(body.get("drills"))))
            case ["incidents"]:
                return self._list(method, body)
            case ["incidents", ident, *rest]:
                beside = {"templates": self._templates, "reports": self._reports}.get(ident)
                return beside(rest, body) if beside else self._one(method, ident, rest, body)
            case _:
                return None

    @staticmethod
    def _templates(_: list[str], __: Body) -> httpx.Response:
        return _json(models.templates())

    def _reports(self, rest: list[str], body: Body) -> httpx.Response:
        if rest:
            found = next(one for one in self.reports if one.id == rest[0])
            return _json(ReportText(report=found, text="# Pool\n\nThe *pool* had 20 connections.\n\n- restarted\n"))
        words = str(body.get("q", "")).lower()
        return _json(Page[ImportedReport](items=[one for one in self.reports if words in one.title.lower()]))

    def _list(self, method: str, body: Body) -> httpx.Response:
        if method == "POST" and body["idempotency_key"] in self.taken:
            return _json(next(one for one in self.items if one.id == self.taken[body["idempotency_key"]]))
        if method == "POST":
            wanted = {"title": body["title"], "severity": Severity(body["severity"]), "drill": body["drill"]}
            made = models.incident("INC-2026-015", commander=body["commander"], declared_at=NOW, **wanted)
            self.items = [made, *self.items]
            return _json(made)
        words = str(body.get("q", "")).lower()
        status = {str(body["status"])} if "status" in body else set(IncidentStatus)
        found = [one for one in self.items if words in one.title.lower() and one.status.value in status]
        return _json(Page[Incident](items=found[: _limit(body)], next_cursor=_more(found, body), total=len(found)))

    def _one(self, method: str, ident: str, rest: list[str], body: Body) -> httpx.Response:
        found = next((one for one in self.items if one.id == ident), None)
        if found is None:
            return _missing(f"incident {ident}")
        if rest and rest[0] in {"postmortem", "export"}:
            return self._postmortem(method, rest, body)
        if rest and rest[0] == "timeline":
            return self._timeline(method, rest, body)
        if rest and rest[0] == "evidence":
            return self._evidence(method, rest)
        if rest and rest[0] == "follow-ups":
            return self._follow_up(rest, body)
        if method != "GET":
            found = self._changed(found, rest, body)
        return _json(found)

    def _changed(self, found: Incident, rest: list[str], body: Body) -> Incident:
        """The incident after an act, and kept so."""
        acts: dict[str, Callable[[], Body]] = {
            "resolve": lambda: {"status": IncidentStatus.RESOLVED},
            "reopen": lambda: {"status": IncidentStatus.OPEN},
            "close": lambda: {"status": IncidentStatus.CLOSED},
            "steps/advance": lambda: {"step": body["step"], "steps": self._left(found)},
            "reports-sent": lambda: {"clocks": self._reported(found, body)},
            "steps/action": lambda: {"steps": self._ticked(found, body)},
        }
        update = acts.get("/".join(rest), lambda: {name: value for name, value in body.items() if name == "title"})()
        now = found.model_copy(update={**update, "version": found.version + 1})
        self.items = [now if one.id == now.id else one for one in self.items]
        return now

    @staticmethod
    def _left(found: Incident) -> list[Any]:
        return [one.model_copy(update={"done_at": NOW}) if one.name == found.step else one for one in found.steps]

    @staticmethod
    def _reported(found: Incident, body: Body) -> list[Any]:
        sent = {"done_at": NOW, "to": body["to"], "reference": body["reference"]}
        return [one.model_copy(update=sent) if one.name == body["report"] else one for one in found.clocks]

    @staticmethod
    def _ticked(found: Incident, body: Body) -> list[Any]:
        at = {"done_at": NOW, "done_by": "officer1"} if body["done"] else {"done_at": None, "done_by": None}
        return [
            step.model_copy(
                update={
                    "actions": [
                        one.model_copy(update=at) if one.number == body["number"] else one for one in step.actions
                    ]
                }
            )
            if step.name == body["step"]
            else step
            for step in found.steps
        ]

    def _timeline(self, method: str, rest: list[str], body: Body) -> httpx.Response:
        if method == "GET":
            start, limit = int(str(body.get("cursor") or 0)), int(str(body.get("limit") or 100))
            more = start + limit < len(self.lines)
            items = self.lines[start : start + limit]
            return _json(Page[TimelineEntry](items=items, next_cursor=str(start + limit) if more else None))
        corrects = rest[1] if len(rest) > 1 else None
        made = models.entry(
            len(self.lines) + 1, NOW, body["text"], actor="officer1", auto=False, kind="note", corrects=corrects
        )
        self.lines = [made, *self.lines]
        return _json(made)

    def _evidence(self, method: str, rest: list[str]) -> httpx.Response:
        if rest[-1] == "content":
            return httpx.Response(200, content=b"the log\n")
        if method == "GET":
            return _json(Page[Evidence](items=self.evidence))
        made = models.evidence(len(self.evidence) + 1, "attached")
        self.evidence = [made, *self.evidence]
        return _json(made)

    def _follow_up(self, rest: list[str], body: Body) -> httpx.Response:
        if len(rest) == 1:
            made = models.follow_up(len(self.follow_ups) + 1, text=body["text"], owner=body["owner"])
            self.follow_ups = [*self.follow_ups, made]
            return _json(made)
        found = next(one for one in self.follow_ups if str(one.number) == rest[1])
        done = {"done_at": NOW if body["done"] else None, "done_by": "officer1"} if "done" in body else {}
        now = found.model_copy(update={**{key: body[key] for key in ("text", "owner", "note") if key in body}, **done})
        self.follow_ups = [now if one.id == now.id else one for one in self.follow_ups]
        return _json(now)

    def _draft(self, method: str, key: str, body: Body) -> httpx.Response:
        if method == "PUT":
            self.drafts[key] = Draft(key=key, text=body["text"], base_version=body["base_version"], updated_at=NOW)
        if method == "DELETE":
            self.drafts.pop(key, None)
            return httpx.Response(204)
        return _json(self.drafts[key]) if key in self.drafts else _missing("draft")

    def _postmortem(self, method: str, rest: list[str], body: Body) -> httpx.Response:
        if rest == ["postmortem"] and method == "POST":
            number = len(self.postmortems) + 1
            self.postmortems.append(models.postmortem(version=number, versions=list(range(1, number + 1))))
        if not self.postmortems:
            return _missing("post-mortem")
        now = self.postmortems[-1]
        if rest == ["export"]:
            return httpx.Response(200, content=models.markdown(now))
        if method == "GET" and body.get("version"):
            return _json(self.postmortems[int(body["version"]) - 1])
        if rest[1:2] == ["sections"]:
            return self._section(rest[2], body)
        digest = hashlib.sha256(models.markdown(now)).hexdigest()
        acts: dict[str, Body] = {
            "submit": {"state": PostmortemState.REVIEW, "submitted_by": "officer1", "submitted_at": NOW},
            "send-back": {"state": PostmortemState.DRAFT, "sent_back_why": body.get("why")},
            "approve": {
                "state": PostmortemState.APPROVED, "approved_by": "officer1", "approved_at": NOW, "sha256": digest,
            },
        }  # fmt: skip
        self.postmortems[-1] = now.model_copy(update=acts.get(rest[-1], {}))
        return _json(self.postmortems[-1])

    def _section(self, key: str, body: Body) -> httpx.Response:
        now = self.postmortems[-1]
        part = next(one for one in now.sections if one.key == key)
        if self.conflict is not None:
            contested, self.conflict = self.conflict, None
            theirs = part.model_copy(update={"version": part.version + 1, "edited_by": "ana", "edited_at": NOW})
            return _json(SectionAnswer(outcome=EditOutcome.CONFLICT, section=theirs, conflict=contested))
        outcome = EditOutcome.SAVED if self.merged is None else EditOutcome.MERGED
        text, self.merged = self.merged or body["text"], None
        saved = part.model_copy(
            update={
                "unwritten": False,
                "text": text,
                "version": part.version + 1,
                "edited_by": "officer1",
                "edited_at": NOW,
            }
        )
        sections = [saved if one.key == key else one for one in now.sections]
        self.postmortems[-1] = now.model_copy(update={"sections": sections})
        return _json(SectionAnswer(outcome=outcome, section=saved))
