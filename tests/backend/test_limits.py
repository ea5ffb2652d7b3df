"""Limits on requests: what is counted, that the database counts as the rules say, and that many backends share it."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import httpx
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, text

from backend.db import Database
from backend.limits import AWAY_S, Limiter
from backend.limits_core import account_key, address_group, class_of, grant, wait_us
from backend.limits_store import PRUNE, Accounts, Ask
from backend.limits_tables import RequestAllowance
from backend.metrics import Metrics
from backend.policy.transport import Allowance, RequestClass
from backend.settings import Settings
from tests.support.app import App, started_app
from tests.support.backends import backend
from tests.support.people import OFFICER, OPERATOR, sign_in

SECRET = b"0" * 32
MINUTE_US = 60_000_000
TRUNCATE = text("TRUNCATE request_allowances")
KEYS = select(RequestAllowance.key)
TIGHT = """
extends = "mev"
[transport.watchfloor.limits.reads]
token = { burst = 4, per_minute = 1, taken_ahead = 1 }
address = { burst = 20, per_minute = 1, taken_ahead = 1 }
[transport.watchfloor.limits.sign_ins]
address = { burst = 3, per_minute = 1 }
"""
TIGHT_TOGETHER = """
extends = "mev"
[transport.watchfloor.limits.reads]
token = { burst = 20, per_minute = 1, taken_ahead = 5 }
"""


@pytest.mark.parametrize(
    ("method", "path", "kind"),
    [
        ("POST", "/v1/freezes", None),
        ("POST", "/v1/gate/renew", None),
        ("GET", "/healthz", None),
        ("GET", "/v1/freezes", RequestClass.READS),
        ("POST", "/v1/freezes/", RequestClass.WRITES),
        ("POST", "/v1/freezes/F-1/thaw", RequestClass.WRITES),
        ("POST", "/v1/auth/login", RequestClass.SIGN_INS),
        ("POST", "/v1/auth/login/hardware", RequestClass.SIGN_INS),
        ("POST", "/v1/auth/logout", RequestClass.WRITES),
        ("GET", "/v1/auth/whoami", RequestClass.READS),
        ("GET", "/v1/audit/export", RequestClass.EXPORTS),
        ("GET", "/v1/ledger/bundle", RequestClass.EXPORTS),
        ("PUT", "/v1/audit/saved/x", RequestClass.WRITES),
        ("BREW", "/", RequestClass.WRITES),
    ],
)
def test_what_a_request_counts_as(method: str, path: str, kind: RequestClass | None) -> None:
    assert class_of(method, path) is kind


def test_addresses_of_one_subscriber_share_an_account() -> None:
    assert address_group("192.0.2.7") == address_group("::ffff:192.0.2.7") == "192.0.2.7"
    assert address_group("2001:db8:1:2:3:4:5:6") == address_group("2001:db8:1:2::9") == "2001:db8:1:2::"
    assert address_group("2001:db8:1:3::9") != address_group("2001:db8:1:2::9")
    assert address_group("not an address") == "not an address"


def test_an_account_does_not_say_whose_it_is() -> None:
    key = account_key(SECRET, RequestClass.READS, "address", "192.0.2.7")
    assert "192" not in key
    assert len(key) <= 80
    assert key != account_key(b"1" * 32, RequestClass.READS, "address", "192.0.2.7")
    assert key != account_key(SECRET, RequestClass.READS, "token", "192.0.2.7")
    assert key != account_key(SECRET, RequestClass.WRITES, "address", "192.0.2.7")


allowances = st.builds(
    lambda burst, per_minute, ahead: Allowance(burst=burst, per_minute=per_minute, taken_ahead=min(ahead, burst)),
    st.integers(1, 50),
    st.sampled_from([1, 7, 60, 999, 6_000, MINUTE_US]),
    st.integers(1, 20),
)


@settings(max_examples=200, deadline=None)
@given(allowance=allowances, steps=st.lists(st.tuples(st.integers(0, 3 * MINUTE_US), st.integers(1, 60)), max_size=40))
def test_an_account_never_gives_more_than_its_burst_and_its_rate(
    allowance: Allowance, steps: list[tuple[int, int]]
) -> None:
    now, asked_at, full_at, given_at = 10**15, 0, 0, []
    for step, wanted in steps:
        now += step
        found = grant(full_at, asked_at, now, wanted, allowance)
        assert 0 <= found.granted <= wanted
        if found.granted == 0:
            wait = wait_us(found.full_at_us, now, allowance)
            assert wait > 0
            assert grant(found.full_at_us, now, now + wait, 1, allowance).granted == 1
            assert grant(found.full_at_us, now, now + wait - 1, 1, allowance).granted == 0
        full_at, asked_at = found.full_at_us, now
        given_at.append((now, found.granted))
    for first in range(len(given_at)):
        for last in range(first, len(given_at)):
            elapsed = given_at[last][0] - given_at[first][0]
            passed = sum(granted for _, granted in given_at[first : last + 1])
            assert passed <= allowance.burst + elapsed // allowance.interval_us


def test_a_clock_set_back_leaves_an_account_as_it_was() -> None:
    allowance = Allowance(burst=5, per_minute=60)
    begun = grant(0, 0, 10**15, 2, allowance)
    assert grant(begun.full_at_us, 10**15, 10**14, 5, allowance).granted == 3
    emptied = grant(0, 0, 10**15, 5, allowance)
    later = grant(emptied.full_at_us, 10**15, 10**14, 1, allowance)
    assert later.granted == 0
    assert wait_us(later.full_at_us, 10**14, allowance) == allowance.interval_us


class Hand:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.us = 10**15

    def now_us(self) -> int:
        return self.us

    def monotonic(self) -> float:
        return self.us / 1_000_000


@asynccontextmanager
async def a_database(url: str) -> AsyncIterator[Database]:
    database = Database(Settings(database_url=url, pool_size=1))
    try:
        yield database
    finally:
        await database.close()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(
        st.tuples(st.integers(-MINUTE_US, MINUTE_US), st.integers(0, 2), st.integers(1, 50), allowances), max_size=25
    )
)
def test_the_statement_gives_what_the_rule_gives(
    database_url: str, steps: list[tuple[int, int, int, Allowance]]
) -> None:
    """Also when the policy changes between two askings, and when the clock is set back."""

    async def compare() -> None:
        hand = Hand()
        full_at, asked_at = dict.fromkeys(range(3), 0), dict.fromkeys(range(3), 0)
        async with a_database(database_url) as database:
            async with database.transaction() as session:
                await session.execute(TRUNCATE)
            accounts = Accounts(database, hand.now_us)
            try:
                for step, which, wanted, allowance in steps:
                    hand.us += step
                    asked = min(wanted, allowance.burst)
                    answer = (await accounts.take([Ask(f"key {which}", allowance, asked)]))[f"key {which}"]
                    expected = grant(full_at[which], asked_at[which], hand.us, asked, allowance)
                    assert (answer.granted, answer.full_at_us) == (expected.granted, expected.full_at_us)
                    full_at[which], asked_at[which] = expected.full_at_us, hand.us
            finally:
                await accounts.close()

    asyncio.run(compare())


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    allowance=allowances,
    backends=st.integers(1, 4),
    steps=st.lists(
        st.tuples(st.integers(0, 3), st.integers(1, 25), st.integers(0, 5_000_000)), min_size=1, max_size=25
    ),
)
@example(
    allowance=Allowance(burst=10, per_minute=60, taken_ahead=10),
    backends=4,
    steps=[(0, 1, 0), (1, 1, 0), (2, 1, 0), (3, 1, 30 * 1_000_000), (0, 25, 0), (1, 25, 0), (2, 25, 0), (3, 25, 0)],
)
def test_all_backends_together_let_no_more_through_than_the_limit_and_what_they_took_ahead(
    database_url: str, allowance: Allowance, backends: int, steps: list[tuple[int, int, int]]
) -> None:
    async def ask(limiter: Limiter, count: int) -> int:
        answers = await asyncio.gather(*(limiter.refused_for_s("key", allowance) for _ in range(count)))
        return sum(answer is None for answer in answers)

    async def play() -> tuple[list[tuple[int, int]], float]:
        hand, passed, metrics = Hand(), [], Metrics()
        async with a_database(database_url) as database:
            async with database.transaction() as session:
                await session.execute(TRUNCATE)
            limiters = [Limiter(Accounts(database, hand.now_us), metrics, hand.monotonic) for _ in range(backends)]
            for which, count, pause_us in steps:
                passed.append((hand.us, await ask(limiters[which % backends], count)))
                hand.us += pause_us
            for limiter in limiters:
                async with limiter.running():
                    pass
        return passed, metrics.registry.get_sample_value("watchfloor_requests_uncounted_total") or 0

    passed, uncounted = asyncio.run(play())
    if uncounted:  # a machine too busy to answer within the limit: nothing was promised
        return
    for first in range(len(passed)):
        for last in range(first, len(passed)):
            elapsed = passed[last][0] - passed[first][0]
            bound = allowance.burst + elapsed // allowance.interval_us + backends * allowance.taken_ahead
            assert sum(count for _, count in passed[first : last + 1]) <= bound


async def test_few_requests_cost_a_statement(database_url: str) -> None:
    allowance = Allowance(burst=1_000, per_minute=60, taken_ahead=100)
    asked = 0

    class Counted(Accounts):
        async def take(self, asks: object) -> object:  # type: ignore[override]
            nonlocal asked
            asked += 1
            return await super().take(asks)  # type: ignore[arg-type]

    async with (
        a_database(database_url) as database,
        Limiter(Counted(database), Metrics(), Hand().monotonic).running() as limiter,
    ):
        for _ in range(900):
            assert await limiter.refused_for_s("key", allowance) is None
    assert asked <= 900 // (100 * 3 // 4) + 2


async def test_it_falls_open_when_the_database_refuses_and_asks_again_later() -> None:
    hand, metrics = Hand(), Metrics()
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # not listening: a connection is refused
        url = f"postgresql://nobody@127.0.0.1:{closed.getsockname()[1]}/nothing"
        await _falls_open(url, hand, metrics)


async def test_it_falls_open_when_the_database_hangs() -> None:
    hand, metrics = Hand(), Metrics()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        await _falls_open(f"postgresql://nobody@127.0.0.1:{silent.getsockname()[1]}/nothing", hand, metrics)


async def _falls_open(url: str, hand: Hand, metrics: Metrics) -> None:
    allowance = Allowance(burst=1, per_minute=1)
    async with a_database(url) as database, Limiter(Accounts(database), metrics, hand.monotonic).running() as limiter:
        for _ in range(5):  # only the first waits
            assert await limiter.refused_for_s("key", allowance) is None
        hand.us += int(AWAY_S * 1_000_000) + 1
        assert await limiter.refused_for_s("key", allowance) is None
    assert metrics.registry.get_sample_value("watchfloor_requests_uncounted_total") == 6


async def test_full_accounts_are_dropped(app: App) -> None:
    runtime = app.runtime
    accounts = Accounts(runtime.database)
    empty = Allowance(burst=1, per_minute=1)
    full = Allowance(burst=1, per_minute=MINUTE_US)
    try:
        await accounts.take([Ask("empty", empty, 1), Ask("full", full, 1)])
    finally:
        await accounts.close()
    async with runtime.database.transaction() as session:
        await PRUNE.tick(session, runtime)
    async with runtime.database.read() as session:
        left = set(await session.scalars(KEYS))
    assert "empty" in left
    assert "full" not in left


async def test_too_many_requests_are_told_when_to_come_back_and_freezing_is_not_among_them(
    database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    policy = tmp_path_factory.mktemp("policy") / "tight.toml"
    policy.write_text(TIGHT)
    async with started_app(database_url, policy=str(policy)) as app:
        operator, officer = await app.as_(OPERATOR), await app.as_(OFFICER)
        answers = [await operator.get("/v1/status") for _ in range(6)]
        assert [answer.status_code for answer in answers] == [200] * 4 + [429] * 2
        refused = answers[-1]
        assert refused.json()["code"] == "rate_limited"
        assert 1 <= int(refused.headers["retry-after"]) <= 60
        assert refused.headers["cache-control"] == "no-store"
        scheme, _, token = operator.headers["authorization"].partition(" ")
        for written in (f"{scheme.lower()} {token}", f"{scheme}   {token}", f"{scheme} {token} "):
            again = await app.http.get("/v1/status", headers={"authorization": written})
            assert again.status_code == 429, "however it is written, it is one token"
        assert (await officer.get("/v1/status")).status_code == 200, "another token has an account of its own"
        for number in range(6):
            frozen = await officer.post(
                "/v1/freezes", json={"scopes": ["global"], "mode": "halt", "reason": f"limits do not hold {number}"}
            )
            assert frozen.status_code != 429
        logins = [await app.http.post("/v1/auth/login", json={}) for _ in range(4)]
        assert [answer.status_code for answer in logins] == [422] * 3 + [429], "counted before anything is read"
        nobody = [await app.http.get("/v1/status", headers={"authorization": f"Bearer {n}"}) for n in range(20)]
        assert 429 in {answer.status_code for answer in nobody}, "made-up tokens share their address"


def _uncounted(metrics: str) -> int:
    """How many requests a backend let through because the database was too slow to be asked: a busy machine's."""
    line = next(line for line in metrics.splitlines() if line.startswith("watchfloor_requests_uncounted_total "))
    return int(float(line.split()[1]))


async def test_the_limit_holds_for_the_whole_of_two_processes(database_url: str, tmp_path: Path) -> None:
    policy = tmp_path / "tight.toml"
    policy.write_text(TIGHT_TOGETHER)
    with ExitStack() as stack:
        env = {"WATCHFLOOR_POLICY": str(policy)}
        urls = [
            stack.enter_context(backend(database_url, tmp_path / f"backend-{n}.log", env=env)).url for n in range(2)
        ]
        async with started_app(database_url) as own:
            token = await sign_in(own.runtime, OPERATOR)
        headers = {"authorization": f"Bearer {token}"}
        began = time.monotonic()
        async with httpx.AsyncClient(headers=headers, timeout=60) as client:
            answers = [(await client.get(f"{urls[n % 2]}/v1/status")).status_code for n in range(80)]
            metrics = [(await client.get(f"{url}/metrics")).text for url in urls]
        uncounted = sum(map(_uncounted, metrics))
    assert set(answers) == {200, 429}
    minutes = int((time.monotonic() - began) / 60) + 1
    assert answers.count(200) - uncounted <= 20 + minutes + 2 * 5
    assert answers.count(200) >= 20 - 2 * 5
