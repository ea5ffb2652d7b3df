"""Wire types of what people do with alerts: acts on one or many, history, silences, what changed around one."""

from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import AwareDatetime, Field, field_validator, model_validator

from contract.alerts import Alert, Severity
from contract.base import Page, UtcDatetime, Wire, WireRequest, storable
from contract.reasons import MAX_REASON_CHARS, has_words

MAX_AT_ONCE = 200
"""Alerts of one act: more than a screen's marks, few enough for one transaction."""
MAX_COMMENT_CHARS = 2_000
"""Room for a paragraph."""
MAX_SILENCE_MINUTES = 31 * 24 * 60
"""Whoever needs more than a month wants another rule."""
MAX_LABEL_CHARS = 200
"""Of the name of a label in a matcher."""
MAX_VALUE_CHARS = 1_000
"""Of what a matcher compares with: room for an alternation of many names."""


class AlertAct(StrEnum):
    """What a person does with an alert; none of it clears one."""

    ACKNOWLEDGE = "acknowledge"
    ASSIGN = "assign"
    NOTE = "note"
    ESCALATE = "escalate"


class AlertActRequest(WireRequest):
    """One act on one or more alerts."""

    ids: list[str] = Field(min_length=1, max_length=MAX_AT_ONCE)
    act: AlertAct
    comment: str = Field(default="", max_length=MAX_COMMENT_CHARS)
    """Of an acknowledgement or assignment, if any; the text of a note; why it is escalated."""
    to: str | None = Field(default=None, max_length=100)
    """Whom it is assigned to; None gives it back to everybody."""
    idempotency_key: str = Field(default="", max_length=64)
    """Sent again under the same key, an act is not done a second time to any of the alerts."""

    _comment = field_validator("comment")(storable)
    _key = field_validator("idempotency_key")(storable)


class RefusedAct(Wire):
    """An alert that an act did not change, and why."""

    id: str
    code: str
    message: str


class AlertActAnswer(Wire):
    """What became of an act on many alerts: each of them is in one of the two lists."""

    done: list[Alert]
    refused: list[RefusedAct] = []


class AlertGroup(Wire):
    """Alerts that belong together, as one row: those of one group that a list was narrowed to."""

    id: str
    """Names the group in `GET /v1/alerts?group=ID`."""
    group: str
    """`Alert.group` of each; text from outside, up to 10,000 characters."""
    severity: Severity
    """The worst among them."""
    total: int
    open: int
    """Of the total; what is neither open nor acknowledged has cleared."""
    acknowledged: int
    muted: int
    """Of the total, whatever their status."""
    rules: int
    """Different rules among them; the newest alert names one."""
    newest_at: UtcDatetime
    oldest_open_at: UtcDatetime | None = None
    """When the first that nobody has acknowledged was raised; None: all of them are."""
    newest: Alert
    """The one that was raised last."""


class AlertGroups(Page[AlertGroup]):
    """One page of groups."""

    grouped_since: UtcDatetime | None = None
    """Alerts raised up to then were left out: there are more than are grouped. None: none was."""


class AlertEvent(Wire):
    """One line of an alert's history."""

    id: str
    kind: str
    """raised, raised_again, changed, acknowledged, acknowledgement_ended, assigned, noted, escalated, named, silenced,
    silence_ended, muted, unmuted, cleared, notified, linked."""
    at: UtcDatetime
    """When it happened, by the clock of whoever knows."""
    recorded_at: UtcDatetime
    actor: str
    text: str = ""
    facts: dict[str, str] = {}


class MatchOp(StrEnum):
    """How a matcher compares, as Alertmanager writes it; regular expressions match the whole value."""

    IS = "="
    IS_NOT = "!="
    MATCHES = "=~"
    MATCHES_NOT = "!~"


class Matcher(WireRequest):
    """One condition on one label; a label that is missing has the empty value."""

    name: str = Field(min_length=1, max_length=MAX_LABEL_CHARS)
    op: MatchOp = MatchOp.IS
    value: str = Field(max_length=MAX_VALUE_CHARS)

    _texts = field_validator("name", "value")(storable)

    def __str__(self) -> str:
        """As it is typed: chain="arbitrum"."""
        escaped = self.value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        return f'{self.name}{self.op.value}"{escaped}"'


