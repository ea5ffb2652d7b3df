"""Owns one method per backend route: typed arguments in, contract models out. No rule and no screen lives here."""

import json
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Final, Self, TypeVar
from urllib.parse import quote

import httpx
from pydantic import BaseModel

from console.client.errors import NotUnderstood
from console.client.exchange import Exchange, Query
from console.client.touch import Touch
from console.client.transport import failures_named, open_http, parsed, refuse_unless_success
from console.client.unanswered import Notes, send
from contract.alerts import AcknowledgeRequest, Alert
from contract.audit import AuditEntry, AuditPage, RelatedBy, SavedSearch, SavedSearches
from contract.auth import WhoAmI
from contract.base import Page
from contract.executors import Executor
from contract.freeze import BlastRadius, Freeze, FreezeList, FreezeRequest, ThawApproval, ThawRequest
from contract.heads import LedgerHeads, LedgerKeys, Readiness
from contract.overview import ComplianceMetrics, Overview, Status
from contract.presence import PRESENT, PRESENT_HEADER
from contract.privacy import Revealed, RevealRequest
from contract.risk import RiskSnapshot
from contract.scope import Scope
from contract.transactions import BatchRequest, ImportOpened, ImportResult, ImportStart, Transaction
from contract.verification import EntryProof, Verification, VerificationRequest

M = TypeVar("M", bound=BaseModel)

_COMMIT_TIMEOUT_S: Final = 120.0
"""Storing a large file is one transaction."""
_LOGIN_TIMEOUT_S: Final = 15.0
"""Checking a password is slow on purpose, and many may log in at once during an emergency."""


