"""A verification knows of every generation: one that no approved restore led to fails, one that was restored passes."""

import asyncio
from pathlib import Path

import psycopg

from backend.audit import restore
from backend.audit.heads import rollback
from backend.audit.heads.keeping import HeadKeeper
from backend.audit.verification.check import Plan, Result, verify
from backend.audit.verification.generations import HeldHead
from backend.audit.verification.runs import _held
from backend.audit.verification.verdicts import Outcome, Verdict
from ledger import checkpoint, note
from ledger.note import KeyType, SignerKey
from tests.support.app import App, started_app
from tests.support.evidence import sign
from tests.support.grown import grow
from tests.support.keeping import LOG, keeping, origin, signed
from tests.support.restoring import account_of, bump, put_restore, signed_heads, write_anew
from tests.support.verifying import findings, keys_of, opened

WITNESS = "auditor.example/w"


async def judged(app: App, url: str, keeper: HeadKeeper, *, asking: bool = True) -> Result:
    """Verify with what the signer and the witness say, or without them."""
    held = await _held(app.runtime) if asking else []
    assert bool(held) is asking
    plan = Plan(keys_of(app.runtime), genesis=(await keeper._signer.keys(0)).genesis, held=tuple(held))
    with opened(url) as connection:
        return await asyncio.to_thread(verify, connection, plan)


def sound(result: Result) -> bool:
    """Whether nothing speaks against the tree and its heads; the entries of these tests are not of any process."""
    return not {Verdict.LINKAGE, Verdict.EXTERNAL} & set(result.verdicts.failed)


async def test_a_generation_without_a_restore_fails(database_url: str, place: Path) -> None:
    async with started_app(database_url) as app, keeping(app) as keeper:
        await origin(app)
        await grow(app.runtime, LOG, 40)
        await signed(app, keeper)
        assert sound(await judged(app, database_url, keeper))
        await bump(app, 2)
        assert findings(await judged(app, database_url, keeper, asking=False), Verdict.EXTERNAL) == {"generation"}


async def test_a_ledger_written_anew_with_a_forged_restore_fails(database_url: str, place: Path) -> None:
    async with started_app(database_url) as app, keeping(app) as keeper:
        before = await origin(app)
        await grow(app.runtime, LOG, 40)
        await signed(app, keeper)
        await grow(app.runtime, LOG, 10)
        await signed(app, keeper)
        older, newest = await signed_heads(app, before)
        assert older.size < newest.size
        await write_anew(app, LOG, 60)
        with psycopg.connect(database_url, autocommit=True) as superuser:
            superuser.execute("ALTER TABLE audit_checkpoints DISABLE TRIGGER ALL")
            superuser.execute("DELETE FROM audit_checkpoints WHERE log = %s", (LOG,))
            superuser.execute("TRUNCATE audit_faults")
            superuser.execute("ALTER TABLE audit_cosignatures DISABLE TRIGGER ALL")
            superuser.execute("DELETE FROM audit_cosignatures WHERE origin = %s", (before,))
        await put_restore(app, 2, [await account_of(app, newest)])
        await bump(app, 2)
        assert "generation" in findings(await judged(app, database_url, keeper), Verdict.EXTERNAL)
        # approved even, as if the key of approvals were known too: it names an older head than is held
        await put_restore(app, 2, [await account_of(app, older)], key=app.runtime.keyring.verification)
        result = await judged(app, database_url, keeper)
        assert findings(result, Verdict.LINKAGE) == {"root"}
        assert {one.log for one in result.verdicts[Verdict.LINKAGE].first} == {LOG}


async def test_a_restored_ledger_passes_until_its_generation_is_lowered(database_url: str, place: Path) -> None:
    async with started_app(database_url) as app, keeping(app) as keeper:
        await origin(app)
        await grow(app.runtime, LOG, 40)
        await signed(app, keeper)
        await write_anew(app, LOG, 50)
        await rollback.check_before_append(app.runtime)
        assert not sound(await judged(app, database_url, keeper))
        async with app.runtime.database.transaction() as session:
            await restore.restore(session, app.runtime, reason="why", requested_by="a", approved_by="b")
        await signed(app, keeper)
        after = await judged(app, database_url, keeper)
        assert sound(after), after.verdicts.to_tree()
        assert after.verdicts[Verdict.EXTERNAL].outcome is Outcome.OK
        await bump(app, 1)
        assert findings(await judged(app, database_url, keeper), Verdict.EXTERNAL) == {"generation"}


async def test_a_later_generation_that_a_party_knows_of_fails(database_url: str, place: Path) -> None:
    async with started_app(database_url) as app, keeping(app) as keeper:
        name = await origin(app)
        await grow(app.runtime, LOG, 4)
        await signed(app, keeper)
        later = HeldHead("dir:kept", f"{name}/r2", 4, (await signed_heads(app, name))[0].root)
        plan = Plan(keys_of(app.runtime), held=(later,))
        with opened(database_url) as connection:
            result = await asyncio.to_thread(verify, connection, plan)
    assert findings(result, Verdict.EXTERNAL) == {"generation"}


async def test_a_witness_that_came_back_with_another_key_is_noted_and_a_false_cosignature_found(
    app: App, database_url: str
) -> None:
    await grow(app.runtime, LOG, 5)
    genesis = await sign(app, database_url)
    old, new = (SignerKey(WITNESS, bytes([number]) * 32, KeyType.COSIGNATURE) for number in (7, 8))
    with psycopg.connect(database_url, autocommit=True) as connection:
        heads = connection.execute("SELECT origin, size, note FROM audit_checkpoints WHERE size > 0").fetchall()
        for name, size, raw in heads:
            text = checkpoint.Checkpoint.parse(note.split(raw)[0]).format()
            line = note.cosign(text, old, 1_700_000_000).line().encode()
            connection.execute(
                "INSERT INTO audit_cosignatures (origin, size, witness, receipt, witnessed_at)"
                " VALUES (%s, %s, %s, %s, now())", (name, size, WITNESS, line),
            )  # fmt: skip

    def external(key: SignerKey) -> tuple[set[str], list[str]]:
        plan = Plan(keys_of(app.runtime), genesis=genesis, witnesses=(key.verifier.encode(),))
        with opened(database_url) as connection:
            result = verify(connection, plan)
        tally = result.verdicts[Verdict.EXTERNAL]
        return findings(result, Verdict.EXTERNAL), [one.detail for one in tally.notes]

    assert external(old) == (set(), [])
    assert external(new) == (
        set(),
        [f"{len(heads)} cosignatures of {WITNESS} are by a key that is not known here: they were not verified"],
    )
    for receipt in (note.cosign(text + "more\n", old, 1_700_000_000).line().encode(), b"no line", b""):
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute("ALTER TABLE audit_cosignatures DISABLE TRIGGER ALL")
            connection.execute("UPDATE audit_cosignatures SET receipt = %s", (receipt,))
        assert external(old)[0] == {"witness"}
