"""What an Alertmanager sends and answers: webhook deliveries (version 4), alerts and silences of its API v2. Pure.

Reads bytes of strangers into bounded values or refuses them with a reason that repeats none of them. Must never look at
a clock, and never decide what becomes of an alert.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final, TypeVar, cast

import orjson

from contract.alert_work import Matcher, MatchOp

T = TypeVar("T")

VERSION: Final = "4"
"""Of the only webhook body that Alertmanager has had since 2016."""
MAX_ALERTS: Final = 10_000
"""Of one body; a delivery has a megabyte for them, an answer of the API has more."""
MAX_LABELS: Final = 256
"""Of one alert, and annotations likewise: four times what Prometheus's own rules carry."""
MAX_NAME_CHARS: Final = 200
"""Of a label's or an annotation's name; as in a matcher."""
MAX_LABEL_CHARS: Final = 4_096
"""Of a label's value; what is longer is cut, which changes no identity: that is the fingerprint."""
MAX_TEXT_CHARS: Final = 10_000
"""Of an annotation, an address or a comment."""
MAX_MATCHERS: Final = 20
"""As in a silence made here."""
_MAX_MATCHED_CHARS: Final = 1_000
"""As in a matcher made here."""
MAX_MUTINGS: Final = 100
"""Silences, inhibiting alerts or time intervals named for one alert."""
SOURCE_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_.-]{0,62}", re.ASCII)
"""What an Alertmanager may be called in an address and in the settings."""
_FINGERPRINT: Final = re.compile(r"[0-9a-f]{16}", re.ASCII)
_UUID: Final = re.compile(r"[0-9A-Za-z_-]{1,64}", re.ASCII)
_TIME: Final = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,12}))?"
    r"(?:[Zz]|([+-])([0-9]{2}):([0-9]{2}))",
    re.ASCII,
)
_EARLIEST: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST: Final = datetime(9000, 1, 1, tzinfo=UTC)
"""Far enough from the end of the calendar that no zone's offset leads past it."""
_LONGEST_TIME: Final = 40
"""Of a time with nanoseconds and a zone, and some more."""
_FNV_OFFSET: Final = 14_695_981_039_346_656_037
_FNV_PRIME: Final = 1_099_511_628_211
_64_BITS: Final = 2**64 - 1
_SEPARATOR: Final = 255
_MAX_COUNT: Final = 2**31 - 1


class UnreadableError(ValueError):
    """A body that is not what an Alertmanager sends; its text says why and repeats nothing of the body."""


@dataclass(frozen=True, slots=True)
class ForeignAlert:
    """One alert as its Alertmanager knows it."""

    fingerprint: str
    """16 hexadecimal digits of its labels: the same each time that it fires."""
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    starts_at: datetime
    """To the millisecond: the webhook says more digits than the API does, of one and the same occurrence."""
    ends_at: datetime | None
    """When it ended; None while it fires."""
    firing: bool
    generator_url: str = ""
    updated_at: datetime | None = None
    """When the Alertmanager heard of it last; only its API says so."""
    silenced_by: tuple[str, ...] = ()
    inhibited_by: tuple[str, ...] = ()
    muted_by: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Its rule's name; a rule without one is possible, though Prometheus makes none."""
        return self.labels.get("alertname", "")

    def occurrence(self, source: str) -> str:
        """The name of this time that it fires, among all of one installation."""
        return f"{source}|{self.fingerprint}|{self.starts_at:%Y%m%dT%H%M%S}.{self.starts_at.microsecond // 1_000:03d}Z"


@dataclass(frozen=True, slots=True)
class Delivery:
    """One call of the webhook: the alerts of one group."""

    group_key: str
    receiver: str
    external_url: str
    truncated: int
    """Alerts of the group that were left out, because the receiver has `max_alerts`."""
    alerts: tuple[ForeignAlert, ...]


@dataclass(frozen=True, slots=True)
class ForeignSilence:
    """A silence as its Alertmanager knows it."""

    id: str
    matchers: tuple[Matcher, ...]
    starts_at: datetime
    ends_at: datetime
    updated_at: datetime
    created_by: str
    comment: str
    state: str
    """pending, active or expired."""


def delivery_of(body: bytes) -> Delivery:
    """Read the body of a webhook call.

    Raises:
        UnreadableError: it is none of version 4, whole and well-formed.
    """
    whole = _object(_json(body), "the body")
    if whole.get("version") != VERSION:
        raise UnreadableError(f"only webhook bodies of version {VERSION} are understood")
    truncated = whole.get("truncatedAlerts") or 0
    if type(truncated) is not int or not 0 <= truncated <= _MAX_COUNT:
        raise UnreadableError("truncatedAlerts is no count")
    return Delivery(
        group_key=_text(whole.get("groupKey"), "groupKey", MAX_TEXT_CHARS),
        receiver=_text(whole.get("receiver"), "receiver", MAX_NAME_CHARS),
        external_url=_text(whole.get("externalURL"), "externalURL", MAX_TEXT_CHARS),
        truncated=truncated,
        alerts=_each(whole.get("alerts"), "alert", _delivered),
    )