Matchers = Annotated[list[Matcher], Field(min_length=1, max_length=20)]


class SilencePreviewRequest(WireRequest):
    """Ask what a silence would mute."""

    matchers: Matchers


class SilencePreview(Wire):
    """What a silence would mute now."""

    total: int
    """Alerts not cleared, up to 10,000."""
    alerts: list[Alert]
    """The 50 most urgent of them."""
    sources: list[str] = []
    """The Alertmanagers in which it would be created too."""


class SilenceRequest(WireRequest):
    """Mute alerts until a time, for a reason."""

    matchers: Matchers
    starts_at: AwareDatetime | None = None
    """Absent: now."""
    minutes: int | None = Field(default=None, ge=1, le=MAX_SILENCE_MINUTES)
    ends_at: AwareDatetime | None = None
    comment: Annotated[str, Field(max_length=MAX_REASON_CHARS)]
    idempotency_key: str = Field(default="", max_length=64)

    _comment = field_validator("comment")(has_words)
    _key = field_validator("idempotency_key")(storable)

    @model_validator(mode="after")
    def _one_end(self) -> Self:
        if (self.minutes is None) == (self.ends_at is None):
            raise ValueError("say either for how many minutes, or until when")
        return self


class SilenceState(StrEnum):
    """Where a silence stands."""

    PENDING = "pending"
    ACTIVE = "active"
    SET_ASIDE = "set_aside"
    """In its time, but its regular expressions take too long to be tried: it mutes nothing more."""
    ENDED = "ended"


class CopyState(StrEnum):
    """Where the copy of a silence in one Alertmanager stands."""

    PENDING = "pending"
    """It has not been created there yet."""
    STANDING = "standing"
    ENDED_THERE = "ended_there"
    """Somebody ended it there before its time; it is not created again."""
    ENDED = "ended"
    """It has ended with ours."""


class SilenceCopy(Wire):
    """The same silence in one Alertmanager."""

    source: str
    id: str | None = None
    """None while it could not be created there."""
    error: str | None = None
    """Why it does not stand there as it should; it is tried again."""
    state: CopyState = CopyState.PENDING

    @model_validator(mode="before")
    @classmethod
    def _stands_where_it_has_an_id(cls, data: Any) -> Any:
        """Copies stored before they had a state, and answers of older backends, have an id once they were created."""
        if isinstance(data, dict) and "state" not in data and data.get("id"):
            return {**data, "state": CopyState.STANDING}
        return data


class Silence(Wire):
    """A time in which some alerts are not told about."""

    id: str
    matchers: list[Matcher]
    state: SilenceState
    starts_at: UtcDatetime
    ends_at: UtcDatetime
    comment: str
    created_by: str
    created_at: UtcDatetime
    ended_by: str | None = None
    """Somebody who ended it early; None: it ran out, or has not ended."""
    source: str = "watchfloor"
    """Where it was made: here, or in an Alertmanager."""
    copies: list[SilenceCopy] = []
    muted_now: int = 0
    """Alerts not cleared that it mutes."""


class Nearby(Wire):
    """Something that happened around an alert or incident and may have caused it."""

    at: UtcDatetime
    kind: str
    """Resource type, as in a link: freeze, alert, audit, incident, deploy."""
    id: str
    text: str
    actor: str | None = None
    url: str | None = None
    """Where to read on, of a deploy."""


class Around(Wire):
    """What changed around an alert or the beginning of an incident."""

    since: UtcDatetime
    until: UtcDatetime
    items: list[Nearby]
    """The 200 nearest to the beginning, oldest first."""
    left_out: int = 0
    """How many there are besides."""
    more_left_out: bool = False
    """Even more than that: not all could be counted."""
    missing: list[str] = []
    """What the caller may not see: audit entries without that permission."""
