"""The freeze dialog: what it asks for, what it refuses, and how it ends."""

from decimal import Decimal

import httpx
import pytest
from textual import events

from console.screens.freeze.screen import FreezeScreen
from console.widgets.field import Field
from console.widgets.press import Press
from contract.freeze import Freeze, HaltProof, HaltState
from contract.stream import Topic
from tests.console import floor_models as models
from tests.console.driving import Running, running
from tests.console.paper import Paper, refusal


async def _open(run: Running) -> FreezeScreen:
    await run.press("F", "F")
    await run.at("Freeze")
    await run.listens()
    assert isinstance(run.app.screen, FreezeScreen)
    return run.app.screen


async def _fill(run: Running, name: str = "arbitrum") -> Press:
    """Fill in everything but the last step."""
    screen = await _open(run)
    await run.press("tab")
    await run.type("chain:arbitrum")
    await run.shows("This stops 12 executors")
    await run.press("tab", "tab")
    await run.type("losses since 02:40")
    await run.press("tab")
    await run.type(name)
    return screen.query_one("#send", Press)


async def test_it_opens_with_cancel_focused_and_enter_does_nothing() -> None:
    async with running() as run:
        await _open(run)
        assert run.app.focused is not None
        assert run.app.focused.id == "cancel"
        await run.press("enter")
        await run.at("Overview")
        assert not run.paper.posted("/v1/freezes")


async def test_on_a_low_screen_the_buttons_are_still_there() -> None:
    async with running(size=(80, 16)) as run:
        await _fill(run)
        await run.shows("[ Cancel ]  [ Freeze arbitrum ]")
        assert "FROZEN" in run.screen


async def test_it_opens_from_any_screen() -> None:
    async with running() as run:
        for key in ("2", "3", "4"):
            await run.press(key)
            await _open(run)
            await run.press("escape")
        await run.press("1")
        await run.at("Overview")
        await run.press("w")
        await run.at("Why")
        await _open(run)


async def test_what_it_would_stop_is_shown_before_anything_can_be_sent() -> None:
    async with running() as run:
        screen = await _open(run)
        await run.press("tab")
        await run.type("chain:arbitrum")
        await run.shows("This stops 12 executors now.")
        await run.shows("Two persons are needed to thaw")
        assert not screen.query_one("#send", Press).is_on


async def test_a_whole_form_typed_without_a_pause_loses_no_letter() -> None:
    async with running() as run:
        screen = await _open(run)
        await run.press("tab", *"chain:arbitrum", "tab", "tab", *"losses", "tab", *"arbitrum", "tab", "tab")
        await run.shows("This stops 12 executors now.")
        values = {name: screen.query_one(f"#{name}", Field).value for name in ("scope", "reason", "name")}
        assert values == {"scope": "chain:arbitrum", "reason": "losses", "name": "arbitrum"}


async def test_a_preview_that_fails_does_not_keep_anybody_from_freezing() -> None:
    paper = Paper()
    paper.refuse["GET /v1/freezes/preview"] = refusal(503, "unavailable", "The database is not answering.")
    async with running(paper) as run:
        screen = await _open(run)
        await run.press("tab")
        await run.type("chain:arbitrum")
        await run.shows("What this would stop could not be learned.")
        await run.press("tab", "tab", *"losses", "tab", *"arbitrum", "tab", "tab")
        assert screen.query_one("#send", Press).is_on
        await run.press("enter")
        await run.shows("PROOF")
        assert len(run.paper.posted("/v1/freezes")) == 1


@pytest.mark.parametrize("typed", ["", "arbitru", "arbitrumm", "base"])
async def test_only_the_exact_name_confirms(typed: str) -> None:
    async with running() as run:
        send = await _fill(run, typed)
        assert not send.is_on
        await run.press("enter", "enter")
        send.press()
        await run.pilot.pause()
        assert not run.paper.posted("/v1/freezes")


async def test_changing_the_scope_takes_the_confirmation_back() -> None:
    async with running() as run:
        send = await _fill(run)
        assert send.is_on
        await run.press("up", "up", "up")
        await run.type("x")
        assert not send.is_on