def alerts_of(body: bytes) -> tuple[ForeignAlert, ...]:
    """Read the answer to GET /api/v2/alerts: alerts that have not ended, each with what mutes it.

    Raises:
        UnreadableError: it is no such answer.
    """
    return _each(_json(body), "alert", _known)


def silences_of(body: bytes) -> tuple[ForeignSilence, ...]:
    """Read the answer to GET /api/v2/silences; those without a matcher or a time mute nothing and are left out.

    Raises:
        UnreadableError: it is no such answer.
    """
    found = _each(_json(body), "silence", _silence)
    return tuple(silence for silence in found if silence is not None)


def silence_id_of(body: bytes) -> str:
    """Read the answer to POST /api/v2/silences.

    Raises:
        UnreadableError: it names no silence.
    """
    return _silence_id(_object(_json(body), "the answer").get("silenceID"))


def cluster_of(body: bytes) -> str:
    """Read the answer to GET /api/v2/status: the cluster's name, or its state if it has none.

    Raises:
        UnreadableError: it is no such answer.
    """
    cluster = _object(_object(_json(body), "the answer").get("cluster") or {}, "cluster")
    return _text(cluster.get("name") or cluster.get("status"), "cluster", MAX_NAME_CHARS)


def fingerprint_of(labels: Mapping[str, str]) -> str:
    """The fingerprint that Alertmanager gives to labels: FNV-1a over the sorted names and values.

    Bodies that others made in its form often lack one.
    """
    found = _FNV_OFFSET
    for name in sorted(labels, key=str.encode):
        for byte in b"%b\xff%b\xff" % (name.encode(), labels[name].encode()):
            found = ((found ^ byte) * _FNV_PRIME) & _64_BITS
    return f"{found:016x}"


