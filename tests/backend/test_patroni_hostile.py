"""The adapter of Patroni against nodes that lie, ramble, refuse, hang or are not there. No cluster is needed."""

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.clock import SYSTEM_CLOCK
from backend.continuity.cluster import patroni as module
from backend.continuity.cluster.patroni import Patroni
from backend.continuity.cluster.patroni_configured import patroni_of
from backend.continuity.cluster.patroni_line import MAX_ANSWER_BYTES, PatroniLine, addresses_of
from backend.continuity.cluster.patroni_read import View, history_of, members_of, rules_of, said_of
from backend.continuity.cluster.patroni_words import problem_of, remarks_of
from backend.continuity.cluster.port import ClusterError
from backend.errors import ConfigurationError
from backend.settings import Settings
from contract.recovery import NodeRole, Topology

A, B = "http://127.0.0.1:8008", "http://127.0.0.1:8009"
Answer = Callable[[httpx.Request], httpx.Response | Awaitable[httpx.Response]]


def own(name: str, role: str = "replica", **more: Any) -> dict[str, Any]:
    """What a healthy node says of itself."""
    streams = {"replication_state": "streaming", "sync_standby": True, "xlog": {"received_location": 90}}
    about = {"xlog": {"location": 100}} if role == "primary" else streams
    return {
        "state": "running", "role": role, "timeline": 3, "patroni": {"name": name, "scope": "floor"}, **about, **more,
    }  # fmt: skip


def member(name: str, role: str = "sync_standby", **more: Any) -> dict[str, Any]:
    return {"name": name, "role": role, "state": "streaming", "host": "10.0.0.1", "port": 5432, "lag": 10, **more}


CLUSTER = {"members": [member("a", "leader"), member("b")], "scope": "floor"}
CONFIG = {"ttl": 30, "loop_wait": 10, "synchronous_mode": True}


def healthy() -> dict[str, Any]:
    """The answers of two nodes that are well, by address and path."""
    shared = {"/cluster": CLUSTER, "/config": CONFIG, "/history": []}
    return {A: {"/patroni": own("a", "primary"), **shared}, B: {"/patroni": own("b"), **shared}}


def cluster(answers: dict[str, Any], orders: Answer | None = None) -> Patroni:
    """The adapter on made-up nodes; what is an exception is raised, what is bytes is sent as it is."""

    async def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "POST" and orders is not None:
            said = orders(request)
            return said if isinstance(said, httpx.Response) else await said
        found = answers[f"{request.url.scheme}://{request.url.netloc.decode()}"].get(request.url.path)
        if isinstance(found, Exception):
            raise found
        if isinstance(found, httpx.Response):
            return found
        return httpx.Response(200, content=found if isinstance(found, bytes) else json.dumps(found).encode())

    return Patroni(PatroniLine(list(answers), transport=httpx.MockTransport(answer)), SYSTEM_CLOCK)


def names(found: Topology) -> dict[str, NodeRole]:
    return {node.name: node.role for node in found.nodes}


async def test_a_healthy_cluster_has_no_problem_and_lag_is_what_the_nodes_say_now() -> None:
    one = cluster(healthy())
    assert one.name == "patroni"
    found = await one.topology()
    assert one.name == "floor"
    assert (found.problem, found.synchronous_mode) == ("", True)
    assert names(found) == {"a": NodeRole.PRIMARY, "b": NodeRole.STANDBY}
    assert (found.nodes[1].lag_bytes, found.nodes[1].synchronous, found.nodes[1].address) == (10, True, "10.0.0.1:5432")


async def test_two_nodes_that_both_say_primary_are_none_and_told_of() -> None:
    answers = healthy()
    answers[B]["/patroni"] = own("b", "primary")
    one = cluster(answers)
    found = await one.topology()
    assert found.primary is None
    assert "a and b both say that they are the primary" in found.problem
    with pytest.raises(ClusterError, match="Without a primary"):
        await one.switch_over()


async def test_nodes_of_different_clusters_are_told_of() -> None:
    answers = healthy()
    answers[B]["/patroni"]["patroni"]["scope"] = "other"
    assert (await cluster(answers).topology()).problem == "The nodes belong to different clusters: floor, other."


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (httpx.ConnectError("refused"), "it does not answer (ConnectError)"),
        (b"<html>", "its answer cannot be read"),
        (b"[" * 100_000, "its answer cannot be read"),
        (b'{"state": "running"}', "its answer is not Patroni's"),
        (httpx.Response(200, headers={"content-encoding": "br"}, content=b""), "its answer is compressed"),
        (b'"' + b"x" * MAX_ANSWER_BYTES + b'"', "it answers at impossible length"),
    ],
)
async def test_when_nobody_answers_as_it_should_everything_is_unknown_and_the_reason_is_told(
    said: object, why: str
) -> None:
    found = await cluster({A: {"/patroni": said}}).topology()
    assert [node.role for node in found.nodes] == [NodeRole.UNKNOWN]
    assert found.problem == f"No node of the cluster answers: {A}: {why}."
    assert found.primary is None


