"""Adapters as processes between real backends and software that asks no gate: freezes, thaws, restarts, outages."""

import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import freqtrade
from tests.support.adapters import Floor, adapter, floors, until_long
from tests.support.binance_mock import BinanceMock
from tests.support.processes import until


@pytest.fixture
def peer() -> None:
    """Real freqtrade; asked for before anything is started."""
    freqtrade.needed()


@pytest.fixture
def floor(database_url: str, tmp_path: Path) -> Iterator[Floor]:
    with floors(database_url, tmp_path / "backend.log") as running:
        yield running


def switch(directory: Path) -> tuple[Path, list[str]]:
    """Software that runs while a file is there, and the commands for it."""
    runs = directory / "runs"
    runs.touch()
    check = [sys.executable, "-c", f"import pathlib, sys; sys.exit(pathlib.Path({str(runs)!r}).exists())"]
    commands = ["--halt", f"rm -f {runs}", "--check", " ".join([check[0], "-c", repr(check[2])])]
    return runs, commands


def test_commands_halt_confirm_and_resume_what_they_halted(floor: Floor, tmp_path: Path) -> None:
    runs, commands = switch(tmp_path)
    with adapter(floor, tmp_path, "command", *commands, "--resume", f"touch {runs}"):
        assert runs.exists()
        made = floor.freeze()
        proof = floor.becomes(made, "acked")
        assert "unknown" in proof["proof"]
        assert not runs.exists()
        assert floor.said() == [(0, None, None)]
        runs.touch()
        until(lambda: not runs.exists(), "it is stopped again")
        floor.thaw(made.ref)
        until(runs.exists, "it runs again")


def test_without_a_backend_it_is_halted_once_permits_have_been_dead_for_as_long_as_was_said(
    floor: Floor, tmp_path: Path
) -> None:
    runs, commands = switch(tmp_path)
    with adapter(floor, tmp_path, "command", *commands, "--lost-after", "1"):
        assert runs.exists()
        floor.server.send(signal.SIGSTOP)
        until(lambda: not runs.exists(), "it is halted")
        floor.server.send(signal.SIGCONT)


