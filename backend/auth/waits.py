"""Who has to wait after wrong sign-ins: an account, an address, or the two together. Refuses nobody by itself.

An attacker who knows a name can make the account wait for strangers, never for its holder: an address from which the
account has signed in is held up by its own failures alone, and recovery codes are beyond guessing.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import IPv4Address, ip_address, ip_network

from sqlalchemy import Select, delete, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from backend.auth.identity_tables import AddressWait, KnownAddress
from backend.auth.tables import User
from backend.context import Runtime

_IPV6_SUBSCRIBER_BITS = 64
"""Whoever has one IPv6 address has all of its /64."""


@dataclass(slots=True)
class Standing:
    """What is known of one sign-in's account and address, its rows locked."""

    user: User | None
    address: AddressWait | None
    """None for the backend's own host, which everybody there shares."""
    known: KnownAddress | None
    """The pair of both, if the account signed in from there lately."""

    def waits(self, now: datetime) -> bool:
        """Whether this account has to wait at this address."""
        if self.known is not None:
            return _until(self.known.wait_until, now)
        by_account = self.user is not None and _until(self.user.locked_until, now)
        return by_account or (self.address is not None and _until(self.address.wait_until, now))


def network_of(ip: str | None) -> str | None:
    """What counts as one address: an IPv4 address, or an IPv6 subscriber's network; None for a local socket."""
    if ip is None:
        return None
    address = ip_address(ip)
    if not isinstance(address, IPv4Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    if isinstance(address, IPv4Address):
        return f"{address}/32"
    return str(ip_network(f"{address}/{_IPV6_SUBSCRIBER_BITS}", strict=False))


async def turned_away(session: AsyncSession, runtime: Runtime, username: str, ip: str | None) -> bool:
    """Whether a try is refused unread because its address waits, and the account is a stranger there. Counts it."""
    network, now = _held_up(runtime, ip), runtime.clock.now()
    if network is None:
        return False
    of_account = select(User.id).where(User.username == username).scalar_subquery()
    is_known = _pair(runtime, now, network).where(KnownAddress.user_id == of_account).exists()
    found = await session.execute(
        update(AddressWait)
        .where(AddressWait.network == network, AddressWait.wait_until > now, ~is_known)
        .values(refused=AddressWait.refused + 1)
        .returning(AddressWait.network)
    )
    return found.one_or_none() is not None


async def standing(session: AsyncSession, runtime: Runtime, user: User | None, ip: str | None) -> Standing:
    """Lock what is known of an account, whose row the caller has locked, and an address."""
    network, now = network_of(ip), runtime.clock.now()
    known = None
    if user is not None and network is not None:
        pair = _pair(runtime, now, network).where(KnownAddress.user_id == user.id)
        known = await session.scalar(pair.with_for_update())
    held_up = _held_up(runtime, ip)
    return Standing(user, await _address(session, runtime, held_up) if held_up else None, known)


def failed(runtime: Runtime, found: Standing) -> None:
    """Count a wrong sign-in against whoever does not wait already: failures while waiting do not prolong the wait.

    An address is counted also while the account waits, else who guesses at one account would never have to.
    """
    now, rules = runtime.clock.now(), runtime.policy.sign_in.watchfloor
    if found.known is not None:
        if not _until(found.known.wait_until, now):
            found.known.failures += 1
            found.known.wait_until = _wait(now, rules.wait_seconds(found.known.failures))
        return
    if found.user is not None and not _until(found.user.locked_until, now):
        found.user.failed_logins = _still(runtime, found.user.failed_logins, found.user.locked_until) + 1
        found.user.locked_until = _wait(now, rules.wait_seconds(found.user.failed_logins))
    if found.address is not None and not _until(found.address.wait_until, now):
        found.address.failures += 1
        wait_s = runtime.policy.identity.address_wait_seconds(found.address.failures)
        found.address.wait_until = _wait(now, wait_s)


async def succeeded(session: AsyncSession, runtime: Runtime, found: Standing, ip: str | None) -> None:
    """Remember that an account signed in from an address, and forget what only its holder can have got wrong."""
    user, network, now = found.user, network_of(ip), runtime.clock.now()
    if user is None:
        return
    if found.known is None and not _until(user.locked_until, now):
        user.failed_logins, user.locked_until = 0, None
    if network is not None:
        await session.execute(
            insert(KnownAddress)
            .values(user_id=user.id, network=network, signed_in_at=now, failures=0)
            .on_conflict_do_update(
                index_elements=["user_id", "network"], set_={"signed_in_at": now, "failures": 0, "wait_until": None}
            )
        )


async def forget_all(session: AsyncSession, user: User) -> None:
    """End an account's waits and forget from where it signed in: after a reset by an administrator, or an erasure."""
    user.failed_logins, user.locked_until = 0, None
    await session.execute(delete(KnownAddress).where(KnownAddress.user_id == user.id))


def _held_up(runtime: Runtime, ip: str | None) -> str | None:
    """The network that may have to wait; none for the backend's own host."""
    if ip is None or any(ip_address(ip) in local for local in runtime.policy.sign_in.watchfloor.local_networks):
        return None
    return network_of(ip)


async def _address(session: AsyncSession, runtime: Runtime, network: str) -> AddressWait:
    """The row of an address, made if need be and locked, so that guesses made at once count one by one."""
    now = runtime.clock.now()
    forgotten = now - timedelta(hours=runtime.policy.identity.forget_failures_hours)
    idle = select(AddressWait.network).where(AddressWait.last_tried_at < forgotten).limit(100)
    await session.execute(delete(AddressWait).where(AddressWait.network.in_(idle.with_for_update(skip_locked=True))))
    await session.execute(
        insert(AddressWait)
        .values(network=network, failures=0, last_tried_at=now, refused=0)
        .on_conflict_do_update(index_elements=["network"], set_={"last_tried_at": now})
    )
    row = await session.scalar(
        select(AddressWait).where(AddressWait.network == network).execution_options(populate_existing=True)
    )
    if row is None:
        raise RuntimeError("a row that this transaction wrote and holds cannot be gone")
    return row


def _pair(runtime: Runtime, now: datetime, network: str) -> Select[KnownAddress]:
    since = now - timedelta(days=runtime.policy.identity.known_address_days)
    return select(KnownAddress).where(KnownAddress.network == network, KnownAddress.signed_in_at > since)


def _still(runtime: Runtime, failures: int, waited_until: datetime | None) -> int:
    """Failures that still count: long after the last wait they no longer do."""
    forget_after = timedelta(hours=runtime.policy.identity.forget_failures_hours)
    return 0 if waited_until is not None and runtime.clock.now() > waited_until + forget_after else failures


def _wait(now: datetime, seconds: int) -> datetime | None:
    return now + timedelta(seconds=seconds) if seconds else None


def _until(until: datetime | None, now: datetime) -> bool:
    return until is not None and now < until