async def test_keys_typed_before_the_dialog_was_seen_are_dropped() -> None:
    async with running() as run:
        await run.press("F", "F", "tab", "g", "l", "o", "b", "a", "l", "tab", "tab", "enter", "space")
        await run.at("Freeze")
        screen = run.app.screen
        assert isinstance(screen, FreezeScreen)
        assert screen.query_one("#scope").value == ""  # type: ignore[attr-defined]
        late = events.Key("escape", None)
        late.time = 0.0
        run.app.post_message(late)
        await run.pilot.pause()
        assert run.title == "Freeze"


async def test_it_sends_one_key_and_the_board_proves_every_halt() -> None:
    async with running() as run:
        send = await _fill(run)
        assert send.is_on
        await run.press("tab", "tab", "enter")
        await run.at("Freeze FRZ-0032")
        await run.shows("0 of 12 halted. No answer yet from bot-39")
        sent = run.paper.posted("/v1/freezes")
        assert len(sent) == 1
        assert sent[0]["scope"] == {"kind": "chain", "name": "arbitrum"}
        assert sent[0]["reason"] == "losses since 02:40"
        assert len(str(sent[0]["idempotency_key"])) == 32
        run.paper.freezes["freeze-2"] = _halted(run.paper.freezes["freeze-2"], but=("bot-45",))
        await run.shows("11 of 12 halted in 0.18 s. No answer yet from bot-45.")
        run.clock.advance(seconds=20)
        await run.shows("UNKNOWN: 11 of 12 halted in 0.18 s; no answer from bot-45.")
        run.paper.freezes["freeze-2"] = _halted(run.paper.freezes["freeze-2"])
        run.paper.emit(Topic.FREEZE, run.paper.freezes["freeze-2"])
        await run.shows("12 of 12 halted in 0.18 s. By their own word")


def _halted(freeze: Freeze, but: tuple[str, ...] = ()) -> Freeze:
    proofs = [
        proof
        if proof.executor in but
        else HaltProof(
            executor=proof.executor,
            state=HaltState.QUIESCED,
            acked_at=models.NOW,
            halted_after_seconds=Decimal("0.18"),
            last_order_seq=7,
            in_flight=0,
        )
        for proof in freeze.proofs
    ]
    halted = sum(proof.state is HaltState.QUIESCED for proof in proofs)
    return freeze.model_copy(update={"proofs": proofs, "halted": halted})


async def test_a_refused_freeze_says_why_and_stays_open() -> None:
    paper = Paper(refuse={"POST /v1/freezes": refusal(403, "not_allowed", "Your role may not freeze.")})
    async with running(paper) as run:
        await _fill(run)
        await run.press("tab", "tab", "enter")
        await run.shows("Your role may not freeze.")
        assert run.title == "Freeze"


async def test_without_an_answer_it_says_unknown_and_sends_again_under_the_same_key() -> None:
    paper = Paper(refuse={"POST /v1/freezes": httpx.ReadTimeout("silence")})
    async with running(paper) as run:
        await _fill(run)
        await run.press("tab", "tab", "enter")
        await run.shows("UNKNOWN whether it was taken")
        first = {str(body["idempotency_key"]) for body in paper.posted("/v1/freezes")}
        paper.refuse.clear()
        await run.press("enter")
        await run.at("Freeze FRZ-0032")
        assert {str(body["idempotency_key"]) for body in paper.posted("/v1/freezes")} == first
        assert len(first) == 1


async def test_reduce_only_can_be_chosen() -> None:
    async with running() as run:
        screen = await _open(run)
        await run.press("tab", "tab", "space")
        await run.shows("reduce only: positions may shrink")
        await run.press("up")
        await run.type("global")
        await run.shows("This stops 42 executors")
        assert screen.query_one("#mode", Press).is_on


async def test_a_scope_that_covers_nobody_is_said() -> None:
    async with running() as run:
        await _open(run)
        await run.press("tab")
        await run.type("chain:nowhere")
        await run.shows("No executor is covered now")