async def test_a_store_that_is_away_is_told_of_and_text_of_nodes_has_no_control_characters() -> None:
    answers = healthy()
    answers[A]["/cluster"] = answers[B]["/cluster"] = httpx.Response(502)
    answers[B]["/patroni"]["state"] = "evil\x1b]0;title\x07\u202e" + "x" * 500
    found = await cluster(answers).topology()
    assert "No node reaches the store" in found.problem
    assert found.problem.isprintable()
    assert names(found)["b"] is NodeRole.UNKNOWN
    assert all(node.state.isprintable() and len(node.state) < 100 for node in found.nodes)


async def test_a_node_that_only_the_others_speak_of_is_never_the_primary() -> None:
    answers = healthy()
    answers[A]["/patroni"] = httpx.ConnectError("refused")
    listed = {"members": [member("c", "leader", state="running"), member("b"), member("d", "replica")]}
    answers[B]["/cluster"] = listed
    found = await cluster(answers).topology()
    assert names(found) == {
        A: NodeRole.UNKNOWN, "b": NodeRole.STANDBY, "c": NodeRole.UNKNOWN, "d": NodeRole.STANDBY,
    }  # fmt: skip
    assert "c holds the leader's lock" in found.problem


async def test_a_refused_switchover_says_what_patroni_says_in_a_line() -> None:
    refused = httpx.Response(412, content=b"candidate name does\nnot match with \x1b[31msync_standby")
    with pytest.raises(ClusterError) as told:
        await cluster(healthy(), lambda _request: refused).switch_over()
    assert str(told.value) == "Patroni refuses (412): candidate name does not match with [31msync_standby"


async def test_an_order_whose_answer_is_lost_is_judged_by_what_the_nodes_say_next() -> None:
    answers = healthy()
    sent: list[dict[str, Any]] = []

    def order(request: httpx.Request) -> httpx.Response:
        sent.append({"path": request.url.path, **json.loads(request.content)})
        answers[A]["/patroni"], answers[B]["/patroni"] = own("a"), own("b", "primary")
        raise httpx.ReadError("gone")

    assert await cluster(answers, order).switch_over() == "b"
    assert sent == [{"path": "/switchover", "leader": "a", "candidate": "b"}]


async def test_a_standby_that_commits_do_not_wait_for_is_not_switched_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "IN_STEP_LIMIT_S", 0.0)
    answers = healthy()
    answers[B]["/patroni"]["sync_standby"] = False
    shared = {"members": [member("a", "leader"), member("b", "replica")]}
    answers[A]["/cluster"] = answers[B]["/cluster"] = shared
    with pytest.raises(ClusterError, match=r"No standby was in step within 0 s. .* none is in step"):
        await cluster(answers, lambda _request: pytest.fail("was asked")).switch_over()


async def test_a_paused_cluster_is_told_to_fail_over_to_a_standby_in_step_and_to_no_other() -> None:
    answers = healthy()
    answers[A]["/patroni"] = httpx.ConnectError("refused")
    answers[B]["/patroni"]["pause"] = True
    sent: list[dict[str, Any]] = []

    def order(request: httpx.Request) -> httpx.Response:
        sent.append({"path": request.url.path, **json.loads(request.content)})
        answers[B]["/patroni"] = own("b", "primary", pause=True)
        return httpx.Response(200, content=b'Successfully failed over to "b"')

    assert "Patroni is paused" in (await cluster(answers).topology()).problem
    assert await cluster(answers, order).fail_over() == "b"
    assert sent == [{"path": "/failover", "candidate": "b"}]
    answers[B]["/patroni"] = own("b", sync_standby=False, pause=True)
    answers[B]["/cluster"] = {"members": [member("b", "replica")]}
    with pytest.raises(ClusterError, match="of no standby is it known that it has every commit"):
        await cluster(answers, lambda _request: pytest.fail("was asked")).fail_over()


async def test_a_promotion_that_does_not_happen_ends_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SLACK_S", -80.0)  # its ttl and five rounds
    answers = healthy()
    answers[A]["/patroni"] = httpx.ConnectError("refused")
    with pytest.raises(ClusterError, match=r"No node became the primary within 0 s; .*a holds the leader's lock"):
        await cluster(answers).fail_over()


