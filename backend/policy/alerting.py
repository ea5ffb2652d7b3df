"""The policy's rules of alerts: their categories, who gets one that nobody takes on, and which feeds must speak."""

from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Final

from pydantic import AfterValidator, Field

from backend.policy.base import Count, PolicyTable, PositiveCount, Text, each_of, unique
from contract.states import AlertCategory, Severity

LONGEST_AROUND_MINUTES: Final = 24 * 60
"""What changed longer ago did so for reasons of its own."""


MAX_PEOPLE: Final = 10
"""Of one step: more are nobody in particular."""


class EscalationStep(PolicyTable):
    """One step up."""

    title: Annotated[Text, Field(max_length=200)]
    """Who it is, in the words of the compliance document."""
    after_minutes: Count
    """How long after an alert was raised it comes here, unless somebody has acknowledged it."""
    people: Annotated[tuple[Text, ...], Field(max_length=MAX_PEOPLE), AfterValidator(unique)] = ()
    """Who that is by name: entries of the directory. The alert names them."""
    channels: tuple[Text, ...] = ()
    """Names of notification channels that are told as well."""


class Contact(PolicyTable):
    """An entry of the directory: somebody whom alerts may be escalated to, by the name of their account."""

    channels: Annotated[tuple[Text, ...], AfterValidator(unique)] = ()
    """Names of notification channels that reach this person."""


Directory = dict[Annotated[str, Field(max_length=100)], Contact]
"""Name of an account → how to reach whoever has it."""


def _upwards(steps: tuple[EscalationStep, ...]) -> tuple[EscalationStep, ...]:
    minutes = [step.after_minutes for step in steps]
    if minutes[0] != 0:
        raise ValueError("the first step begins after 0 minutes")
    if sorted(set(minutes)) != minutes:
        raise ValueError("each step begins later than the one before")
    return steps


Steps = Annotated[tuple[EscalationStep, ...], Field(min_length=1), AfterValidator(_upwards)]
Escalation = Annotated[dict[Severity, Steps], AfterValidator(each_of(Severity))]
"""Severity → who has an alert, one after another."""


class Feed(StrEnum):
    """A feed of data whose silence is an alert."""

    TRANSACTIONS = "transactions"
    """Trades that the platform sends by itself."""
    EXECUTORS = "executors"
    """Reports of executors: any of them."""


class FeedRules(PolicyTable):
    """When a feed of data counts as silent."""

    silent_seconds: PositiveCount

    @property
    def silent_after(self) -> timedelta:
        """Longer than this without anything is an alert."""
        return timedelta(seconds=self.silent_seconds)


class LostExecutors(PolicyTable):
    """When an executor that no hold covers counts as lost, and when as retired."""

    lost_seconds: PositiveCount
    retired_hours: PositiveCount
    """Who has been silent for longer is taken for retired: no alert is about it."""
    severity: Severity

    @property
    def lost_after(self) -> timedelta:
        """Longer than this without a report is an alert."""
        return timedelta(seconds=self.lost_seconds)

    @property
    def retired_after(self) -> timedelta:
        """Longer than this is none any more."""
        return timedelta(hours=self.retired_hours)


class Unusual(StrEnum):
    """What the audit log may have unusually often of one account."""

    SIGN_INS = "sign_ins"
    """Refused ones."""
    DENIALS = "denials"
    """Requests without the permission for them."""
    ELEVATIONS = "elevations"
    """Requests for further permissions."""


class UnusualRules(PolicyTable):
    """From how many of one account within how many minutes on something is unusual."""

    count: PositiveCount
    minutes: Annotated[PositiveCount, Field(le=LONGEST_AROUND_MINUTES)]
    severity: Severity

    @property
    def within(self) -> timedelta:
        """The time that is looked at."""
        return timedelta(minutes=self.minutes)


class AlertRules(PolicyTable):
    """How alerts are sorted and looked into."""

    categories: Mapping[str, AlertCategory] = {}
    """Rule → category; a critical alert that is not named is `critical`, any other `default_category`."""
    default_category: AlertCategory
    category_label: Text
    """Label in which an alert from elsewhere may name its category."""
    runbooks: Mapping[str, Text] = {}
    """Rule → address of what to do about it."""
    around_minutes: Annotated[PositiveCount, Field(le=LONGEST_AROUND_MINUTES)]
    """How far before and after an alert changes are looked for that may have caused it."""
    feeds: dict[Feed, FeedRules] = {}
    lost_executors: LostExecutors | None = None
    """None: nobody is told of a single one."""
    unusual: dict[Unusual, UnusualRules] = {}

    def category_of(self, rule: str, severity: Severity, labels: Mapping[str, str]) -> AlertCategory:
        """One of the four kinds of alerts."""
        stated = self.categories.get(rule)
        if stated is not None:
            return stated
        labelled = labels.get(self.category_label, "").lower()
        if labelled in set(AlertCategory):
            return AlertCategory(labelled)
        return AlertCategory.CRITICAL if severity is Severity.CRITICAL else self.default_category
