"""What the database is told of a drill: again after it was lost, by somebody else when its backend is gone."""

import asyncio
from pathlib import Path

import psycopg
import pytest

from backend.continuity.journal import JournalError
from contract.recovery import DrillState
from tests.backend.test_recovery_drills import POLL_S, floor
from tests.support.latching import rows


async def test_lines_that_a_failover_has_lost_are_written_again_with_their_entries(
    database_url: str, tmp_path: Path
) -> None:
    async with floor(database_url, tmp_path) as here:
        here.stage.kind.does["second"] = "hang"
        ref = (await here.start()).json()["ref"]
        await here.until(ref, lambda one: one.step == 2)
        await _until_mirrored(database_url, ref, "begun")
        with psycopg.connect(database_url) as other:
            other.execute("DELETE FROM recovery_lines WHERE drill = %s AND n > 2", (ref,))
        await here.http.post(f"/v1/recovery/drills/{ref}/abort", json={"reason": "that will do"})
        drill = await here.ended(ref)
        assert drill.state is DrillState.ABORTED
        told = rows(database_url, "SELECT n FROM recovery_lines WHERE drill = %s ORDER BY n", ref)
        assert [n for (n,) in told] == list(range(1, len(told) + 1))
        assert drill.version == len(told)


async def _until_mirrored(database_url: str, ref: str, line: str) -> None:
    asked = "SELECT 1 FROM recovery_lines WHERE drill = %s AND data->>'line' = %s"
    async with asyncio.timeout(20):
        while not rows(database_url, asked, ref, line):  # noqa: ASYNC110  nothing tells
            await asyncio.sleep(POLL_S)


async def test_a_drill_whose_backend_is_gone_is_given_up_at_the_second_time_of_asking(
    database_url: str, tmp_path: Path
) -> None:
    async with floor(database_url, tmp_path / "a") as gone, floor(database_url, tmp_path / "b") as here:
        gone.stage.kind.does["second"] = "hang"
        ref = (await gone.start()).json()["ref"]
        await _until_mirrored(database_url, ref, "stepped")
        gone.app.app.state.recovery._task.cancel()
        await asyncio.sleep(0.5)
        path = f"/v1/recovery/drills/{ref}/abort"
        old = "UPDATE {} SET {} = {} - interval '1 minute'"
        with psycopg.connect(database_url) as other:
            other.execute(old.format("recovery_drills", "heard_at", "heard_at"))
        first = await here.http.post(path, json={"reason": "nobody answers"})
        assert first.status_code == 200, first.text
        assert first.json()["state"] != "unresolved"
        with psycopg.connect(database_url) as other:
            other.execute(old.format("recovery_asks", "asked_at", "asked_at"))
        second = await here.http.post(path, json={"reason": "still nobody"})
        assert second.json()["state"] == "unresolved", second.text
        left = second.json()["left_to_do"]
        assert [one.split(" ran on")[0] for one in left] == ["Step 2 (Step 2)", "Step 1 (Step 1)"]
        assert (await here.whole()).state is DrillState.PASSED
        ran = list(gone.stage.kind.happened)
    async with floor(database_url, tmp_path / "a") as back:  # its backend comes back, and leaves the cluster alone
        drill = await back.ended(ref)
        assert (drill.state, drill.sentence) == (DrillState.UNRESOLVED, second.json()["sentence"])
        assert gone.stage.kind.happened == ran == ["run first", "run second"]
        assert not list((tmp_path / "a" / "recovery").glob("*/*.journal"))


async def test_a_disk_that_takes_no_line_ends_the_drill_and_does_not_hold_its_rollback_up(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backend.continuity.telling.PATIENCE_S", 1.0)
    async with floor(database_url, tmp_path) as here:
        ref = (await here.start(hands_off=False)).json()["ref"]
        await here.until(ref, lambda one: one.state is DrillState.WAITING)
        await here.http.post(f"/v1/recovery/drills/{ref}/step", json={"number": 1})
        await here.until(ref, lambda one: one.step == 2 and bool(one.steps[1].waits_for))

        async def refuse(*_: object) -> None:
            raise JournalError("no space left on the device")

        monkeypatch.setattr("backend.continuity.journal.Journal.append", refuse)
        await here.http.post(f"/v1/recovery/drills/{ref}/step", json={"number": 2})
        drill = await here.ended(ref)
        assert drill.state is DrillState.ABORTED
        assert "journal" in drill.sentence
        assert "run second" not in here.stage.kind.happened
        assert here.stage.kind.happened[-1] == "undo first"
