"""Fixtures every test may use."""

import gc
import os
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator

import pytest
import structlog

from tests.support import databases
from tests.support.app import App, started_app

GC_THRESHOLDS = (20_000, 20, 20)
"""A screen of the console makes thousands of objects that live as long as it does."""


def pytest_configure(config: pytest.Config) -> None:
    """Hear Ctrl-C and hang-ups whoever started us: under nohup or in the background both are ignored, and inherited."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    # backends under test keep their files where nobody's own are, nor those of another worker of a parallel run
    if hasattr(config, "workerinput") or "WATCHFLOOR_DATA_DIR" not in os.environ:
        os.environ["WATCHFLOOR_DATA_DIR"] = tempfile.mkdtemp(prefix="wf-test-state-")


def pytest_collection_finish() -> None:
    """Look through what was imported no more when garbage is collected: that takes a tenth of a run."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)


@pytest.fixture(scope="session", autouse=True)
def plain_log() -> None:
    """Log lines as text: the library's default prints tracebacks with every local variable, which takes seconds."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.format_exc_info,
            structlog.processors.KeyValueRenderer(key_order=["level", "event"]),
        ]
    )


@pytest.fixture(scope="session")
def template_database() -> Iterator[str]:
    """The migrated database of this worker."""
    with databases.migrated_template() as name:
        yield name


@pytest.fixture
def database_url(template_database: str) -> Iterator[str]:
    """A database of the test's own, at the newest schema."""
    name, url = databases.create_database(template_database)
    yield url
    databases.drop_database(name)


@pytest.fixture
async def app(database_url: str) -> AsyncIterator[App]:
    """A started backend on a database of its own, monitors off."""
    async with started_app(database_url) as running:
        yield running