class Api(Exchange):
    """A connection to one backend, signed in with one token or with none."""

    def __init__(
        self,
        url: str,
        token: str | None = None,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        present: bool = False,
    ) -> None:
        """Prepare a client; nothing is sent yet. `present`: a person has just asked for the first thing that it asks.

        Raises:
            AddressRefused: not an address, or plain HTTP to another machine.
        """
        self.url = url
        self.signed_in = bool(token)
        self.touch: Touch | None = None
        """How to reach the hardware key of whoever sits here."""
        self.notes: Notes | None = None
        """Where freezes are noted while they have no answer."""
        self._present = present
        self._http = open_http(url, token, transport)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End the connections."""
        if self.notes is not None:
            await self.notes.forgotten()
        await self._http.aclose()

    # sign-in

    async def sign_in(self, path: str, model: type[M], body: BaseModel) -> M:
        """Show something of oneself: see `console.client.signing_in`. This client itself stays as it is."""
        return await self._post(f"/v1/auth/{path}", model, body, timeout_s=_LOGIN_TIMEOUT_S)

    async def logout(self) -> None:
        """End the session of the token."""
        await self._send("POST", "/v1/auth/logout")

    async def whoami(self) -> WhoAmI:
        """Who the token belongs to and what it may do."""
        return await self._get("/v1/auth/whoami", WhoAmI)

    async def present(self) -> WhoAmI:
        """Say that a person is there; the answer tells how long the session stays open."""
        self._present = True
        return await self.whoami()

    # what is going on

    async def overview(self, *, timeout_s: float | None = None) -> Overview:
        """Everything the first screen shows."""
        return await self._get("/v1/overview", Overview, timeout_s=timeout_s)

    async def status(self) -> Status:
        """One line's worth of the overview."""
        return await self._get("/v1/status", Status)

    async def risk(self) -> RiskSnapshot:
        """The latest assessment."""
        return await self._get("/v1/risk", RiskSnapshot)

    async def compliance_metrics(self) -> ComplianceMetrics:
        """The dashboard body of the compliance document."""
        return await self._get("/api/compliance/metrics", ComplianceMetrics)

    async def executors(self, *, limit: int | None = None, cursor: str | None = None, **where: str) -> Page[Executor]:
        """Executors by name, optionally only those of a `chain`, `strategy` or `state`."""
        return await self._get("/v1/executors", Page[Executor], {"limit": limit, "cursor": cursor, **where})

    # alerts

    async def alerts(
        self, *, limit: int | None = None, cursor: str | None = None, **where: str | Sequence[str]
    ) -> Page[Alert]:
        """Alerts, newest first; `where` names `status`, `severity` (one or several), `rule` and `scope`."""
        return await self._get("/v1/alerts", Page[Alert], {"limit": limit, "cursor": cursor, **where})

    async def alert(self, ident: str) -> Alert:
        """One alert."""
        return await self._get(f"/v1/alerts/{_part(ident)}", Alert)

    async def acknowledge(self, ident: str, comment: str = "") -> Alert:
        """Say that the caller has seen an alert."""
        return await self._post(f"/v1/alerts/{_part(ident)}/acknowledge", Alert, AcknowledgeRequest(comment=comment))

    # freezes

    async def blast_radius(self, scope: Scope) -> BlastRadius:
        """What a freeze of the scope would stop."""
        return await self._get("/v1/freezes/preview", BlastRadius, {"scope": str(scope)})

    async def freeze(self, request: FreezeRequest) -> Freeze:
        """Stop a scope; sent again under the same key if the line drops before the answer."""
        if not request.idempotency_key:
            request = request.model_copy(update={"idempotency_key": new_idempotency_key()})
        return await send(self.notes, request, lambda: self._post("/v1/freezes", Freeze, request))

    async def freezes(
        self,
        *,
        status: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
        timeout_s: float | None = None,
    ) -> FreezeList:
        """Freezes, newest first; only those that the backend has latched while it cannot read its database."""
        query = {"status": status, "limit": limit, "cursor": cursor}
        return await self._get("/v1/freezes", FreezeList, query, timeout_s=timeout_s)

    async def freeze_detail(self, ident: str) -> Freeze:
        """One freeze with the answer of every executor it covers; takes the id or the reference."""
        return await self._get(f"/v1/freezes/{_part(ident)}", Freeze)

    async def request_thaw(self, ident: str, reason: str) -> Freeze:
        """Ask for a freeze to be lifted."""
        return await self._post(f"/v1/freezes/{_part(ident)}/thaw", Freeze, ThawRequest(reason=reason))

    async def approve_thaw(self, ident: str, *, digest: str, version: int | None = None) -> Freeze:
        """Lift a freeze as the second person; `digest` and `version` are those on the screen."""
        approval = ThawApproval(version=version, digest=digest)
        return await self._post(f"/v1/freezes/{_part(ident)}/thaw/approve", Freeze, approval)

    async def withdraw_thaw(self, ident: str) -> Freeze:
        """Take back or turn down a requested thaw; the freeze stays."""
        return await self._post(f"/v1/freezes/{_part(ident)}/thaw/withdraw", Freeze)

    # audit

    async def audit(self, *, limit: int | None = None, cursor: str | None = None, **where: str) -> AuditPage:
        """Audit entries, newest first; filters are named as in the route's documentation."""
        return await self._get("/v1/audit", AuditPage, {"limit": limit, "cursor": cursor, **where})

    async def audit_related(
        self, ident: str, by: RelatedBy, *, limit: int | None = None, cursor: str | None = None, **where: str
    ) -> AuditPage:
        """Audit entries that share actor, request, resource or incident with one, newest first."""
        query = {"by": by.value, "limit": limit, "cursor": cursor, **where}
        return await self._get(f"/v1/audit/{_part(ident)}/related", AuditPage, query)

    async def audit_entry(self, ident: str) -> AuditEntry:
        """One audit entry."""
        return await self._get(f"/v1/audit/{_part(ident)}", AuditEntry)

    async def reveal(self, ident: str, request: RevealRequest) -> Revealed:
        """Open the sealed values of one entry; that it was done is recorded."""
        return await self._post(f"/v1/audit/{_part(ident)}/reveal", Revealed, request)

    async def saved_searches(self) -> SavedSearches:
        """The caller's saved searches."""
        return await self._get("/v1/audit/saved", SavedSearches)

    async def save_search(self, name: str, where: Mapping[str, str]) -> SavedSearch:
        """Keep a search under a name, in place of the caller's own of that name."""
        kept = await self._send("PUT", f"/v1/audit/saved/{_part(name)}", content=json.dumps(dict(where)).encode())
        return parsed(self.url, SavedSearch, kept)

    async def forget_search(self, name: str) -> None:
        """Delete one of the caller's saved searches."""
        await self._send("DELETE", f"/v1/audit/saved/{_part(name)}")

    async def verify_ledger(self, wanted: VerificationRequest) -> Verification:
        """Ask for a verification of the ledger, or join the one under way."""
        return await self._post("/v1/ledger/verifications", Verification, wanted)

    async def verification(self, ident: str) -> Verification:
        """How far a verification is, or how it ended."""
        return await self._get(f"/v1/ledger/verifications/{_part(ident)}", Verification)

    async def proof(self, ident: str) -> EntryProof:
        """What shows, without the backend, that an entry is in the ledger."""
        return await self._get(f"/v1/ledger/entries/{_part(ident)}/proof", EntryProof)

    async def verifications(self, *, limit: int | None = None) -> Page[Verification]:
        """The newest verifications first, one under way among them."""
        return await self._get("/v1/ledger/verifications", Page[Verification], {"limit": limit})

    async def ledger_keys(self) -> LedgerKeys:
        """The keys that sign the ledger's heads."""
        return await self._get("/v1/ledger/keys", LedgerKeys)

    async def readiness(self) -> Readiness:
        """How the backend's write path does; public like every probe."""
        return await self._get("/readyz", Readiness)

    async def ledger_heads(self) -> LedgerHeads:
        """How far the ledger is signed and witnessed."""
        return await self._get("/v1/ledger/heads", LedgerHeads)

    # what other modules of `console.client` ask: personal data, retention, drills, access, sessions, tokens

    async def ask(self, path: str, model: type[M], query: Query | None = None) -> M:
        """Read something of which another module knows the route."""
        return await self._get(f"/v1/{path}", model, query)

    async def act(self, path: str, model: type[M], body: BaseModel | None = None) -> M:
        """Do something of which another module knows the route."""
        return await self._post(f"/v1/{path}", model, body)

    async def take_away(self, path: str, model: type[M], query: Query | None = None) -> M:
        """End something of which another module knows the route."""
        return parsed(self.url, model, await self._send("DELETE", f"/v1/{path}", query=query))

    # transactions

    async def transactions(
        self, *, limit: int | None = None, cursor: str | None = None, **where: str
    ) -> Page[Transaction]:
        """Stored trades, newest first."""
        return await self._get("/v1/transactions", Page[Transaction], {"limit": limit, "cursor": cursor, **where})

    async def store(self, batch: BatchRequest) -> ImportResult:
        """Store a batch: all of it or nothing."""
        return await self._post("/v1/transactions", ImportResult, batch)

    async def open_import(self, start: ImportStart) -> ImportOpened:
        """Open a file import."""
        return await self._post("/v1/imports", ImportOpened, start)

    async def stage(self, import_id: str, rows_json: bytes) -> ImportResult:
        """Stage a chunk of parsed lines, already encoded as a `StageRequest`: encoding is the importer's hot path."""
        path = f"/v1/imports/{_part(import_id)}/rows"
        return parsed(self.url, ImportResult, await self._send("POST", path, content=rows_json))

    async def commit_import(self, import_id: str, *, skip_bad: bool = False) -> ImportResult:
        """Store all staged lines in one transaction."""
        path = f"/v1/imports/{_part(import_id)}/commit"
        query = {"skip_bad": "true" if skip_bad else None}
        return parsed(self.url, ImportResult, await self._send("POST", path, query=query, timeout_s=_COMMIT_TIMEOUT_S))

    # the stream

    @asynccontextmanager
    async def stream(self, *, after: int | None, silence_s: float) -> AsyncIterator[AsyncIterator[bytes]]:
        """Open the event stream after an event; yields its bytes, and fails after `silence_s` without any.

        Raises:
            ApiError: the backend refused.
            NotUnderstood: something answered that is no event stream.
            Unreachable: no connection, or it broke, or it fell silent.
        """
        headers = {"accept": "text/event-stream", "accept-encoding": "identity"}
        if after is not None:
            headers["last-event-id"] = str(after)
        timeout = httpx.Timeout(silence_s, read=silence_s)
        async with (
            failures_named(self.url),
            self._http.stream("GET", "/v1/stream", headers=headers, timeout=timeout) as answer,
        ):
            if not answer.is_success:
                await answer.aread()
                refuse_unless_success(self.url, answer)
            if not answer.headers.get("content-type", "").startswith("text/event-stream"):
                raise NotUnderstood(f"{self.url} gives no event stream.", "A proxy in between may not allow it.")
            yield answer.aiter_raw()

    # how all of them travel

    async def _get(self, path: str, model: type[M], query: Query | None = None, *, timeout_s: float | None = None) -> M:
        return parsed(self.url, model, await self._send("GET", path, query=query, timeout_s=timeout_s))

    async def _post(
        self, path: str, model: type[M], body: BaseModel | None = None, *, timeout_s: float | None = None
    ) -> M:
        content = body.model_dump_json().encode() if body is not None else None
        return parsed(self.url, model, await self._send("POST", path, content=content, timeout_s=timeout_s))

    async def _send(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        content: bytes | None = None,
        media_type: str = "application/json",
        timeout_s: float | None = None,
    ) -> bytes:
        params = {name: value for name, value in (query or {}).items() if value}
        headers = {} if content is None else {"content-type": media_type}
        if self._present:
            headers[PRESENT_HEADER], self._present = PRESENT, False
        timeout = (
            self._http.timeout if timeout_s is None else httpx.Timeout(timeout_s, connect=self._http.timeout.connect)
        )
        async with failures_named(self.url):
            answer = await self._http.request(
                method, path, params=params, content=content, headers=headers, timeout=timeout
            )
        refuse_unless_success(self.url, answer)
        return answer.content


def new_idempotency_key() -> str:
    """A key that makes a repeated request the same request."""
    return secrets.token_hex(16)


def _part(ident: str) -> str:
    """One path segment: an id typed by a person must not reach another route."""
    return quote(ident, safe="") if ident not in {".", ".."} else "%2E" * len(ident)
