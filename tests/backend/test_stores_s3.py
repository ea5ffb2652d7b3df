"""Copies in S3-compatible storage: with the real client, against a bucket on this machine."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from backend.stores import NotStoredError, Store, StoreError, open_store
from tests.support.bucket import Bucket, running_bucket

pytest.importorskip("obstore", reason="the extra s3 is not installed")


@pytest.fixture
def bucket() -> Iterator[Bucket]:
    with running_bucket() as serving:
        yield serving


async def content(store: Store, name: str) -> bytes:
    return b"".join([piece async for piece in store.read(name)])


async def test_a_file_is_stored_once_and_read_back(bucket: Bucket, tmp_path: Path) -> None:
    store, source = open_store("s3://bucket/some/prefix", **bucket.options), tmp_path / "source"
    source.write_bytes(bytes(range(256)) * 30_000)  # more than a part of a multipart upload
    assert await store.put_new("a/b.gz", source)
    assert list(bucket.objects) == ["/bucket/some/prefix/a/b.gz"]
    assert await content(store, "a/b.gz") == source.read_bytes()
    source.write_bytes(b"another")
    assert not await store.put_new("a/b.gz", source)
    assert len(await content(store, "a/b.gz")) == 256 * 30_000
    assert bucket.unconditional == 0
    with pytest.raises(NotStoredError):
        await content(store, "a/c.gz")


async def test_files_are_listed_by_how_their_names_end(bucket: Bucket, tmp_path: Path) -> None:
    store, source = open_store("s3://bucket/some/prefix", **bucket.options), tmp_path / "source"
    source.write_bytes(b"x")
    for name in ("l/r1/7y/0/manifest.json", "l/r1/7y/0/nodes-1.json", "l/r1/3y/0/manifest.json"):
        assert await store.put_new(name, source)
    assert sorted([name async for name in store.names("manifest.json")]) == [
        "l/r1/3y/0/manifest.json",
        "l/r1/7y/0/manifest.json",
    ]
    bucket.down = True
    with pytest.raises(StoreError):
        [name async for name in store.names("")]


async def test_a_bucket_that_is_away_is_not_called_empty(bucket: Bucket, tmp_path: Path) -> None:
    store, source = open_store("s3://bucket", **bucket.options), tmp_path / "source"
    source.write_bytes(b"x")
    bucket.down = True
    with pytest.raises(StoreError):
        await store.put_new("a", source)
    with pytest.raises(StoreError):
        await content(store, "a")
    bucket.down = False
    assert await store.put_new("a", source)
