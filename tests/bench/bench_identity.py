"""Measures a sign-in with all three factors, and what deciding whether somebody may do something adds to a request.

The hardware key is a software one behind a socket that speaks the agent's protocol: nobody has to touch it, so what is
measured is the machine's time. Requests are not limited, and codes are forgotten in between: each counts only once.
"""

import asyncio
import itertools
import statistics
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import psycopg

from backend.auth.restrictions import Standing, is_watched, judge
from backend.auth.totp import code_at
from backend.demand import Demand, Effect
from backend.main import create_app
from backend.policy.access import Role, SignInRules
from backend.settings import Settings
from console.client.agent import Agent
from console.client.api import Api
from console.client.signing_in import log_in
from console.client.touch import Touch
from contract.auth import Factor
from contract.permissions import Permission
from tests.bench.report import Row
from tests.support import databases
from tests.support.api_fuzz import OPEN_POLICY
from tests.support.backends import backend
from tests.support.hardware import agent_of, desk
from tests.support.people import OFFICER, PASSWORD, TOTP_SECRET, sign_in
from tests.support.signing_in import enrol

SIGN_INS: Final = 40
SIGN_IN_LIMIT_MS: Final = 1_500.0
CHECK_ROUNDS: Final = 200
CHECK_LIMIT_US: Final = 200.0
_SUBJECT: Final = "identity"
_FORGET_CODES: Final = "UPDATE users SET last_totp_step = 0"


def run() -> list[Row]:
    """Measure."""
    with databases.migrated_template() as template, tempfile.TemporaryDirectory(prefix="wf-bench-id-") as scratch:
        name, url = databases.create_database(template)
        try:
            return asyncio.run(_measured(url, Path(scratch)))
        finally:
            databases.drop_database(name)


async def _measured(url: str, scratch: Path) -> list[Row]:
    policy = scratch / "open.toml"
    policy.write_text(OPEN_POLICY)
    settings = Settings(database_url=url, policy=str(policy), data_dir=scratch / "state")
    runtime = create_app(settings, monitors=False).state.runtime
    env = {"WATCHFLOOR_POLICY": str(policy), "WATCHFLOOR_DATA_DIR": str(scratch / "state")}
    with desk() as held:
        try:
            await sign_in(runtime, OFFICER)
            await enrol(runtime, OFFICER, held)
        finally:
            await runtime.database.close()
        async with agent_of(held) as socket:
            with backend(url, scratch / "backend.log", env=env) as running:
                times = [await _sign_in(running.url, url, socket) for _ in range(SIGN_INS + 1)][1:]
    cuts = statistics.quantiles(times, n=100)
    note = f"password, code and key, {len(times)} times, both sides and the agent on one machine"
    return [
        Row(_SUBJECT, "sign-in with all three factors p50", statistics.median(times), "ms", note=note),
        Row(_SUBJECT, "sign-in with all three factors p99", cuts[98], "ms", SIGN_IN_LIMIT_MS, note=note),
        *_checks(list(runtime.policy.roles.values()), runtime.policy.sign_in.watchfloor),
    ]


async def _sign_in(backend_url: str, database_url: str, socket: str) -> float:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(_FORGET_CODES)
    began = time.perf_counter()
    async with Api(backend_url) as api:
        touch = Touch(lambda: Agent(socket), lambda _: None)
        await log_in(api, OFFICER.name, PASSWORD, code_at(TOTP_SECRET, datetime.now(UTC)), touch)
    return (time.perf_counter() - began) * 1_000


def _checks(roles: list[Role], rules: SignInRules) -> list[Row]:
    """Every role, as it is after a whole sign-in, asks for every permission with every effect."""
    factors = frozenset(Factor)
    standings = [Standing(role, "127.0.0.1", factors, window_open=True) for role in roles]
    demands = [Demand(*asked) for asked in itertools.product(Permission, Effect)]
    cases = list(itertools.product(demands, standings))
    times = []
    for _ in range(CHECK_ROUNDS):
        began = time.perf_counter()
        for demand, standing in cases:
            if judge(demand, standing, rules) is None:
                is_watched(demand, standing.role)
        times.append((time.perf_counter() - began) * 1e6 / len(cases))
    note = f"{len(cases):,} combinations of role, permission and effect, {CHECK_ROUNDS} rounds; no query of its own"
    return [
        Row(_SUBJECT, "permission check, p50 of a round", statistics.median(times), "µs", note=note),
        Row(_SUBJECT, "permission check, slowest round", max(times), "µs", CHECK_LIMIT_US, note=note),
    ]
