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
    await run.press("T")
    await run.at("Erase a person")
    await run.shows("230 audit entries were written by jane.doe.")
    await run.listens()
    await run.press("tab")
    await run.type(name)
    return run.app.screen.query_one("#send", Press)


def _sent(paper: Paper) -> list[tuple[str, dict[str, object]]]:
    return [(path, body) for method, path, body in paper.asked if method == "POST" and path.startswith(PATH)]


async def test_what_waits_for_a_second_person_stands_first() -> None:
    async with running() as run:
        await _open(run)
        await run.shows("1 erasure waits for a second person.")
        assert run.screen.index("jane.doe") < run.screen.index("1,204 values erased")


async def test_enter_on_the_dialog_cancels() -> None:
    async with running() as run:
        await _open(run)
        await run.press("T")
        await run.at("Erase a person")
        await run.listens()
        await run.press("enter")
        await run.at("Erasures")
        assert not _sent(run.paper)


async def test_the_second_person_types_the_name_and_sees_what_is_erased() -> None:
    async with running() as run:
        send = await _approving(run, "jane.do")
        assert not send.is_on
        await run.type("e")
        await run.until(lambda: send.is_on, "it can be sent")
        await run.press("tab", "tab", "enter")
        await run.at("Erasures")
        await run.shows("Erased: 812 values of jane.doe can never be read again.")
        assert [path for path, _ in _sent(run.paper)] == [f"{PATH}/erasure-1/approve"]
        await run.shows("No erasure waits for a second person.")


async def test_a_request_wants_a_reason_and_the_name_twice() -> None:
    async with running() as run:
        await _open(run)
        await run.press("n")
        await run.at("Erase a person")
        await run.listens()
        await run.press("tab")
        await run.type("bob")
        await run.press("tab")
        await run.type("he asked")
        await run.press("tab")
        await run.type("bo")
        await run.shows("to do: type bob to confirm")
        await run.type("b")
        await run.shows("230 audit entries were written by bob.")
        await run.press("tab", "tab", "enter")
        await run.shows("Asked: another person has to erase bob")
        assert _sent(run.paper) == [(PATH, {"subject": "bob", "reason": "he asked"})]


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
        assert len(_sent(run.paper)) == 1


async def test_without_the_permission_nothing_is_asked() -> None:
    allowed = frozenset(Permission) - {Permission.ERASE_PERSONAL_DATA}
    async with running(Paper(role="auditor", permissions=allowed)) as run:
        await run.press("7")
        await run.shows("it lacks erase_personal")
        assert PATH not in [path for _, path, _ in run.paper.asked]
