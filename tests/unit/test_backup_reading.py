"""What backups say about themselves is read from hostile bytes: facts, or a sentence, and nothing else."""

import json
from contextlib import suppress
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.continuity import backup_looking
from backend.continuity.backup_reading import BackupError, base_backup, dump_header, pgbackrest, wal_g
from backend.policy.recovery import BackupSource
from contract.recovery import BackupState

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def number(value: int) -> bytes:
    return bytes([0]) + value.to_bytes(4, "little")


def text(value: str) -> bytes:
    return number(len(value.encode())) + value.encode()


def header(minor: int, form: int = 1, year: int = 126) -> bytes:
    """As pg_dump writes it: since archive version 1.15 the compression is one byte."""
    compression = b"\x01" if minor >= 15 else number(6)
    when = b"".join(number(part) for part in (51, 30, 11, 23, 10, year, 0))
    return (
        b"PGDMP" + bytes([1, minor, 0, 4, 8, form]) + compression + when + text("floor") + text("18.6") + text("18.6")
    )


@pytest.mark.parametrize("minor", [14, 15, 16])
def test_headers_of_dumps_of_several_versions(minor: int) -> None:
    found = dump_header(header(minor))
    assert found is not None
    assert (found.form, found.database, found.server) == ("custom", "floor", "18.6")
    assert found.made_at == datetime(2026, 11, 23, 11, 30, 51).astimezone(UTC)


def test_what_is_no_dump_and_what_is_a_bad_one() -> None:
    assert dump_header(b"-- PostgreSQL database dump") is None
    for bad in (header(16)[:20], header(16, form=3), header(16, year=2**31), header(5), b"PGDMP"):
        with pytest.raises(BackupError):
            dump_header(bad)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_header_or_none(raw: bytes) -> None:
    for one in (raw, b"PGDMP" + raw, header(16)[:11] + raw):
        with suppress(BackupError):
            dump_header(one)


def manifest(files: list[dict[str, Any]], **more: Any) -> bytes:
    tree = {"PostgreSQL-Backup-Manifest-Version": 2, "System-Identifier": 7, "Files": files}
    tree |= {"WAL-Ranges": [{"Timeline": 1, "Start-LSN": "0/2000028", "End-LSN": "0/2000120"}], **more}
    body = json.dumps(tree)[:-1].encode() + b",\n"
    return body + b'"Manifest-Checksum": "' + sha256(body).hexdigest().encode() + b'"}\n'


LABEL = {"Path": "backup_label", "Size": 200, "Last-Modified": "2026-11-23 10:00:00 GMT"}


def test_the_manifest_of_a_base_backup() -> None:
    encoded = {"Encoded-Path": b"base/\xff".hex(), "Size": 5, "Last-Modified": "2026-11-23 10:00:00 GMT"}
    found = base_backup(manifest([LABEL, encoded]))
    assert (found.made_at, found.size_bytes, found.end_lsn) == (
        datetime(2026, 11, 23, 10, tzinfo=UTC),
        205,
        "0/2000120",
    )


@pytest.mark.parametrize(
    "raw",
    [
        manifest([LABEL]).replace(b"200", b"201"),
        manifest([LABEL])[:-4],
        manifest([]),
        manifest([LABEL, {"Path": "../../etc/passwd", "Size": 1}]),
        manifest([LABEL, {"Path": "/etc/passwd", "Size": 1}]),
        manifest([LABEL, {"Path": "x", "Size": -1}]),
        manifest([LABEL, {"Path": "x", "Size": "1"}]),
        manifest([LABEL], **{"PostgreSQL-Backup-Manifest-Version": 9}),
        manifest([{**LABEL, "Last-Modified": "yesterday"}]),
        b"",
        b"[" * 100_000,
    ],
)
def test_manifests_that_are_not_believed(raw: bytes) -> None:
    with pytest.raises(BackupError):
        base_backup(raw)


def stanza(**more: Any) -> dict[str, Any]:
    """As pgBackRest 2.59 prints one, `info --output=json`."""
    backup = {
        "archive": {"start": "000000010000000000000003", "stop": "000000010000000000000004"},
        "backrest": {"format": 5, "version": "2.59"}, "database": {"id": 1, "repo-key": 1}, "error": False,
        "info": {"delta": 32230330, "repository": {"delta": 3970793, "size": 3970793}, "size": 32230330},
        "label": "20261123-090000F", "lsn": {"start": "0/3000028", "stop": "0/4000050"}, "prior": None,
        "reference": None, "timestamp": {"start": 1795424400, "stop": 1795424460}, "type": "full",
    }  # fmt: skip
    return {
        "backup": [{**backup, "label": "old", "timestamp": {"start": 1, "stop": 2}}, backup],
        "cipher": "none", "name": "floor",
        "repo": [{"cipher": "none", "key": 1, "status": {"code": 0, "message": "ok"}}],
        "status": {"code": 0, "lock": {"backup": {"held": False}}, "message": "ok"}, **more,
    }  # fmt: skip


