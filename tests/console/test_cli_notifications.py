"""The commands about notifications."""

from collections.abc import Iterator

import pytest

from console.commands.notifications import _channel
from contract.errors import ExitCode
from contract.notifications import Channel
from tests.support.commands import Commands
from tests.support.floor import Floor, running_floor
from tests.support.notifying import channel_file
from tests.support.people import ADMIN, OPERATOR
from tests.support.receivers import webhook

TITLE = "Test of Watchfloor's notifications"


@pytest.fixture(scope="module")
def floor(template_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Floor]:
    """A served backend that knows one place that takes what it is sent, and one that is away."""
    directory = tmp_path_factory.mktemp("floor")
    with webhook() as hook, pytest.MonkeyPatch.context() as environment:
        urls = {"away": "json://127.0.0.1:1/x", "oncall": hook.url("s3cr3t")}
        file = channel_file(directory / "channels.toml", urls, away=["low"])
        environment.setenv("WATCHFLOOR_NOTIFICATIONS_FILE", str(file))
        with running_floor(template_database, directory) as running:
            yield running


def test_a_test_says_what_came_of_it(run: Commands) -> None:
    taken = run(ADMIN, "notifications", "test", "oncall")
    assert (taken.code, taken.err) == (ExitCode.OK, "")
    assert taken.out.startswith("sent  oncall  sent ")
    assert TITLE in taken.out
    refused = run(ADMIN, "notifications", "test", "away", "--json")
    assert refused.code == ExitCode.CHECK_FAILED
    assert (refused.body["schema"], refused.body["state"]) == ("watchfloor.notifications.test/1", "failed")
    assert refused.body["reason"] == "no connection"
    assert run(ADMIN, "notifications", "test", "oncall", "--wait", "0").code == ExitCode.OK
    assert run(ADMIN, "notifications", "test", "nobody").code == ExitCode.NOT_FOUND
    assert run(OPERATOR, "notifications", "test", "oncall").code == ExitCode.NOT_ALLOWED


def test_channels_and_what_was_sent_are_listed_without_an_address(run: Commands) -> None:
    run(ADMIN, "notifications", "test", "oncall")
    run(ADMIN, "notifications", "test", "away")
    channels = run(ADMIN, "notifications", "channels")
    assert "away  json\n  told of low\n" in channels.out
    assert "fails: no connection" in channels.out
    assert "oncall  json\n  told of critical, high\n" in channels.out
    absent = Channel(name="pagr", service="", severities=[], in_file=False, last_error="there is no such channel")
    assert _channel(absent)[0] == "pagr  not in the file"
    assert "nobody is told there" in _channel(absent)[-1]
    listed = run(ADMIN, "notifications", "list", "--state", "sent", "--channel", "oncall")
    assert listed.out.startswith("sent  oncall  sent ")
    failed = run(ADMIN, "notifications", "list", "--channel", "away", "--json").body["items"]
    assert {one["state"] for one in failed} == {"failed"}
    assert len(run(ADMIN, "notifications", "list", "--subject", failed[0]["subject_id"], "--json").body["items"]) == 1
    assert "More: add --cursor" in run(ADMIN, "notifications", "list", "--limit", "1").err
    everything = channels.out + listed.out + run(ADMIN, "notifications", "list").out
    assert not [secret for secret in ("s3cr3t", "127.0.0.1") if secret in everything]
