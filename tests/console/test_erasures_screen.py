"""Erasures: the list, the request, the second person; what it does is shown before it can be done."""

from console.widgets.press import Press
from contract.permissions import Permission
from tests.console.driving import Running, running
from tests.console.paper import Paper, refusal

PATH = "/v1/privacy/erasures"


async def _open(run: Running) -> None:
    await run.press("colon")
    await run.type("erasures")
    await run.press("enter")
    await run.at("Erasures")
    await run.shows("jane.doe")


async def _approving(run: Running, name: str) -> Press:
    await _open(run)
    await run.opens("T", "Erase a person")
    await run.shows("10,000+ sealed values")
    await run.shows("230 audit entries")
    await run.press("tab")
    await run.type(name)
    return run.app.screen.query_one("#send", Press)


async def _asking_for_bob(run: Running) -> None:
    await _open(run)
    await run.opens("n", "Erase a person")
    await run.press("tab")
    await run.type("bob")
    await run.press("tab")


async def test_what_waits_for_a_second_person_stands_first() -> None:
    async with running() as run:
        await _open(run)
        await run.shows("1 erasure waits for a second person.")
        assert run.screen.index("jane.doe") < run.screen.index("1,204 values erased")


async def test_enter_on_the_dialog_cancels() -> None:
    async with running() as run:
        await _open(run)
        await run.opens("T", "Erase a person")
        await run.press("enter")
        await run.at("Erasures")
        assert not run.paper.acts_below(PATH)


async def test_the_second_person_types_the_name_and_sees_what_is_erased() -> None:
    async with running() as run:
        send = await _approving(run, "jane.do")
        assert not send.is_on
        await run.type("e")
        await run.until(lambda: send.is_on, "it can be sent")
        await run.press("tab", "tab", "enter")
        await run.at("Erasures")
        await run.shows("Erased: 812 values of jane.doe can never be read again.")
        assert [path for path, _ in run.paper.acts_below(PATH)] == [f"{PATH}/erasure-1/approve"]
        await run.shows("No erasure waits for a second person.")


async def test_a_request_wants_a_reason_and_the_name_twice() -> None:
    async with running() as run:
        await _asking_for_bob(run)
        await run.shows("10,000+ sealed values")
        assert "say why" in run.screen, "what it erases is known before a reason is given"
        await run.type("he asked")
        await run.press("tab")
        await run.type("bo")
        await run.shows("to do: type bob to confirm")
        await run.type("b")
        await run.press("tab", "tab", "enter")
        await run.shows("Asked: another person has to erase bob")
        assert run.paper.acts_below(PATH) == [(PATH, {"subject": "bob", "reason": "he asked"})]


async def test_own_approval_is_refused_in_the_servers_words() -> None:
    paper = Paper(
        refuse={f"POST {PATH}/erasure-1/approve": refusal(403, "second_person_required", "You asked for it.")}
    )
    async with running(paper) as run:
        send = await _approving(run, "jane.doe")
        await run.until(lambda: send.is_on, "it can be sent")
        await run.press("tab", "tab", "enter")
        await run.shows("REFUSED You asked for it.")
        assert run.title == "Erase a person"


async def test_a_request_is_withdrawn_and_a_decided_one_is_not() -> None:
    async with running() as run:
        await _open(run)
        await run.press("W")
        await run.shows("The request to erase jane.doe is withdrawn.")
        await run.shows("No erasure waits")
        await run.press("W")
        await run.shows("Select a request that waits")
        assert len(run.paper.acts_below(PATH)) == 1


async def test_without_the_permission_nothing_is_asked() -> None:
    allowed = frozenset(Permission) - {Permission.ERASE_PERSONAL_DATA}
    async with running(Paper(role="auditor", permissions=allowed)) as run:
        await run.press("7")
        await run.shows("it lacks erase_personal")
        assert PATH not in [path for _, path, _ in run.paper.asked]


async def test_a_legal_hold_is_said_before_anything_is_sent() -> None:
    async with running(Paper(keeping=1)) as run:
        send = await _approving(run, "jane.doe")
        await run.shows("1 legal hold in force: lift it first (8).")
        await run.shows("to do: lift the legal hold first")
        assert not send.is_on


async def test_nobody_of_that_name_can_be_sent() -> None:
    unknown = refusal(404, "not_found", "There is no person of the name 'bob'.")
    async with running(Paper(refuse={f"POST {PATH}/preview": unknown})) as run:
        await _asking_for_bob(run)
        await run.shows("Nobody in the ledger is called bob.")
        await run.type("x")
        await run.press("tab")
        await run.type("bob")
        assert not run.app.screen.query_one("#send", Press).is_on


async def test_what_cannot_be_learned_cannot_be_done() -> None:
    late = refusal(503, "unavailable", "The database is not answering.")
    async with running(Paper(refuse={f"POST {PATH}/preview": late})) as run:
        await _open(run)
        await run.opens("T", "Erase a person")
        await run.shows("could not be learned. The database is not answering.")
        await run.press("tab")
        await run.type("jane.doe")
        assert not run.app.screen.query_one("#send", Press).is_on
