"""Fixtures of the unit tests."""

from collections.abc import Iterator

import pytest

from tests.support import databases


@pytest.fixture
def empty_database_url() -> Iterator[str]:
    """A database without any table."""
    name, url = databases.create_database()
    yield url
    databases.drop_database(name)
