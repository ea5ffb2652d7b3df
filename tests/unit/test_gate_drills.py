"""What an executor that leaves drills alone is told: never less than every hold in earnest."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gate.permits import Mode, strictest
from gate.session import Nature
from tests.support.gate_talk import WALL, Talk

SPARING = Nature(in_drills=False, bounded=False)


def sparing() -> Talk:
    talk = Talk(nature=SPARING).open()
    talk.renew()
    return talk


def revocation(mode: str, *holds: dict[str, Any], epoch: int | None = 9) -> dict[str, Any]:
    return {"type": "revoke", "epoch": epoch, "mode": mode, "holds": list(holds)}


def hold(mode: str, epoch: int | None = 9, **more: Any) -> dict[str, Any]:
    return {"freeze_ref": f"FRZ-{epoch or 0:04d}", "epoch": epoch, "mode": mode} | more


def test_what_an_executor_is_is_said_only_where_it_is_unusual() -> None:
    asked = sparing().ask()
    assert (asked["bounded"], asked["in_drills"]) == (False, False)
    usual = Talk().open().ask()
    assert not {"bounded", "in_drills"} & usual.keys()


def test_a_drill_is_spared_in_a_look_and_confirmed_by_nobody() -> None:
    talk = sparing()
    talk.say(talk.freeze(drill=True))
    seen = talk.session.look(talk.now)
    assert (seen.mode, seen.holds, seen.held_epoch, seen.spared) == (None, (), 0, ("FRZ-0001",))
    assert not seen.allowed, "no permit is given under it"
    assert talk.session.unconfirmed(talk.now) is None
    assert talk.decide().holds == ("FRZ-0001",)
    assert talk.renew()["seen_epoch"] == 1


def test_a_freeze_in_earnest_beside_a_drill_is_obeyed_and_acknowledged_alone() -> None:
    talk = sparing()
    talk.freeze(drill=True)
    talk.say(talk.freeze("reduce-only"))
    seen = talk.session.look(talk.now)
    assert (seen.mode, seen.holds, seen.spared) == (Mode.REDUCE_ONLY, ("FRZ-0002",), ("FRZ-0001",))
    assert talk.session.unconfirmed(talk.now) == seen
    assert talk.session.confirm_halted(talk.now, WALL, seen)
    said = talk.acknowledgement(talk.renew())
    assert (said["mode"], said["holds"], said["epoch"]) == ("reduce-only", ["FRZ-0002"], 2)


def test_who_takes_part_sees_a_drill_as_any_freeze() -> None:
    talk = Talk().open()
    talk.renew()
    talk.say(talk.freeze(drill=True))
    seen = talk.session.look(talk.now)
    assert (seen.mode, seen.holds, seen.spared) == (Mode.HALT, ("FRZ-0001",), ())


@pytest.mark.parametrize(
    "message",
    [
        revocation("cancel-all", hold("halt", drill=True)),
        revocation("halt", hold("halt", drill="yes")),
        revocation("halt", hold("halt", drill=1)),
        revocation("halt", hold("halt")),
        revocation("halt"),
        revocation("halt", {"nonsense": True}),
        revocation("halt", hold("halt", drill=True), hold("halt", None), epoch=None),
    ],
)
def test_whatever_is_not_clearly_a_drill_is_in_earnest(message: dict[str, Any]) -> None:
    talk = sparing()
    talk.say(message)
    assert talk.session.look(talk.now).mode in {Mode.HALT, Mode.CANCEL_ALL}


HOLDS = st.lists(st.tuples(st.sampled_from(Mode), st.booleans()), max_size=4)


@given(HOLDS, st.none() | st.sampled_from(Mode))
def test_no_hold_in_earnest_is_ever_left_out(holds: list[tuple[Mode, bool]], stricter: Mode | None) -> None:
    talk = sparing()
    shown = [hold(mode.value, number + 1, drill=drill) for number, (mode, drill) in enumerate(holds)]
    whole = strictest(stricter or Mode.REDUCE_ONLY, *(mode for mode, _ in holds))
    talk.say(revocation((whole or Mode.HALT).value, *shown))
    seen = talk.session.look(talk.now)
    meant = strictest(*(mode for mode, drill in holds if not drill))
    assert strictest(seen.mode, meant) is seen.mode
    assert {f"FRZ-{number + 1:04d}" for number, (_, drill) in enumerate(holds) if not drill} <= set(seen.holds)
    explained = strictest(*(mode for mode, _ in holds))
    assert seen.mode is (meant if explained is whole and any(drill for _, drill in holds) else whole)


def test_contracts_read_back_as_paused_are_part_of_the_statement() -> None:
    talk = Talk(nature=SPARING).open()
    talk.renew()
    talk.say(talk.freeze())
    assert talk.session.confirm_halted(talk.now, WALL, talk.session.look(talk.now), {"0xC0": 17})
    assert talk.acknowledgement(talk.renew())["paused"] == {"0xC0": 17}
