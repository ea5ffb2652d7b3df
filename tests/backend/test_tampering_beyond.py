"""What changes to old dumps, other generations and the copies of dropped entries come to: some of all of them here."""

import asyncio
from pathlib import Path

import pytest

from tests.support.aged import aged
from tests.support.ledger import settled
from tests.support.tampering_archives import tamper_with_copies, tamper_with_purges
from tests.support.tampering_outside import outside

SHARE = 9


def test_old_dumps_and_ledgers_written_anew_are_seen_from_outside(template_database: str, tmp_path: Path) -> None:
    with outside(template_database, tmp_path) as parties:
        seen = asyncio.run(parties.run(SHARE))
    assert seen.missed == []
    assert seen.false_alarms == []
    assert seen.made >= 5


async def test_copies_and_what_is_kept_of_dropped_entries_are_held_to_what_was_written(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHFLOOR_DATA_DIR", str(tmp_path / "state"))
    async with aged(database_url, tmp_path, monkeypatch) as ledger:
        await ledger.ready()
        await ledger.keeper().round()
        ledger.grow_old()
        await ledger.keeper().round()
        assert await ledger.count("SELECT count(*) FROM audit_purges") == 2
        copies = await tamper_with_copies(ledger, tmp_path / "spare", share=SHARE)
        await settled(ledger.app)
        await ledger.sign()
        purges = tamper_with_purges(ledger, database_url)
    assert copies.missed == purges.missed == []
    assert copies.false_alarms == purges.false_alarms == []
    assert copies.made.total() >= 50
    assert purges.made.total() >= 100