def test_what_cannot_be_checked_is_delivered_and_never_more(floor: Floor, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.touch(mode=0o600)
    secret.write_text("whsec_" + "QUJD" * 12)
    arguments = ["webhook", "--halt-url", "http://127.0.0.1:9/halt", "--secret-file", str(secret)]
    with adapter(floor, tmp_path, *arguments) as running:
        made = floor.freeze()
        until(lambda: running.wrote("stop"), "it was told")
        proof = floor.becomes(made, "delivered")
        assert (proof["bounded"], proof["proof"]) == (False, "no permit bounds it; has not said that it obeys")
        assert floor.said() == []


def test_a_drill_stops_it_unless_it_takes_no_part(floor: Floor, tmp_path: Path) -> None:
    runs, commands = switch(tmp_path)
    with adapter(floor, tmp_path, "command", *commands, "--not-in-drills") as running:
        drill = floor.drill()
        until(lambda: running.wrote("drill", "left alone"), "it says so")
        over = floor.ended(drill)
        [outcome] = over["outcomes"]
        assert (outcome["proof"], over["missed"]) == ("not exercised: takes no part in drills", 0)
        assert runs.exists()
        floor.freeze()
        until(lambda: not runs.exists() and running.wrote("stop"), "it is halted in earnest, and says so")
        stops = [line for line in running.lines() if line["what"] == "stop"]
        assert {tuple(line["holds"]) for line in stops} == {("FRZ-0002",)}


def test_a_drill_stops_software_behind_an_adapter_as_a_freeze_does(floor: Floor, tmp_path: Path) -> None:
    runs, commands = switch(tmp_path)
    with adapter(floor, tmp_path, "command", *commands):
        drill = floor.drill()
        until(lambda: not runs.exists(), "it is halted")
        [proof] = floor.proofs(drill["holds"][0])
        assert proof["exercised"]


@pytest.fixture
def login(tmp_path: Path) -> Path:
    path = tmp_path / "login"
    path.touch(mode=0o600)
    path.write_text(":".join(freqtrade.LOGIN))
    return path


def test_a_real_bot_is_halted_confirmed_stopped_again_after_a_restart_and_resumed(
    peer: None, floor: Floor, tmp_path: Path, login: Path
) -> None:
    with (
        BinanceMock(20, book_delay_s=0.05) as venue,
        freqtrade.bot(tmp_path / "bot", venue, initial_state="running") as bot,
        adapter(floor, tmp_path, "freqtrade", "--api", bot.url, "--login-file", str(login), "--cycle", "1", "--resume"),
    ):
        until_long(lambda: len(bot.sent_at_ms()) >= 3, "it trades")
        assert bot.process is not None
        bot.process.send_signal(signal.SIGSTOP)
        made = floor.freeze()
        assert "no permit bounds it" in floor.becomes(made, "delivered")["proof"]
        assert floor.said() == []
        bot.process.send_signal(signal.SIGCONT)
        floor.becomes(made, "acked", "quiesced")
        assert bot.state == "stopped"
        sent = len(bot.sent_at_ms())
        [(last, _, resting)] = floor.said()
        assert (last, resting) == (sent, sum(order["is_open"] for order in bot.orders()))

        bot.end(signal.SIGKILL)
        bot.start()
        until_long(lambda: bot.state == "stopped", "it is stopped again")
        assert bot.ask("GET", "/locks")["lock_count"] >= 1
        assert len(bot.sent_at_ms()) == sent
        assert floor.proof(made)["state"] != "violation"

        floor.thaw(made.ref)
        until_long(lambda: bot.state == "running", "it is started again")
        until_long(lambda: len(bot.sent_at_ms()) > sent, "it trades again")
        assert bot.ask("GET", "/locks")["lock_count"] == 0


def test_a_real_bots_resting_orders_are_taken_back_and_modes_follow_one_another(
    peer: None, floor: Floor, tmp_path: Path, login: Path
) -> None:
    with (
        BinanceMock(4) as venue,
        freqtrade.bot(tmp_path / "bot", venue, price="0.6", initial_state="running") as bot,
        adapter(floor, tmp_path, "freqtrade", "--api", bot.url, "--login-file", str(login), "--cycle", "1"),
    ):
        until_long(lambda: len(bot.sent_at_ms()) == 4, "its orders rest")
        first = floor.freeze("reduce-only")
        floor.becomes(first, "acked", "quiesced")
        assert bot.state == "paused"
        second = floor.freeze("cancel-all")
        until_long(lambda: bot.state == "stopped", "it is stopped")
        proof = floor.becomes(second, "quiesced")
        assert bot.sent_at_ms() == []
        assert proof["state"] == "quiesced"
        floor.thaw(second.ref)
        floor.thaw(first.ref)
        until_long(lambda: bot.ask("GET", "/locks")["lock_count"] == 0, "it is let go")
        assert bot.state == "stopped"

        third = floor.freeze()
        floor.becomes(third, "acked", "quiesced")

        def started_by_hand() -> bool:
            for lock in bot.ask("GET", "/locks")["locks"]:
                bot.ask("DELETE", f"/locks/{lock['id']}")
            bot.ask("POST", "/start")
            return bool(bot.sent_at_ms())

        until_long(started_by_hand, "somebody makes it trade under the hold")
        assert "after it signed" in floor.becomes(third, "violation")["proof"]
        until_long(lambda: bot.state == "stopped", "it is stopped again")


def test_a_bot_that_does_not_answer_is_not_said_to_have_halted(floor: Floor, tmp_path: Path, login: Path) -> None:
    api = ["--api", "http://127.0.0.1:9", "--login-file", str(login)]
    with adapter(floor, tmp_path, "freqtrade", *api) as running:
        made = floor.freeze()
        until(lambda: running.wrote("stop", "Connect"), "it says so")
        assert floor.becomes(made, "delivered")["bounded"] is False
        assert floor.said() == []
