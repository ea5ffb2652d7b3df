"""A directory that several write to: each file is there once and whole, whoever was first."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from backend.stores import DirectoryStore
from witness.files import write_new

WRITERS = 12


async def test_of_many_who_store_a_file_at_once_one_does_and_none_fails(tmp_path: Path) -> None:
    sources = [tmp_path / f"source-{number}" for number in range(WRITERS)]
    for number, source in enumerate(sources):
        source.write_bytes(bytes([number]) * 100_000)
    store = DirectoryStore(tmp_path / "kept")
    stored = await asyncio.gather(*(store.put_new("a/b.bin", source) for source in sources))
    assert stored.count(True) == 1
    assert (tmp_path / "kept/a/b.bin").read_bytes() == sources[stored.index(True)].read_bytes()
    assert [path.name for path in (tmp_path / "kept/a").iterdir()] == ["b.bin"]


def test_of_many_who_make_a_file_at_once_one_does_and_none_fails(tmp_path: Path) -> None:
    path = tmp_path / "head"
    given = [bytes([number]) * 10_000 for number in range(WRITERS)]
    with ThreadPoolExecutor(WRITERS) as writers:
        made = list(writers.map(lambda data: write_new(path, data), given))
    assert made.count(True) == 1
    assert path.read_bytes() == given[made.index(True)]
    assert [one.name for one in tmp_path.iterdir()] == ["head"]
