"""The part of the backend on paper that knows recovery drills and backups."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
from pydantic import BaseModel

from contract.incidents import FollowUp
from contract.recovery import (
    BackupMatrix,
    DrillHistory,
    DrillReport,
    DryRun,
    RecoveryDrill,
    Schedule,
    Topology,
)
from contract.recovery_states import DrillState, StepState
from tests.console import recovery_models as models
from tests.console.floor_models import NOW

Body = dict[str, Any]


def _json(model: BaseModel, status: int = 200) -> httpx.Response:
    return httpx.Response(status, content=model.model_dump_json(), headers={"content-type": "application/json"})


@dataclass
class RecoveryPaper:
    """What it holds; tests change it."""

    drills: list[RecoveryDrill] = field(default_factory=lambda: [models.signed()])
    topology: Topology = field(default_factory=models.topology)
    dry_run: Callable[[str], DryRun] = models.dry_run
    matrix: BackupMatrix = field(default_factory=models.backups)
    due_in_days: int = 60

    @property
    def history(self) -> DrillHistory:
        """All drills."""
        return models.history(*self.drills, due_in_days=self.due_in_days)

    @property
    def schedule(self) -> Schedule:
        """When the next is due."""
        return self.history.schedule

    def answer(self, method: str, path: str, body: Body) -> httpx.Response | None:  # noqa: PLR0911  one a route
        """The answer, or None where the path is somebody else's."""
        match (method, path.split("/")[2:]):
            case ("GET", ["recovery", "plans"]):
                return _json(models.plans())
            case ("GET", ["recovery", "plans", name, "dry-run"]):
                return _json(self.dry_run(name))
            case ("GET", ["recovery", "cluster"]):
                return _json(self.topology)
            case ("GET", ["recovery", "backups"]):
                return _json(self.matrix)
            case ("POST", ["recovery", "backups", "check"]):
                return _json(next(one for one in self.matrix.rows if one.data == body["data"]), 202)
            case (_, ["recovery", "drills"]):
                return self._start(body) if method == "POST" else _json(self.history)
            case (_, ["recovery", "drills", ref, *rest]):
                return self._one(method, ref, rest, body)
            case _:
                return None

    def _start(self, body: Body) -> httpx.Response:
        made = models.waiting().model_copy(update={"hands_off": body["hands_off"], "ref": "DR-TEST-20261121-2"})
        self.drills = [made, *self.drills]
        return _json(made, 201)

    def _one(  # noqa: PLR0911  one a route
        self, method: str, ref: str, rest: list[str], body: Body
    ) -> httpx.Response | None:
        found = next((one for one in self.drills if one.ref == ref), None)
        if found is None:
            envelope = {"code": "not_found", "message": f"There is no recovery drill {ref}.", "request_id": "req-1"}
            return httpx.Response(404, json=envelope)
        match (method, rest):
            case ("GET", []):
                return _json(found)
            case ("GET", ["report"]):
                return _json(_report(found, str(body.get("format"))))
            case ("GET", ["report.pdf"]):
                return httpx.Response(200, content=b"%PDF-1.7")
            case ("POST", ["step"]):
                return self._put(_went_on(found, int(body["number"])))
            case ("POST", ["abort"]):
                return self._put(found.model_copy(update={"state": DrillState.ROLLING_BACK, "version": 21}))
            case ("POST", ["sign"]):
                return self._put(found.model_copy(update={"signed_by": "officer1", "signed_at": NOW}))
            case ("POST", ["findings"]):
                told = {"text": body["action"], "owner": body["owner"], "due_on": body["due"]}
                ids = {"id": "f-1", "incident": "INC-2026-015", "number": 1}
                return _json(FollowUp(created_by="officer1", created_at=NOW, **ids, **told), 201)
            case _:
                return None

    def _put(self, drill: RecoveryDrill) -> httpx.Response:
        self.drills = [drill if one.ref == drill.ref else one for one in self.drills]
        return _json(drill)


def _went_on(drill: RecoveryDrill, number: int) -> RecoveryDrill:
    began = {"state": StepState.RUNNING, "waits_for": "", "started_at": NOW}
    steps = [one.model_copy(update=began) if one.number == number else one for one in drill.steps]
    sentence = f"Step {number} of 5 is at work."
    return drill.model_copy(
        update={"steps": steps, "state": DrillState.RUNNING, "sentence": sentence, "version": drill.version + 1}
    )


def _report(drill: RecoveryDrill, form: str) -> DrillReport:
    text = f"# Recovery drill {drill.ref}\n\n{drill.sentence}\n" if form == "md" else "{}"
    return DrillReport(
        ref=drill.ref, format=form, text=text, sha256=models.SHA, signed_by=drill.signed_by, signed_at=drill.signed_at
    )
