"""Builds the parts of one backend process. Connects to nothing."""

import os
import socket
from pathlib import Path

from backend.clock import SYSTEM_CLOCK, Clock
from backend.context import Runtime
from backend.db import Database, place_of
from backend.emitter import BOOT_BYTES, Emitter
from backend.keyring import load_keyring
from backend.known_callers import CALLERS_FILE_NAME, KnownCallers
from backend.latched import JOURNAL_DIRECTORY
from backend.policy.load import load_policy
from backend.reserve import Reserve
from backend.revocations import FILE_NAME, Revocations
from backend.settings import Settings
from backend.spool import spool_of
from backend.timed import TimedCache
from backend.write_path import WritePath

_KEPT_S = 1.0
"""How long a process believes what it read of a subject: an erasure elsewhere is noticed after this."""
_KEPT_MAX = 1_000
"""Subjects remembered; a floor has tens of people."""
_SEEN_KEPT_S = 900.0
"""Longer than somebody pages through what they have found."""
_SEEN_MAX = 50_000
"""Questions times closed partitions, some hundred bytes each."""


def _callers_file(settings: Settings) -> Path:
    return settings.data_dir / JOURNAL_DIRECTORY / place_of(settings.database_url) / CALLERS_FILE_NAME


def build_runtime(settings: Settings, clock: Clock = SYSTEM_CLOCK) -> Runtime:
    """Read the policy and the master key and number the process.

    Raises:
        ConfigurationError: the policy file or the master key is wrong.
    """
    policy = load_policy(settings.policy)
    node = f"{socket.gethostname()[:50]}:{os.getpid()}"
    keyring = load_keyring(settings, clock)
    boot = clock.random_bytes(BOOT_BYTES).hex()
    database = Database(settings)
    return Runtime(
        settings=settings,
        policy=policy,
        clock=clock,
        database=database,
        keyring=keyring,
        emitter=Emitter(node=node, boot=boot),
        subjects=TimedCache(_KEPT_S, _KEPT_MAX, clock.monotonic),
        names=TimedCache(_KEPT_S, _KEPT_MAX, clock.monotonic),
        data_keys=TimedCache(_KEPT_S, _KEPT_MAX, clock.monotonic),
        barren=TimedCache(_SEEN_KEPT_S, _SEEN_MAX, clock.monotonic),
        revocations=Revocations(settings.data_dir / FILE_NAME, keyring.revocations),
        write_path=WritePath(spool_of(settings.data_dir, boot)),
        reserve=Reserve(settings, database.nodes),
        callers=KnownCallers(_callers_file(settings), keyring.freezes, place_of(settings.database_url)),
    )
