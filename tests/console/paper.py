"""A backend on paper: answers the client's requests from contract models, through httpx's own transport seam."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import httpx
from pydantic import BaseModel

from contract.alert_work import AlertEvent
from contract.alerts import Alert, AlertStatus
from contract.audit import AuditEntry, AuditPage, SavedSearch, SavedSearches
from contract.auth import LoginAnswer, WhoAmI
from contract.base import Page
from contract.freeze import BlastRadius, Freeze, FreezeList, FreezeStatus, LatchedFreezes
from contract.freeze_drills import FreezeDrill
from contract.heads import LedgerHeads, Readiness
from contract.overview import Overview
from contract.permissions import Permission
from contract.privacy import Erasure, ErasureStatus, LegalHold, LegalHoldState
from contract.scope import Scope
from contract.stream import Topic
from contract.verification import Verification
from tests.console import drill_models, ledger_models
from tests.console import floor_models as models
from tests.console.incident_paper import IncidentPaper
from tests.console.notification_paper import NotificationPaper
from tests.console.recovery_paper import RecoveryPaper

Answer = httpx.Response


class _Events(httpx.AsyncByteStream):
    def __init__(self, queue: "asyncio.Queue[bytes | None]") -> None:
        self._queue = queue

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while (chunk := await self._queue.get()) is not None:
            yield chunk


@dataclass
class Holding:
    """Answers that are held back."""

    held: dict[str, asyncio.Event] = field(default_factory=dict)
    """By "METHOD path": what is answered only once it is let go."""

    def hold(self, key: str) -> None:
        """Take "METHOD path" in without answering."""
        self.held[key] = asyncio.Event()

    async def held_back(self, key: str) -> None:
        """Wait until it is let go, if it is held."""
        if key in self.held:
            await self.held[key].wait()

    def let_go(self) -> None:
        """Answer what was held."""
        for event in self.held.values():
            event.set()


@dataclass
class Paper(Holding):
    """What the backend says, and what it was asked."""

    overview: Overview = field(default_factory=models.overview)
    role: str = "compliance_officer"
    permissions: frozenset[Permission] = frozenset(Permission)
    freezes: dict[str, Freeze] = field(default_factory=lambda: {"freeze-1": models.freeze()})
    alerts: list[Alert] = field(default_factory=models.alerts)
    entries: list[AuditEntry] = field(default_factory=models.entries)
    drills: list[FreezeDrill] = field(default_factory=drill_models.history)
    erasures: list[Erasure] = field(default_factory=ledger_models.erasures)
    legal_holds: list[LegalHold] = field(default_factory=ledger_models.legal_holds)
    incidents: IncidentPaper = field(default_factory=IncidentPaper)
    recovery: RecoveryPaper = field(default_factory=RecoveryPaper)
    notifications: NotificationPaper = field(default_factory=NotificationPaper)
    keeping: int = 0
    """Legal holds that keep the person whose erasure is looked at."""
    saved: dict[str, SavedSearch] = field(default_factory=dict)
    back_to: datetime | None = None
    """Down to when a page of the audit log is complete; None when its time suffices."""
    time_rows: int | None = None
    """How many entries are found before that time is up; None for as many as were asked for."""
    heads: LedgerHeads = field(default_factory=ledger_models.heads)
    readiness: Readiness = field(default_factory=ledger_models.readiness)
    verifications: list[Verification] = field(default_factory=ledger_models.history)
    asked: list[tuple[str, str, dict[str, object]]] = field(default_factory=list)
    refuse: dict[str, httpx.Response | Exception] = field(default_factory=dict)
    """By "METHOD path": what to answer instead."""
    signed_in: bool = True
    up: bool = True
    database_up: bool = True  # without it only what is latched can be told
    _queues: list["asyncio.Queue[bytes | None]"] = field(default_factory=list)
    _event: int = 100

    def posted(self, path: str) -> list[dict[str, object]]:
        """The bodies that were posted to one path."""
        return [body for method, asked, body in self.asked if (method, asked) == ("POST", path)]

    def acts_below(self, path: str) -> list[tuple[str, dict[str, object]]]:
        """What was posted to a path and those below it; a preview does nothing and is none."""
        return [
            (asked, body)
            for method, asked, body in self.asked
            if method == "POST" and asked.startswith(path) and not asked.endswith("/preview")
        ]

    def transport(self) -> httpx.MockTransport:
        """What an `Api` talks to."""
        return httpx.MockTransport(self._handle)

    def emit(self, topic: Topic, model: BaseModel) -> None:
        """Send one event to every open stream."""
        self._event += 1
        self._send(f"id: {self._event}\nevent: {topic}\ndata: {model.model_dump_json()}\n\n")

    def beat(self) -> None:
        """A sign of life."""
        self._send(f'event: beat\ndata: {{"at": "{models.NOW.isoformat()}"}}\n\n')

    def drop(self) -> None:
        """End every stream and refuse new ones."""
        self.up = False
        self.end_streams()

    def end_streams(self) -> None:
        """End every stream; new ones are opened as before."""
        for queue in self._queues:
            queue.put_nowait(None)
        self._queues.clear()

    def tell_latched(self, *holds: Freeze) -> None:
        """Say to every open stream what the backend has latched."""
        self._send(f"event: latched\ndata: {LatchedFreezes(items=list(holds)).model_dump_json()}\n\n")

    def _send(self, text: str) -> None:
        for queue in self._queues:
            queue.put_nowait(text.encode())

    async def _handle(self, request: httpx.Request) -> httpx.Response:
        if not self.up:
            raise httpx.ConnectError("Connection refused")
        path = request.url.path
        is_json = request.headers.get("content-type") == "application/json"
        body = json.loads(request.content) if request.content and is_json else dict(request.url.params)
        self.asked.append((request.method, path, body))
        key = f"{request.method} {path}"
        await self.held_back(key)
        if key in self.refuse:
            planned = self.refuse[key]
            if isinstance(planned, Exception):
                raise planned
            return planned
        if path == "/v1/stream" and self.database_up:
            queue: asyncio.Queue[bytes | None] = asyncio.Queue()
            self._queues.append(queue)
            self.beat()
            return httpx.Response(200, headers={"content-type": "text/event-stream"}, stream=_Events(queue))
        return self._answer(request.method, path, body)

    def _answer(self, method: str, path: str, body: dict[str, object]) -> httpx.Response:
        if path == "/v1/auth/login":
            self.signed_in = True
            return _json(LoginAnswer(token="t" * 20, expires_at=models.NOW + timedelta(hours=8)))
        if not self.signed_in:
            return refusal(401, "not_authenticated", "Your session has ended.", "Log in again.")
        parts = (self.recovery, self.incidents, self.notifications) if self.database_up else (self.recovery,)
        if told := next(filter(None, (part.answer(method, path, body) for part in parts)), None):
            return told
        if not self.database_up and not path.startswith("/v1/freezes"):
            return refusal(503, "unavailable", "The database is not answering.")
        routes: dict[str, Callable[[], httpx.Response]] = {
            "/v1/auth/whoami": lambda: _json(WhoAmI(username="officer1", role=self.role, permissions=self.permissions)),
            "/v1/auth/logout": lambda: httpx.Response(204),
            "/v1/overview": lambda: _json(self.overview),
            "/v1/alerts": lambda: self._alerts_page(body),
            "/v1/audit": lambda: self._audit_page(body),
            "/v1/audit/export": lambda: httpx.Response(200, content=b'{"id":"e-0"}\n' * 3),
            "/v1/audit/saved": lambda: _json(SavedSearches(items=list(self.saved.values()))),
            "/v1/ledger/heads": lambda: _json(self.heads),
            "/readyz": lambda: _json(self.readiness),
            "/v1/ledger/retention": lambda: _json(ledger_models.retention()),
            "/v1/ledger/verifications": lambda: self._verify(method, body),
            "/v1/freezes/preview": lambda: _json(self.blast(str(body["scope"]))),
        }
        if path in routes:
            return routes[path]()
        of_one: dict[str, Callable[[], httpx.Response]] = {
            "/v1/privacy/erasures": lambda: self._erasure(method, path, body),
            "/v1/privacy/legal-holds": lambda: self._legal_hold(method, path, body),
            "/v1/alerts/": lambda: self._one_alert(method, path),
            "/v1/audit/": lambda: self._one_entry(method, path, body),
            "/v1/ledger/": lambda: self._one_entry(method, path, body),
            "/v1/freezes/drills": lambda: self._drill(method, path, body),
            "/v1/freezes": lambda: self._one_freeze(method, path, body),
        }
        return next(answer for start, answer in of_one.items() if path.startswith(start))()

    def blast(self, scope: str) -> BlastRadius:
        """What a freeze would stop."""
        parsed = Scope.parse(scope)
        hit = [
            one
            for one in self.overview.executors
            if parsed.covers(chain=one.chain, strategy=one.strategy, wallet=one.wallet, executor=one.name)
        ]
        trading = [one for one in hit if one.state == "trading"]
        return BlastRadius(
            scope=parsed,
            executors=len(hit),
            trading=len(trading),
            open_orders=sum(one.open_orders or 0 for one in hit),
            in_flight=sum(one.in_flight or 0 for one in hit),
            position_eth=sum((one.position_eth or 0 for one in hit), start=models.measures()[0].limit * 0),
            already_frozen=len(hit) - len(trading),
            executor_names=[one.name for one in hit][:50],
            computed_at=models.NOW,
        )

    def _alerts_page(self, query: dict[str, object]) -> httpx.Response:
        start = int(str(query.get("cursor") or 0))
        limit = int(str(query.get("limit") or 100))
        chosen = [one for one in self.alerts if query.get("status") in {None, one.status}]
        more = start + limit < len(chosen)
        return _json(
            Page[Alert](
                items=chosen[start : start + limit], next_cursor=str(start + limit) if more else None, total=len(chosen)
            )
        )

    def _audit_page(self, query: dict[str, object]) -> httpx.Response:
        start = int(str(query.get("cursor") or 0))
        limit = int(str(query.get("limit") or 100))
        limit = limit if self.time_rows is None else self.time_rows
        more = start + limit < len(self.entries)
        return _json(
            AuditPage(
                items=self.entries[start : start + limit],
                next_cursor=str(start + limit) if more else None,
                total=len(self.entries),
                unfinished=self.back_to is not None and more,
                searched_back_to=self.back_to if more else None,
            )
        )

    def _one_entry(self, method: str, path: str, body: dict[str, object]) -> httpx.Response:
        """What is asked about one entry, and the saved searches."""
        parts = path.split("/")
        if parts[3] == "saved":
            if method == "DELETE":
                del self.saved[parts[4]]
                return httpx.Response(204)
            filters = {name: str(value) for name, value in body.items()}
            self.saved[parts[4]] = SavedSearch(name=parts[4], filters=filters, saved_at=models.NOW)
            return _json(self.saved[parts[4]])
        if parts[-1] == "related":
            return self._audit_page(body)
        if parts[-1] == "proof":
            return _json(ledger_models.proof())
        if parts[-1] == "reveal":
            return _json(ledger_models.revealed(parts[3]))
        return _json(models.entry(parts[3]))

    def _erasure(self, method: str, path: str, body: dict[str, object]) -> httpx.Response:
        parts = path.split("/")
        if method == "GET":
            return _json(_first(self.erasures, int(str(body["limit"]))))
        if parts[-1] == "preview":
            return _json(ledger_models.preview(str(body["subject"]), legal_holds=self.keeping))
        if parts[-1] == "erasures":
            made = ledger_models.erasure("erasure-9", subject=str(body["subject"]), reason=body["reason"])
            self.erasures = [made, *self.erasures]
            return _json(made)
        decided = ErasureStatus.ERASED if parts[-1] == "approve" else ErasureStatus.WITHDRAWN
        values = 812 if parts[-1] == "approve" else None
        found = next(one for one in self.erasures if one.id == parts[4])
        now = {"status": decided, "decided_by": "officer1", "decided_at": models.NOW, "values_erased": values}
        gone = found.model_copy(update=now)
        self.erasures = [gone if one.id == gone.id else one for one in self.erasures]
        return _json(gone)

    def _legal_hold(self, method: str, path: str, body: dict[str, object]) -> httpx.Response:
        parts = path.split("/")
        if len(parts) == 4 and method == "GET":
            lifted = body.get("lifted") == "true"
            shown = [one for one in self.legal_holds if lifted or one.state is not LegalHoldState.LIFTED]
            return _json(Page[LegalHold](items=shown))
        if len(parts) == 4:
            made = ledger_models.legal_hold("hold-9", **body, placed_by="officer1", placed_at=models.NOW)
            self.legal_holds = [made, *self.legal_holds]
            return _json(made)
        found = next(one for one in self.legal_holds if one.id == parts[4])
        if method == "GET":
            return _json(found.model_copy(update={"reach": ledger_models.reach(found)}))
        done: dict[str, object] = (
            {"state": LegalHoldState.LIFTED, "lifted_by": "officer1", "lifted_at": models.NOW}
            if parts[-1] == "approve"
            else {"state": LegalHoldState.LIFT_REQUESTED, "lift_reason": body["reason"]}
            | {"lift_requested_by": "officer1", "lift_requested_at": models.NOW}
        )
        now = found.model_copy(update=done)
        self.legal_holds = [now if one.id == now.id else one for one in self.legal_holds]
        return _json(now)

    def _verify(self, method: str, body: dict[str, object]) -> httpx.Response:
        if method == "GET":
            return _json(Page[Verification](items=self.verifications))
        running = next((one for one in self.verifications if one.state in {"waiting", "running"}), None)
        if running is None:
            running = ledger_models.running(0, full=bool(body.get("full")))
            self.verifications = [running, *self.verifications]
        return _json(running)

    def _one_alert(self, method: str, path: str) -> httpx.Response:
        if path.endswith("/events"):
            return _json(Page[AlertEvent](items=[]))
        ident = path.split("/")[3]
        found = next((one for one in self.alerts if one.id == ident), None)
        if found is None:
            return refusal(404, "not_found", f"There is no alert {ident}.")
        if method == "POST":
            found = found.model_copy(
                update={
                    "status": AlertStatus.CLEARED if "clears_on" in found.facts else AlertStatus.ACKNOWLEDGED,
                    "acknowledged_by": "officer1",
                    "acknowledged_at": models.NOW,
                }
            )
            self.emit(Topic.ALERT, found)
        return _json(found)

    def _drill(self, method: str, path: str, body: dict[str, object]) -> httpx.Response:
        parts = path.split("/")
        if len(parts) == 4 and method == "GET":
            return _json(drill_models.told(self.drills))
        if len(parts) == 4:
            scope = str(Scope.model_validate(body["scopes"][0]))  # type: ignore[index]
            made = drill_models.drill(len(self.drills) + 1, scope=scope, reason=str(body["reason"]), minutes=0)
            self.drills = [made, *self.drills]
            return _json(made)
        found = next((one for one in self.drills if parts[4] in {one.id, one.ref}), None)
        if found is None:
            return refusal(404, "not_found", f"There is no freeze drill {parts[4]}.")
        return _json(drill_models.evidence(found) if parts[-1] == "evidence" else found)

    def _one_freeze(self, method: str, path: str, body: dict[str, object]) -> httpx.Response:
        parts = path.split("/")
        if len(parts) == 3:
            if method == "GET":
                waiting = [one for one in self.freezes.values() if one.status is FreezeStatus.LATCHED]
                if self.database_up:
                    return _json(FreezeList(items=list(self.freezes.values())))
                return _json(FreezeList(items=waiting, partial="The database cannot be read."))
            blast = self.blast(str(Scope.model_validate(body["scope"])))
            made = models.freeze("freeze-2", scope=str(blast.scope), covered=blast.executors, halted=0)
            made = made.model_copy(update={"ref": "FRZ-0032", "reason": body["reason"], "created_at": models.NOW})
            self.freezes[made.id] = made
            self.emit(Topic.FREEZE, made.model_copy(update={"proofs": []}))
            return _json(made)
        found = next((one for one in self.freezes.values() if parts[3] in {one.id, one.ref}), None)
        return _json(found) if found else refusal(404, "not_found", f"There is no freeze {parts[3]}.")


def _first(known: list[Erasure], limit: int) -> Page[Erasure]:
    return Page(items=known[:limit], next_cursor="more" if len(known) > limit else None)


def _json(model: BaseModel) -> httpx.Response:
    return httpx.Response(200, content=model.model_dump_json(), headers={"content-type": "application/json"})


def refusal(status: int, code: str, message: str, hint: str | None = None) -> httpx.Response:
    """An error envelope."""
    return httpx.Response(status, json={"code": code, "message": message, "hint": hint, "request_id": "req-1"})