def _json(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        raise UnreadableError("the body is no JSON") from None


def _object(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise UnreadableError(f"{what} is no JSON object")
    return cast("dict[str, Any]", value)


def _each(value: Any, what: str, read: Callable[[dict[str, Any]], T]) -> tuple[T, ...]:
    if not isinstance(value, list):
        raise UnreadableError(f"there is no list of {what}s")
    if len(value) > MAX_ALERTS:
        raise UnreadableError(f"more than {MAX_ALERTS:,} {what}s at once")
    found: list[T] = []
    for number, one in enumerate(value, start=1):
        try:
            found.append(read(_object(one, "it")))
        except UnreadableError as error:
            raise UnreadableError(f"{what} {number}: {error}") from None
    return tuple(found)


def _delivered(alert: dict[str, Any]) -> ForeignAlert:
    ended = _moment(alert.get("endsAt"), "endsAt")
    status = alert.get("status", "firing" if ended is None else "resolved")
    if status not in ("firing", "resolved"):
        raise UnreadableError("its status is neither firing nor resolved")
    return _alert(alert, firing=status == "firing", ends_at=ended)


def _known(alert: dict[str, Any]) -> ForeignAlert:
    """An alert of the API: it fires; its `endsAt` is when it would end if nothing more were heard of it."""
    status = _object(alert.get("status") or {}, "its status")
    return _alert(
        alert,
        firing=True,
        ends_at=None,
        updated_at=_moment(alert.get("updatedAt"), "updatedAt"),
        silenced_by=_names(status.get("silencedBy"), "silencedBy"),
        inhibited_by=_names(status.get("inhibitedBy"), "inhibitedBy"),
        muted_by=_names(status.get("mutedBy"), "mutedBy"),
    )


def _alert(alert: dict[str, Any], *, firing: bool, ends_at: datetime | None, **more: Any) -> ForeignAlert:
    starts_at = _moment(alert.get("startsAt"), "startsAt")
    if starts_at is None:
        raise UnreadableError("it has no startsAt")
    whole = _whole_texts(alert.get("labels"), "labels")
    if not whole:
        raise UnreadableError("it has no labels")
    given = alert.get("fingerprint")
    known = isinstance(given, str) and _FINGERPRINT.fullmatch(given) is not None
    return ForeignAlert(
        fingerprint=str(given) if known else fingerprint_of(whole),
        labels=_bounded(whole, MAX_LABEL_CHARS),
        annotations=_bounded(_whole_texts(alert.get("annotations"), "annotations"), MAX_TEXT_CHARS),
        starts_at=starts_at,
        ends_at=None if firing else ends_at,
        firing=firing,
        generator_url=_text(alert.get("generatorURL"), "generatorURL", MAX_TEXT_CHARS),
        **more,
    )


def _silence(silence: dict[str, Any]) -> ForeignSilence | None:
    starts_at, ends_at = _moment(silence.get("startsAt"), "startsAt"), _moment(silence.get("endsAt"), "endsAt")
    matchers = _each(silence.get("matchers"), "matcher", _matcher)
    if starts_at is None or ends_at is None or not 1 <= len(matchers) <= MAX_MATCHERS:
        return None
    state = _object(silence.get("status"), "its status").get("state")
    if state not in ("pending", "active", "expired"):
        raise UnreadableError("its state is none of pending, active and expired")
    return ForeignSilence(
        id=_silence_id(silence.get("id")),
        matchers=matchers,
        starts_at=starts_at,
        ends_at=ends_at,
        updated_at=_moment(silence.get("updatedAt"), "updatedAt") or starts_at,
        created_by=_text(silence.get("createdBy"), "createdBy", MAX_NAME_CHARS),
        comment=_text(silence.get("comment"), "comment", MAX_TEXT_CHARS),
        state=str(state),
    )


def _matcher(matcher: dict[str, Any]) -> Matcher:
    regex, equal = matcher.get("isRegex", False), matcher.get("isEqual", True)
    name = matcher.get("name")
    if not isinstance(regex, bool) or not isinstance(equal, bool) or not name:
        raise UnreadableError("it is no comparison of a label")
    signs = (MatchOp.MATCHES_NOT, MatchOp.MATCHES) if regex else (MatchOp.IS_NOT, MatchOp.IS)
    value = _text(matcher.get("value"), "value", _MAX_MATCHED_CHARS)
    return Matcher(name=_text(name, "name", MAX_NAME_CHARS), op=signs[equal], value=value)


def _silence_id(value: Any) -> str:
    if not isinstance(value, str) or not _UUID.fullmatch(value):
        raise UnreadableError("a silence has no id")
    return value


def _names(value: Any, what: str) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list):
        raise UnreadableError(f"{what} is no list")
    return tuple(_text(one, what, MAX_NAME_CHARS) for one in value[:MAX_MUTINGS])


def _whole_texts(value: Any, what: str) -> dict[str, str]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise UnreadableError(f"its {what} are no JSON object")
    if len(value) > MAX_LABELS:
        raise UnreadableError(f"it has more than {MAX_LABELS} {what}")
    if not all(isinstance(text, str) for text in value.values()):
        raise UnreadableError(f"not all of its {what} are text")
    return cast("dict[str, str]", value)


def _bounded(texts: Mapping[str, str], most_chars: int) -> dict[str, str]:
    return {_storable(name, MAX_NAME_CHARS): _storable(text, most_chars) for name, text in texts.items()}


def _text(value: Any, what: str, most_chars: int) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise UnreadableError(f"{what} is no text")
    return _storable(value, most_chars)


def _storable(text: str, most_chars: int) -> str:
    """Without NUL, which no database takes: the alerts beside it must not be lost for it."""
    kept = text if len(text) <= most_chars else text[: most_chars - 1] + "…"
    return kept.replace("\x00", "\ufffd") if "\x00" in kept else kept


def _moment(value: Any, what: str) -> datetime | None:
    """A time of Go's JSON, to the millisecond; None for the zero time and for none at all."""
    if value is None or value == "":
        return None
    if not isinstance(value, str) or len(value) > _LONGEST_TIME:
        raise UnreadableError(f"{what} is no time")
    found = _instant(value)
    if found is None:
        raise UnreadableError(f"{what} is no time")
    if found.year == 1:
        return None
    if not _EARLIEST <= found <= _LATEST:
        raise UnreadableError(f"{what} is no time of this or a near century")
    return found


@lru_cache(maxsize=1_024)
def _instant(text: str) -> datetime | None:
    found = _TIME.fullmatch(text)
    if found is None:
        return None
    year, month, day, hour, minute, second = (int(part) for part in found.groups()[:6])
    fraction, sign, hours, minutes = found.groups()[6:]
    millis = int((fraction or "").ljust(3, "0")[:3])
    offset = timedelta(hours=int(hours or 0), minutes=int(minutes or 0))
    try:
        local = datetime(year, month, day, hour, minute, second, millis * 1_000, tzinfo=UTC)
        return local + offset if sign == "-" else local - offset
    except (ValueError, OverflowError):
        return None
