"""The pure parts of notifications: rates, pauses, texts that may leave, who is told, and the file of channels."""

import unicodedata
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.errors import ConfigurationError
from backend.notifications.channels import channels_now, configured_channels
from backend.notifications.core import MAX_BODY_CHARS, MAX_TITLE_CHARS, Rate, pause_after, shown
from backend.notifications.following import Practice, channels_for, quiet_because
from backend.notifications.sending import _problem
from backend.notifications.wording import of_alert, of_digest
from backend.policy.load import load_policy
from backend.settings import Settings
from contract.alerts import Alert, AlertStatus, Escalation, Link, Muting, Severity
from contract.scope import Scope
from tests.support.notifying import channel_file

NOW = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
SECRET = "s3cr3t-part"
EARNEST = Practice(frozenset(), frozenset())
MEV = load_policy("mev")


def alert(**changes: object) -> Alert:
    usual: dict[str, object] = {
        "id": "a", "rule": "GAS", "severity": Severity.CRITICAL, "status": AlertStatus.OPEN,
        "scope": Scope.parse("chain:arbitrum"), "message": "Too much gas.", "raised_at": NOW, "updated_at": NOW,
    }  # fmt: skip
    return Alert.model_validate(usual | changes)


def settings(path: Path | None) -> Settings:
    return Settings(database_url="postgresql://nowhere/x", notifications_file=path)


@given(st.integers(1, 30), st.lists(st.integers(0, 90_000), max_size=80))
def test_a_channel_never_takes_more_than_its_burst_and_rate(per_minute: int, pauses_ms: list[int]) -> None:
    rate, whole_at, now, taken = Rate(per_minute), None, NOW, []
    for pause in pauses_ms:
        now += timedelta(milliseconds=pause)
        after = rate.taken(whole_at, now)
        if after is not None:
            whole_at = after
            taken.append(now)
    for index, begin in enumerate(taken):
        for number, at in enumerate(taken[index:], 1):
            refilled = (at - begin) / rate.interval
            assert number <= per_minute + refilled + 0.001


def test_a_rate_gives_the_burst_and_then_one_at_a_time() -> None:
    rate, whole_at = Rate(3), None
    for _ in range(3):
        whole_at = rate.taken(whole_at, NOW)
        assert whole_at is not None
    assert rate.taken(whole_at, NOW) is None
    assert rate.taken(whole_at, NOW + timedelta(seconds=19)) is None
    assert rate.taken(whole_at, NOW + timedelta(seconds=20)) is not None


def test_a_clock_that_is_put_back_stops_no_channel() -> None:
    later = NOW + timedelta(days=1)
    assert Rate(3).taken(Rate(3).taken(None, later), NOW) is not None


def test_pauses_double_up_to_the_longest() -> None:
    assert [pause_after(tries, 10, 600).total_seconds() for tries in (1, 2, 3, 7, 1_000)] == [10, 20, 40, 600, 600]


@given(st.text(max_size=400), st.integers(1, 200), st.booleans())
def test_nothing_unseen_and_no_call_of_everybody_leaves(text: str, limit: int, multiline: bool) -> None:  # noqa: FBT001
    found = shown(text, limit, multiline=multiline)
    assert len(found) <= limit
    kept = set(found) - ({"\n", "\u200b"} if multiline else {"\u200b"})
    assert not [one for one in kept if unicodedata.category(one) in {"Cc", "Cf", "Cs", "Zl", "Zp"}]
    assert "@everyone" not in found
    assert "<!" not in found


@pytest.mark.parametrize("text", ["@everyone", "<!channel>", "<@U123>", "a\x1b[31mb", "a\u202eb", "a\nb"])
def test_hostile_text_is_made_harmless(text: str) -> None:
    kept = shown(text, 100)
    assert text not in kept
    assert "\n" not in kept
    assert "\x1b" not in kept


def test_the_longest_alert_fits() -> None:
    one = alert(message="x" * 50_000, rule="r" * 200, runbook_url="https://" + "y" * 5_000, action_taken="z" * 9_000)
    title, body = of_alert(one, "raised", to=None)
    assert len(title) <= MAX_TITLE_CHARS
    assert len(body) <= MAX_BODY_CHARS
    assert "watchfloor alerts show a" in body


def test_a_digest_names_some_and_counts_all() -> None:
    title, body = of_digest(1_234, Severity.HIGH, [f"t{number}" for number in range(10)])
    assert title == "[HIGH] 1,234 more notifications"
    assert "- t9\n- and 1,224 more" in body


def test_no_person_is_named_in_a_notification() -> None:
    one = alert(
        assigned_to="mia.keller", acknowledged_by="mia.keller", acknowledge_comment="Mia looks", acknowledged_at=NOW
    )
    assert "mia" not in "".join(of_alert(one, "escalated", to="Team lead")).lower()


