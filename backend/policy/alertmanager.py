"""The policy's rules of alerts from Alertmanagers: how grave they are, and how often it is looked after them."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated

from pydantic import Field

from backend.policy.base import PolicyTable, PositiveCount, Text, Texts
from contract.alertmanager import SOURCE_NAME
from contract.states import Severity

SourceName = Annotated[str, Field(pattern=f"^(?:{SOURCE_NAME.pattern})$")]


class AlertmanagerRules(PolicyTable):
    """How alerts of Alertmanagers are taken."""

    severity_label: Text
    """Label that says how grave an alert is."""
    severities: Mapping[str, Severity]
    """What that label says, in small letters → one of the four severities."""
    unknown_severity: Severity
    """Of an alert without that label, or with another word in it."""
    poll_seconds: Annotated[PositiveCount, Field(le=300)]
    """How often each API is asked what mutes its alerts and which of them are gone."""
    gone_seconds: PositiveCount
    """How long an alert has to be missing from the API before it is cleared."""
    silent_seconds: PositiveCount
    """How long a source may neither deliver nor answer before that is an alert."""
    deliverers: Mapping[SourceName, Texts]
    """Source → names of the machines' tokens that deliver for it; for one that is not here, the token named like it."""

    def deliverers_of(self, source: str) -> tuple[str, ...]:
        """The names of the tokens that may deliver for a source."""
        return self.deliverers.get(source, (source,))

    def severity_of(self, labels: Mapping[str, str]) -> Severity:
        """How grave an alert with such labels is."""
        return self.severities.get(labels.get(self.severity_label, "").strip().lower(), self.unknown_severity)

    @property
    def gone_after(self) -> timedelta:
        """`gone_seconds` as a span."""
        return timedelta(seconds=self.gone_seconds)

    @property
    def silent_after(self) -> timedelta:
        """`silent_seconds` as a span."""
        return timedelta(seconds=self.silent_seconds)
