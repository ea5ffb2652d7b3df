"""The facts of a recovery drill's report, and the document made of them, whatever people and clusters have said."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.continuity import core, lines
from backend.continuity.deciding import Rest, next_action
from backend.continuity.lines import Line
from backend.continuity.paper import Around, document_of
from backend.continuity.report import facts_of, ran_by, sha256_of
from backend.documents.document import markdown_of
from backend.documents.printing import pdf_of
from backend.documents.webpage import html_of
from contract.recovery_states import StepState
from tests.support.pdf import text_of
from tests.unit.test_recovery_core import AT, MOST_ACTIONS, SHA, WHO, answer, started

HOSTILE = st.text(
    alphabet=st.sampled_from("ab <>&\"'|#*_`~[]()!\\-+=:1.\n\r\t\x1b\x07\x9b\u202e\u2028\ud7ff中"), max_size=60
)
NOTHING = Around(None, (), None)
STEPS: list[dict[str, Any]] = [{"destructive": True}, {}, {}]


def told(*, bad_at: int = 0, reason: str = "a test", hands_off: bool = True) -> list[Line]:
    """The lines of a drill from its start to its end; the action of that number goes wrong."""
    said: list[Line] = [
        started(STEPS, hands_off=hands_off, outage=True).model_copy(update={"reason": reason}), lines.Confirmed(at=AT),
    ]  # fmt: skip
    run = core.fold(said)
    for number in range(1, MOST_ACTIONS):
        if isinstance(next_action(run), Rest):
            return said
        for line in answer(run, AT + timedelta(seconds=number), good=number != bad_at):
            said.append(line)
            run = core.add(run, line)
    raise AssertionError("it never ended")


def test_what_is_said_after_the_end_changes_no_fact() -> None:
    said = told()
    late = [*said, lines.Declared(at=AT + timedelta(days=1), incident="INC-2026-001")]
    assert facts_of(core.fold(late), late) == facts_of(core.fold(said), said)


@pytest.mark.parametrize("bad_at", range(1, 8))
def test_whatever_goes_wrong_there_is_a_report_that_names_every_step(bad_at: int) -> None:
    said = told(bad_at=bad_at)
    facts = facts_of(core.fold(said), said)
    text = markdown_of(document_of(facts, NOTHING))
    assert [f"### Step {number}: " in text for number in (1, 2, 3)] == [True] * 3
    assert facts["state"] in text
    if facts["state"] != "passed" and facts["measured"]["rto_ms"] is None:
        assert "| Recovery time (RTO) | not measured |" in text


def test_another_fact_is_another_hash() -> None:
    said = told()
    facts = facts_of(core.fold(said), said)
    for key in facts:
        changed = {**facts, key: "something else"}
        assert sha256_of(changed) != sha256_of(facts), key


def test_everybody_who_had_a_hand_in_it_ran_it() -> None:
    other = {**WHO, "subject": "anna"}
    said = told(hands_off=False)
    allowed = next(at for at, line in enumerate(said) if isinstance(line, lines.Allowed))
    said[allowed] = lines.Allowed(at=AT, step=1, caller=other, by_token_alone=True)
    facts = facts_of(core.fold(said), said)
    assert ran_by(facts) == {"adam", "anna"}
    assert "let step 1 run (the database could not be asked whether they may)" in markdown_of(
        document_of(facts, NOTHING)
    )


def test_a_manual_steps_finder_and_whoever_ended_it_ran_it() -> None:
    said: list[Line] = [
        started([{}], hands_off=True, outage=False),
        lines.Stepped(
            at=AT, step=1, state=StepState.PASSED, summary="seen", evidence_sha256=SHA,
            caller={**WHO, "subject": "olga"},
        ),
        lines.AbortAsked(at=AT, caller={**WHO, "subject": "anna"}, reason="enough"),
    ]  # fmt: skip
    assert ran_by(facts_of(core.fold(said), said)) == {"adam", "olga", "anna"}


@settings(max_examples=15, deadline=None)
@given(HOSTILE)
def test_hostile_text_shows_as_itself_in_every_form(text: str) -> None:
    said = told(reason=f"x{text}")
    document = document_of(facts_of(core.fold(said), said), NOTHING)
    page = html_of(document)
    assert "<script" not in page
    assert page.count("<h2>") == len(document.sections)
    assert not set(markdown_of(document)) & set("\x1b\x07\x9b\u202e")
    assert pdf_of(document).startswith(b"%PDF-")


def test_the_pdf_has_the_hash_and_every_section() -> None:
    said = told()
    facts = facts_of(core.fold(said), said)
    document = document_of(facts, NOTHING)
    printed = text_of(pdf_of(document))
    assert sha256_of(facts) in printed.replace(" ", "")
    for title, _ in document.sections:
        assert title in printed
