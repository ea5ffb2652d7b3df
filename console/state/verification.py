"""Owns what is known of verifications of the ledger: the one under way, its pace, how the last ones ended. Pure."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from console.state.freshness import coarse_age, exact_age, seconds_between
from contract.verification import Verdict, Verification

SHOWN_RUNS: Final = 20
"""How many verifications a screen asks for: two weeks of a daily one, and some by hand."""
LOOK_S: Final = 1.0
"""How often a verification under way is asked how far it is."""
IDLE_LOOK_S: Final = 30.0
"""How often the screen looks for one that somebody else has started."""
STUCK_AFTER_S: Final = 30.0
"""The server tells its progress twice a second: a minute's half without any is worth saying."""

MEANINGS: Final[dict[Verdict, str]] = {
    "linkage": "entries, order, tree, heads, periods",
    "content": "every entry is the bytes its hash says",
    "projection": "what is searched is what entries say",
    "erasure": "what is gone was erased by an act",
    "external": "signatures and witnesses",
    "completeness": "no entry is missing or waits",
}
"""What each verdict judges, in the order of the report."""


@dataclass(frozen=True)
class Pace:
    """How far one verification was when this console first saw it run: what its speed is reckoned from."""

    run: str
    done: int
    at: datetime


@dataclass(frozen=True)
class Runs:
    """The newest verifications, as last heard of."""

    items: tuple[Verification, ...] = ()
    heard_at: datetime | None = None
    pace: Pace | None = None

    def with_all(self, items: list[Verification], now: datetime) -> "Runs":
        """After the server listed them."""
        return _paced(replace(self, items=tuple(items), heard_at=now))

    def with_one(self, run: Verification, now: datetime) -> "Runs":
        """After the server told of one: a new one comes first."""
        known = [run if one.id == run.id else one for one in self.items]
        items = known if any(one.id == run.id for one in self.items) else [run, *known]
        return _paced(replace(self, items=tuple(items), heard_at=now))

    @property
    def under_way(self) -> Verification | None:
        """The one that waits or runs."""
        return next((one for one in self.items if one.state in {"waiting", "running"}), None)

    @property
    def ended(self) -> list[Verification]:
        """Those that are over, the newest first."""
        return [one for one in self.items if one.state in {"done", "broken"}]

    @property
    def judged(self) -> Verification | None:
        """The newest one with verdicts."""
        return next((one for one in self.items if one.state == "done"), None)

    def find(self, ident: str) -> Verification | None:
        """One of them."""
        return next((one for one in self.items if one.id == ident), None)

    def is_due(self, now: datetime) -> bool:
        """Whether to ask the server again."""
        heard_s = seconds_between(self.heard_at, now)
        return heard_s is None or self.under_way is not None or heard_s >= IDLE_LOOK_S


def _paced(runs: Runs) -> Runs:
    """The same, with the first look at the verification that runs now."""
    running = runs.under_way
    if running is None or running.state != "running":
        return replace(runs, pace=None)
    if runs.pace is not None and runs.pace.run == running.id:
        return runs
    return replace(runs, pace=Pace(running.id, running.entries_done, running.seen_at))


@dataclass(frozen=True)
class Progress:
    """How far a verification is."""

    share: float | None
    """None while it is not known how much there is to read."""
    done: int
    total: int
    rate: float | None
    """Entries a second since this console has watched it."""
    left: timedelta | None


def progress(run: Verification, pace: Pace | None) -> Progress:
    """How far it is, how fast, and how long it will still take at that pace."""
    share = min(run.entries_done / run.entries_total, 1.0) if run.entries_total else None
    watched_s = (run.seen_at - pace.at).total_seconds() if pace is not None and pace.run == run.id else 0.0
    read = run.entries_done - pace.done if pace is not None else 0
    rate = read / watched_s if watched_s > 0 and read > 0 else None
    left = timedelta(seconds=max(run.entries_total - run.entries_done, 0) / rate) if rate else None
    return Progress(share, run.entries_done, run.entries_total, rate, left)


def failed_verdicts(run: Verification) -> list[Verdict]:
    """The verdicts against the ledger, in the order of the report."""
    return [name for name in MEANINGS if (one := run.verdicts.get(name)) is not None and one.outcome == "failed"]


def unchecked_verdicts(run: Verification) -> list[Verdict]:
    """The verdicts that could not be reached."""
    return [name for name in MEANINGS if (one := run.verdicts.get(name)) is not None and one.outcome == "not_checked"]


def by_whom(run: Verification) -> str:
    """Who asked for it, as the end of a sentence; empty where nobody knows."""
    return f" by {run.requested_by}" if run.requested_by else ""


def headline(runs: Runs, now: datetime) -> tuple[str, str]:
    """The mood and the one sentence about the ledger's verification; nothing unknown is called good."""
    running = runs.under_way
    if runs.heard_at is None:
        return "", "Asking how the last verification ended."
    if running is not None:
        return _of_running(running, runs.pace, now)
    if runs.items and runs.items[0].state == "broken":
        age = coarse_age(seconds_between(runs.items[0].seen_at, now) or 0.0)
        return (
            "near",
            f"The last verification could not be carried out, {age} ago. Nothing is known since the one before.",
        )
    judged = runs.judged
    if judged is None:
        return "near", "Nobody has verified this ledger yet."
    return of_judged(judged, now)


def of_judged(run: Verification, now: datetime) -> tuple[str, str]:
    """Mood and sentence of a verification with verdicts."""
    age = coarse_age(seconds_between(run.verified_at or run.seen_at, now) or 0.0)
    when = f"{age} ago{by_whom(run)}"
    if failed := failed_verdicts(run):
        findings = sum(run.verdicts[name].findings for name in failed)
        return "bad", f"The ledger is not what was written: {findings:,} finding{'s' if findings != 1 else ''}, {when}."
    amount = f"{run.entries:,} {'entry' if run.entries == 1 else 'entries'}"
    if unchecked := unchecked_verdicts(run):
        return "", f"No finding, but {_listed(unchecked)} not checked: {amount}, {when}."
    return "ok", f"Everything checked out: {amount}, {when}."


def _of_running(run: Verification, pace: Pace | None, now: datetime) -> tuple[str, str]:
    quiet_s = seconds_between(run.seen_at, now) or 0.0
    if run.state == "waiting":
        if quiet_s > STUCK_AFTER_S:
            return "near", f"Waiting for {exact_age(quiet_s)}: no backend has begun the verification."
        return "", "The verification is about to begin."
    if quiet_s > STUCK_AFTER_S:
        return "near", f"The verification has told no progress for {exact_age(quiet_s)}."
    at = progress(run, pace)
    share = f" {at.share:.0%}" if at.share is not None else ""
    left = f", {exact_age(at.left.total_seconds())} left" if at.left is not None else ""
    return "", f"Verifying{share}{left}. It goes on if you leave."


def _listed(names: list[Verdict]) -> str:
    words: list[str] = list(names)
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
