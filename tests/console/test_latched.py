"""What people see of a freeze that the database has not taken: that it holds, where, and what is missing."""

import json
import threading

import pytest

from console.state.freezing import Outcome, Wanted, effect_of, latched_text, unmet
from console.widgets.freezes import board_sentence
from contract.errors import ExitCode
from contract.freeze import Freeze, FreezeStatus
from tests.console import floor_models as models
from tests.support.commands import Commands
from tests.support.latching import lock_held
from tests.support.people import OFFICER


def latched(*, kept: bool = True, revoked: int = 3) -> Freeze:
    made = models.freeze(status=FreezeStatus.LATCHED, covered=0, halted=0)
    return made.model_copy(update={"ref": "LATCHED", "epoch": 0, "kept": kept, "revoked": revoked})


def test_on_the_wire_it_has_no_ref_and_reads_as_latched() -> None:
    wire = latched().model_dump_json()
    assert json.loads(wire)["ref"] is None
    assert Freeze.model_validate_json(wire) == latched()
    assert json.loads(models.freeze().model_dump_json())["ref"] == "FRZ-0031"


def test_it_is_never_shown_as_done() -> None:
    assert effect_of(latched(), 3_600.0).outcome is Outcome.WAITING
    assert unmet(latched(), Wanted.ACKED) == unmet(latched(), Wanted.VERIFIED) == ("not in the database yet",)
    mood, text = board_sentence(latched(), effect_of(latched(), 1.0), None)
    assert mood == "near"
    assert text == (
        "LATCHED: kept by this backend, not yet in the database; permits of 3 connected executors are revoked."
    )


@pytest.mark.parametrize(("revoked", "told"), [(0, "0 connected executors are"), (1, "1 connected executor is")])
def test_one_that_would_be_lost_says_so(revoked: int, told: str) -> None:
    text = latched_text(latched(kept=False, revoked=revoked))
    assert "NOT KEPT" in text
    assert told in text
    assert board_sentence(latched(kept=False), effect_of(latched(), 1.0), None)[0] == "bad"


def test_the_command_says_latched_and_waits_for_the_database_if_asked(run: Commands) -> None:
    with lock_held(run.floor.database_url):
        ran = run(OFFICER, "freeze", "--scope", "chain:nowhere", "--reason", "x", "--json")
        assert ran.code == ExitCode.OK
        assert (ran.body["outcome"], ran.body["status"], ran.body["ref"]) == ("latched", "latched", None)
        assert ran.body["not_confirmed"] == ["not in the database yet"]
        plain = run(OFFICER, "freeze", "--scope", "chain:nowhere", "--reason", "x", "--wait", "acked", "--timeout", "1")
        assert plain.code == ExitCode.TIMED_OUT
        assert "LATCHED" in plain.out
        assert "kept by this backend, not yet in the database" in " ".join(plain.out.split())
    with lock_held(run.floor.database_url) as other:
        release = threading.Timer(3.0, other.rollback)
        release.start()
        waited = run(OFFICER, "freeze", "--scope", "chain:nowhere", "--reason", "y", "--wait", "acked", "--json")
        release.join()
    assert (waited.code, waited.body["outcome"], waited.body["status"]) == (ExitCode.OK, "done", "active")
    assert waited.body["ref"].startswith("FRZ-")