async def test_a_node_whose_patroni_nobody_starts_is_said_to_need_that(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SILENCE_LIMIT_S", 0.0)
    answers = healthy()
    answers[A]["/patroni"] = httpx.ConnectError("refused")
    answers[B]["/patroni"] = own("b", "primary")
    with pytest.raises(ClusterError, match=r"start it on that machine, e\.g\. with systemctl start patroni"):
        await cluster(answers).rejoin("a")


async def test_a_node_that_does_not_follow_in_time_is_said_to_be_copied_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FOLLOW_LIMIT_S", 0.0)
    answers = healthy()
    answers[B]["/patroni"] = own("b", replication_state="starting")
    one = cluster(answers)
    with pytest.raises(ClusterError, match=r"b does not follow within 0 s. .*`patronictl reinit floor b`"):
        await one.rejoin("b")


async def test_orders_carry_the_password_and_questions_do_not(tmp_path: Path) -> None:
    file = tmp_path / "user"
    file.write_text("boss:s3cret\n")
    file.chmod(0o600)
    seen: dict[str, str | None] = {}

    def answer(request: httpx.Request) -> httpx.Response:
        seen[request.method] = request.headers.get("authorization")
        return httpx.Response(401, content=b"not authenticated") if request.method == "POST" else httpx.Response(200)

    line = PatroniLine([A], user_file=file, transport=httpx.MockTransport(answer))
    with pytest.raises(ClusterError, match="nobody give orders without a password"):
        await line.order(A, "/switchover", {})
    with pytest.raises(Exception, match="cannot be read"):
        await line.get(A, "/patroni")
    assert seen == {"POST": "Basic Ym9zczpzM2NyZXQ=", "GET": None}
    assert "s3cret" not in repr(vars(line).get("addresses"))


@pytest.mark.parametrize(
    "text",
    [
        "", " , ", f"{A},{A}", "ftp://host:8008", "http://boss:s3cret@host:8008", "http://host:8008/path", "http://:8008",
        "http://host:port", "http://host:8008?x", "http://ho\x07st:8008", ",".join(f"http://h{n}" for n in range(21)),
    ],
)  # fmt: skip
def test_addresses_that_are_none_are_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(ConfigurationError) as told:
        addresses_of(text)
    assert "s3cret" not in str(told.value)


def test_a_password_is_never_meant_for_the_open_network(tmp_path: Path) -> None:
    file = tmp_path / "user"
    file.write_text("boss:s3cret\n")

    def made(addresses: str) -> Patroni:
        settings = Settings(database_url="postgresql:///x", cluster=f"patroni:{addresses}", cluster_user_file=file)
        return patroni_of(settings, SYSTEM_CLOCK)

    file.chmod(0o644)
    with pytest.raises(ConfigurationError, match="can be read by others"):
        made(A)
    file.chmod(0o600)
    with pytest.raises(ConfigurationError, match="without TLS"):
        made(f"{A},http://db-1.example:8008")
    assert made(f"{A},https://db-1.example:8008").provider == "patroni"
    file.write_text("nobody\n")
    with pytest.raises(ConfigurationError, match="no USER:PASSWORD"):
        made(A)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=80),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=12), inner, max_size=5),
    max_leaves=12,
)
_SAID = st.fixed_dictionaries(
    {"patroni": st.fixed_dictionaries({"name": st.text(max_size=80), "scope": st.text(max_size=80)})},
    optional=dict.fromkeys(
        ["state", "role", "timeline", "xlog", "sync_standby", "pause", "replication_state", "cluster_unlocked"], _JSON
    ),
)
_MEMBER_KEYS = ["name", "role", "state", "host", "port", "lag", "receive_lag", "timeline"]
_MEMBERS = st.fixed_dictionaries(
    {"members": st.lists(_JSON | st.dictionaries(st.sampled_from(_MEMBER_KEYS), _JSON), max_size=5)}
)


@given(_SAID, _JSON | _MEMBERS, _JSON | st.dictionaries(st.sampled_from(["ttl", "loop_wait"]), _JSON), _JSON)
def test_whatever_nodes_answer_becomes_a_view_that_can_be_shown(
    said: Any, members: Any, config: Any, past: Any
) -> None:
    view = View({A: said_of(A, said), B: "it is away"}, members_of(members), rules_of(config), history_of(past))
    nodes = view.nodes()
    shown = [problem_of(view), *remarks_of(view), *(f"{node.name}{node.state}{node.address}" for node in nodes)]
    assert all(text.isprintable() and len(text) < 5_000 for text in shown)
    found = Topology(cluster=view.scope, provider="patroni", nodes=nodes, as_of=datetime.now(UTC))
    assert Topology.model_validate_json(found.model_dump_json()).nodes == nodes


async def test_a_switchover_whose_asker_went_away_is_told_until_it_has_shown() -> None:
    answers, hold = healthy(), asyncio.Event()

    async def never(_request: httpx.Request) -> httpx.Response:
        hold.set()
        await asyncio.sleep(60)
        raise AssertionError("nobody waits so long")

    one = cluster(answers, never)
    assert (await one.topology()).under_way == ""
    asking = asyncio.create_task(one.switch_over())
    await hold.wait()
    asking.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await asking
    assert (await one.topology()).under_way == "a switchover"
    answers[A]["/patroni"], answers[B]["/patroni"] = own("a"), own("b", "primary")
    assert (await one.topology()).under_way == ""


async def test_a_switchover_that_was_refused_is_not_under_way() -> None:
    one = cluster(healthy(), lambda _: httpx.Response(412, text="no"))
    with pytest.raises(ClusterError, match="Patroni refuses"):
        await one.switch_over()
    assert (await one.topology()).under_way == ""