def test_who_is_told(tmp_path: Path) -> None:
    urls = dict.fromkeys(("pager", "desk", "audit"), "json://localhost/x")
    path = channel_file(tmp_path / "c.toml", urls, desk=["medium", "low"], audit=[])
    channels = configured_channels(settings(path))
    assert channels_for(MEV, channels, alert()) == {"pager"}
    assert channels_for(MEV, channels, alert(severity=Severity.LOW)) == {"desk"}
    assert channels_for(MEV, channels, alert(rule="NOTIFICATIONS_FAILING", facts={"channel": "pager"})) == set()


def test_a_step_of_the_escalation_has_channels_of_its_own(tmp_path: Path) -> None:
    policy = tmp_path / "p.toml"
    policy.write_text(
        'extends = "mev"\n[watchfloor.escalation]\ncritical = [{ title = "Desk", after_minutes = 0 }, '
        '{ title = "Director", after_minutes = 5, channels = ["director"] }]\n'
    )
    found = load_policy(str(policy))
    told = [channels_for(found, {}, alert(escalation=Escalation(level=level, to="x"))) for level in (0, 1, 7)]
    assert told == [set(), {"director"}, {"director"}]


def test_who_is_left_in_peace() -> None:
    drilled = Practice(frozenset({"f1"}), frozenset({"executor:canary"}))
    muting = Muting(kind="silence", id="s")
    cases = [
        (alert(), EARNEST, None),
        (alert(muted_by=[muting]), EARNEST, "muted by a silence"),
        (alert(status=AlertStatus.CLEARED), EARNEST, "over before it was sent"),
        (alert(), drilled, None),
        (alert(scope=Scope.parse("executor:canary")), drilled, "part of a drill"),
        (alert(links=[Link(kind="freeze", id="f1", label="F-1")]), drilled, "part of a drill"),
        (alert(links=[Link(kind="freeze", id="f2", label="F-2")]), drilled, None),
    ]
    assert [quiet_because(MEV, one, practice, muted=False) for one, practice, _ in cases] == [why for *_, why in cases]
    assert quiet_because(MEV, alert(), EARNEST, muted=True) == "muted"


@pytest.mark.parametrize(
    ("heard", "told"),
    [
        ([f"Failed to send JSON POST notification: Forbidden, error=403. {SECRET}"], "refused with status 403"),
        ([f"A Connection error occurred sending Email notification to {SECRET}."], "no connection"),
        ([f"something about {SECRET}"], "not taken"),
        ([], "not taken"),
    ],
)
def test_a_failure_is_told_in_our_words(heard: list[str], told: str) -> None:
    assert _problem(heard) == told


def test_a_file_of_channels_is_read_and_read_again(tmp_path: Path) -> None:
    assert configured_channels(settings(None)) == {}
    path = channel_file(tmp_path / "c.toml", {"a": f"slack://{SECRET}"})
    entry = configured_channels(settings(path))["a"]
    assert (entry.service, entry.severities) == ("slack", None)
    assert SECRET not in repr(entry)
    channel_file(path, {"a": "json://x", "other": "json://x"})
    assert set(configured_channels(settings(path))) == {"a", "other"}


def test_a_file_spoilt_meanwhile_counts_as_before(tmp_path: Path) -> None:
    path = channel_file(tmp_path / "c.toml", {"a": "json://x"})
    assert set(channels_now(settings(path))) == {"a"}
    path.write_text("[channels")
    assert set(channels_now(settings(path))) == {"a"}
    channel_file(path, {"b": "json://x"})
    assert set(channels_now(settings(path))) == {"b"}


@pytest.mark.parametrize(
    "text",
    [
        f'url = "{SECRET}',
        f'[channels.a]\nurl = "json://{SECRET}"\nulr = "{SECRET}"',
        f'[channels.a]\nurl = ["{SECRET}"]',
        f'[channels.a]\nurl = "{SECRET}"',
        f'[channels.a]\nurl = "json://{SECRET}"\nseverities = ["{SECRET}"]',
        f'[channels.a]\nurl = "json://{SECRET}"\nseverities = 3',
        f'[channels."A {SECRET}"]\nurl = "json://x"',
        f'[other.a]\nurl = "json://{SECRET}"',
        f"channels = [{SECRET!r}]",
    ],
)
def test_a_wrong_file_is_refused_without_quoting_it(tmp_path: Path, text: str) -> None:
    path = tmp_path / "c.toml"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(ConfigurationError) as refused:
        configured_channels(settings(path))
    assert SECRET not in str(refused.value)
    assert str(path) in str(refused.value)
    assert refused.value.__cause__ is None


def test_a_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = channel_file(tmp_path / "c.toml", {"a": "json://x"})
    path.chmod(0o640)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        configured_channels(settings(path))
    with pytest.raises(ConfigurationError, match="cannot be read"):
        configured_channels(settings(tmp_path / "absent.toml"))
