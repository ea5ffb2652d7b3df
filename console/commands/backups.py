"""`watchfloor backups [check]`: the backup matrix, and a look at it now."""

import asyncio
import time
from datetime import datetime
from typing import Final

import click

from console.client import recovery
from console.client.api import Api
from console.commands.base import Call, command, finish
from console.commands.output import age, instant, now_of, outside, painted, wrapped
from contract.errors import ExitCode
from contract.recovery import BackupCheck, BackupCheckRequest, BackupMatrix, BackupState

POLL_S: Final = 0.5
"""How often a restore that runs is asked after."""
WAIT_LIMIT_S: Final = 4 * 3600.0 + 60
"""Longer than a backend lets a restore take."""
_WORDS: Final = {
    BackupState.OK: ("ok", "ok"),
    BackupState.STALE: ("STALE", "near"),
    BackupState.MISSING: ("MISSING", "bad"),
    BackupState.FAILED: ("FAILED", "bad"),
    BackupState.NOT_CHECKED: ("not checked", "unknown"),
}
_BAD: Final = frozenset({BackupState.STALE, BackupState.MISSING, BackupState.FAILED})


@click.group(invoke_without_command=True)
@click.pass_context
@command("backups")
def backups(call: Call, context: click.Context, /) -> None:
    """The policy's backup matrix as it was last found to be."""
    if context.invoked_subcommand is None:
        found = call.ask(recovery.backups)
        call.answer(found, lambda: _lines(found))


@backups.command("check")
@click.argument("data", required=False)
@click.option(
    "--restore", is_flag=True, help="Restore the newest into a scratch server too, and compare; waits for it."
)
@command("backups.check")
def check(call: Call, /, data: str | None, *, restore: bool) -> None:
    """Look at the backups of DATA now, or at all that the policy says the place of.

    Exit code 1: one is stale, missing or failed, or its restore went wrong or could not be compared.
    """
    found = call.ask(lambda api: _checked(api, data, restore=restore))
    call.answer(found, lambda: _lines(found))
    bad = any(one.state in _BAD or (restore and one.restore_ok is not True) for one in _looked_at(found, data))
    finish(ExitCode.CHECK_FAILED if bad else ExitCode.OK)


def _looked_at(found: BackupMatrix, data: str | None) -> list[BackupCheck]:
    return [one for one in found.rows if one.data == data or (data is None and one.source)]


async def _checked(api: Api, data: str | None, *, restore: bool) -> BackupMatrix:
    before = await recovery.backups(api)
    wanted = [data] if data is not None else [one.data for one in before.rows if one.source]
    for name in wanted:
        asked = await recovery.check_backup(api, BackupCheckRequest(data=name, restore=restore))
        await _restored(api, asked)
    after = await recovery.backups(api)
    return after if data is None else after.model_copy(update={"rows": [o for o in after.rows if o.data == data]})


async def _restored(api: Api, asked: BackupCheck) -> None:
    """Wait until a restore that was begun has left its mark."""
    deadline = time.monotonic() + WAIT_LIMIT_S
    while asked.restoring and time.monotonic() < deadline:
        await asyncio.sleep(POLL_S)
        now = next(one for one in (await recovery.backups(api)).rows if one.data == asked.data)
        if not now.restoring:
            return


def _lines(found: BackupMatrix) -> list[str]:
    now = now_of(None)
    return [line for one in found.rows for line in _row(one, now)]


def _row(one: BackupCheck, now: datetime) -> list[str]:
    word, style = _WORDS[one.state]
    newest = "--" if one.newest_at is None else f"{age(one.newest_at, now)} old"
    lines = [painted(f"{word:<12}", style) + f"{outside(one.data, 40):<20} {newest}"]
    lines += wrapped(outside(one.found, 500), 2)
    if one.restored_at is not None:
        how = {True: "ok", False: "FAILED", None: "not compared"}[one.restore_ok]
        lines += wrapped(f"restored {instant(one.restored_at)}: {how}. {outside(one.restore_found, 500)}", 2)
    return lines