def printed(*stanzas: Any) -> bytes:
    return json.dumps(list(stanzas)).encode()


def test_what_pgbackrest_lists() -> None:
    found = pgbackrest(printed(stanza(name="other"), stanza()), "floor")
    assert found is not None
    assert (found.name, found.size_bytes) == ("20261123-090000F", 32230330)
    assert found.made_at == datetime.fromtimestamp(1795424460, UTC)
    assert pgbackrest(printed(stanza(backup=[])), "floor") is None
    assert pgbackrest(printed(stanza(status={"code": 2, "message": "no valid backups"})), "") is None


def test_what_pgbackrest_complains_of() -> None:
    damaged = stanza()
    damaged["backup"][1]["error"] = True
    repo = [{"key": 1, "status": {"code": 99, "message": "[PathOpenError] permission denied"}}]
    for told, word in (
        (printed(damaged), "damaged pages"),
        (printed(stanza(status={"code": 99, "message": "other"}, repo=repo)), "permission denied"),
        (printed(stanza(status={"code": 1, "message": "missing stanza path"})), "missing stanza path"),
        (printed(stanza(name="another")), "tells nothing"),
        (printed(stanza(status=None)), "no status"),
        (b"{}", "not what it should be"),
        (b"pgbackrest: command not found", "not JSON"),
    ):
        with pytest.raises(BackupError, match=word.replace("[", "\\[")):
            pgbackrest(told, "floor")


def test_what_wal_g_lists_in_its_versions() -> None:
    older = {"backup_name": "base_1", "modification_time": "2026-11-22T01:01:01.000000001Z", "wal_file_name": "Z"}
    newer = {"backup_name": "base_2", "time": "2026-11-23T09:00:00Z", "wal_file_name": "Z", "storage_name": "default"}
    detail = {**newer, "finish_time": "2026-11-23T09:05:00.123456789Z", "compressed_size": 77, "is_permanent": False}
    assert wal_g(b"[]") is None
    for listed, name, minute in (([older, newer], "base_2", 0), ([detail, older], "base_2", 5)):
        found = wal_g(json.dumps(listed).encode())
        assert found is not None
        assert (found.name, found.made_at.minute) == (name, minute)
    zero = {"backup_name": "base_3", "time": "0001-01-01T00:00:00Z"}
    for bad in (json.dumps([zero]).encode(), b"null", b'[{"backup_name": 1}]'):
        with pytest.raises(BackupError):
            wal_g(bad)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "name",
                        "status",
                        "code",
                        "backup",
                        "timestamp",
                        "stop",
                        "repo",
                        "message",
                        "error",
                        "label",
                        "info",
                        "size",
                        "time",
                    ]
                ),
                inner,
            )
        ),
        max_leaves=12,
    )
)
def test_any_json_is_a_backup_or_a_sentence(tree: object) -> None:
    for raw in (
        json.dumps(tree).encode(),
        printed(tree),
        printed({"name": "floor", "status": {"code": 0}, "backup": tree}),
    ):
        for read in (lambda raw: pgbackrest(raw, "floor"), wal_g):
            with suppress(BackupError):
                read(raw)


def test_the_lists_of_tools_are_looked_at_like_backups(tmp_path: Path) -> None:
    file = tmp_path / "info.json"
    source = BackupSource(data="System State", kind="pgbackrest", location=str(file), max_age_hours=24, stanza="floor")
    assert backup_looking.look(source, NOW).state is BackupState.MISSING
    file.write_bytes(printed(stanza()))
    at = datetime.fromtimestamp(1795424460, UTC)
    assert backup_looking.look(source, at).state is BackupState.OK
    seen = backup_looking.look(source, at.replace(day=at.day + 2))
    assert (seen.state, "24 h are allowed" in seen.found) == (BackupState.STALE, True)
    file.write_bytes(printed(stanza(name="\x00\ud800")))
    seen = backup_looking.look(source, NOW)
    assert seen.state is BackupState.FAILED
    assert seen.found.isprintable()
