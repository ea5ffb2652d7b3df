"""Collects what an assessment needs from trades and executors and turns it into parts. Reads only; judges nothing."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal

from sqlalchemy.ext.asyncio import AsyncSession

from backend.policy import Policy
from backend.risk.measures import HISTORY_HOURS, Inputs, crosses, figure, rolled
from backend.risk.model import ZERO, Limits, Part, PartsOfScopes, Place, by_scope, sorted_under_scopes
from backend.transactions import service as transactions
from backend.transactions.service import Added, HourSums, RecentSums, TradeSums
from contract.executors import Executor
from contract.risk import RiskRule, RiskSnapshot
from contract.scope import GLOBAL, Scope, ScopeKind

MAX_WINDOWS = 200
"""Scopes whose last trades are read one by one in an assessment; the rest is known from hourly sums."""

_ANYWHERE = Place("", "", "")


def limits_of(policy: Policy) -> Limits:
    """The policy's numbers as the rules need them."""
    risk = policy.risk
    special = {
        (rule, Scope.parse(text)): limit
        for text, table in risk.limits.items()
        for rule in RiskRule
        if (limit := table.limit(rule)) is not None
    }
    return Limits(
        overall={rule: risk.thresholds.limit(rule) for rule in RiskRule},
        special=special,
        near_fraction=risk.near_fraction,
        clear_margin=risk.watchfloor.clear_margin,
        max_unknown_fraction=risk.watchfloor.max_unknown_fraction,
        window=risk.success_rate_window,
        min_samples=risk.success_rate_min_samples,
    )


def parts_of(sums: TradeSums | Added) -> dict[RiskRule, Part]:
    """What one chain, strategy and wallet adds to each daily figure, and to a whole day's success rate."""
    place = Place(sums.chain, sums.strategy, sums.wallet)
    return {
        RiskRule.DAILY_LOSS: Part(place, sums.profit_eth, sums.trades - sums.profit_unknown, sums.profit_unknown),
        RiskRule.GAS_SPEND: Part(place, sums.gas_eth, sums.trades - sums.gas_unknown, sums.gas_unknown),
        RiskRule.SUCCESS_RATE: Part(place, Decimal(sums.succeeded), sums.succeeded + sums.failed),
    }


def day_parts(sums: Iterable[tuple[date, TradeSums | Added]]) -> dict[date, dict[RiskRule, list[Part]]]:
    """Sums of days, sorted under day and rule."""
    found: dict[date, dict[RiskRule, list[Part]]] = {}
    for day, one in sums:
        of_day = found.setdefault(day, {})
        for rule, part in parts_of(one).items():
            of_day.setdefault(rule, []).append(part)
    return found


@dataclass(frozen=True, slots=True)
class TradeFacts:
    """What the indicators want to know of the day's trades."""

    trades: int
    profit_unknown: int
    reportable: int


@dataclass(frozen=True, slots=True)
class Gathered:
    """The inputs of one assessment."""

    inputs: Inputs
    today: TradeFacts
    executors: Sequence[Executor]


async def gather(
    session: AsyncSession,
    policy: Policy,
    now: datetime,
    *,
    executors: Sequence[Executor],
    previous: RiskSnapshot | None,
    watched: Iterable[Scope],
) -> Gathered:
    """Read what an assessment needs; `watched` are scopes whose success rate is wanted whatever it is."""
    limits = limits_of(policy)
    since = transactions.hour_of(now) - timedelta(hours=policy.risk.watchfloor.success_rate_window_hours)
    recent = await transactions.recent_sums(session, now, window_since=since)
    hours = await transactions.hourly_sums(session, _history_start(now))
    traded = [one for one in recent if one.today.trades]
    parts: dict[RiskRule, PartsOfScopes] = {
        RiskRule.POSITION: by_scope(_holdings(executors)),
        RiskRule.SUCCESS_RATE: await _success(session, recent, limits, since, watched),
    }
    for rule in (RiskRule.DAILY_LOSS, RiskRule.GAS_SPEND):
        parts[rule] = by_scope(parts_of(one.today)[rule] for one in traded)
    position = figure(RiskRule.POSITION, parts[RiskRule.POSITION].get(GLOBAL, ()), limits).value
    history = _histories(hours, now) | {RiskRule.POSITION: _position_history(previous, now, position)}
    paces = {
        RiskRule.DAILY_LOSS: _paces((one, -one.pace_profit_eth) for one in traded),
        RiskRule.GAS_SPEND: _paces((one, one.pace_gas_eth) for one in traded),
    }
    today = TradeFacts(
        trades=sum(one.today.trades for one in traded),
        profit_unknown=sum(one.today.profit_unknown for one in traded),
        reportable=sum(one.today.reportable for one in traded),
    )
    return Gathered(Inputs(now=now, parts=parts, paces=paces, history=history), today, executors)


def _holdings(executors: Iterable[Executor]) -> Iterable[Part]:
    for one in executors:
        place = Place(one.chain.lower(), one.strategy, transactions.hexadecimal_in_lower_case(one.wallet))
        if one.position_eth is None:
            yield Part(place, ZERO, known=0, unknown=1)
        else:
            yield Part(place, abs(one.position_eth), known=1)


def _paces(values: Iterable[tuple[RecentSums, Decimal]]) -> dict[Scope, Decimal]:
    places = ((Place(one.today.chain, one.today.strategy, one.today.wallet), pace) for one, pace in values)
    return {scope: sum(paces, ZERO) for scope, paces in sorted_under_scopes(places).items()}


async def _success(
    session: AsyncSession, recent: Iterable[RecentSums], limits: Limits, since: datetime, watched: Iterable[Scope]
) -> PartsOfScopes:
    """Outcomes of every scope's window: from the hourly sums where these hold no more trades than the window does.

    A wallet with more trades is looked at only when it failed often enough to come near the limit: then its last
    trades are read one by one, as they are for chains, strategies and the whole. Other such wallets are left out.
    """
    scopes = by_scope(
        Part(
            Place(one.today.chain, one.today.strategy, one.today.wallet),
            Decimal(one.window_succeeded),
            one.window_succeeded + one.window_failed,
        )
        for one in recent
        if one.window_succeeded or one.window_failed
    )
    busy = {scope for scope, parts in scopes.items() if sum(part.known for part in parts) > limits.window}
    look_up = [scope for scope in busy if scope in set(watched) or _worth_reading(scope, scopes[scope], limits)]
    look_up = sorted(look_up, key=lambda scope: (scope.kind is ScopeKind.WALLET, str(scope)))[:MAX_WINDOWS]
    totals = await transactions.outcome_totals(session, look_up, size=limits.window, since=since)
    found = {scope: parts for scope, parts in scopes.items() if scope not in busy}
    found |= {scope: [Part(_ANYWHERE, Decimal(won), won + lost)] for scope, (won, lost) in totals.items()}
    crossed = [scope for scope in look_up if _is_crossed(scope, found[scope], limits)]
    windows = await transactions.outcome_windows(session, crossed, size=limits.window, since=since)
    for scope, places in windows.items():
        found[scope] = [
            Part(Place(one.chain, one.strategy, one.wallet), Decimal(one.succeeded), one.succeeded + one.failed)
            for one in places
        ]
    return found


def _is_crossed(scope: Scope, parts: Iterable[Part], limits: Limits) -> bool:
    """Only then is it asked where the failures were: to tell which scope explains them."""
    rate = figure(RiskRule.SUCCESS_RATE, parts, limits).value
    return crosses(RiskRule.SUCCESS_RATE, rate, limits.of(RiskRule.SUCCESS_RATE, scope))


def _worth_reading(scope: Scope, parts: Iterable[Part], limits: Limits) -> bool:
    if scope.kind is not ScopeKind.WALLET:
        return True
    failed = sum(part.known - part.amount for part in parts)
    allowed = (1 - limits.of(RiskRule.SUCCESS_RATE, scope)) * limits.window
    return failed >= allowed * limits.near_fraction


def _history_start(now: datetime) -> datetime:
    """The first midnight from which daily sums of the last 24 hours can be run up."""
    first_hour = transactions.hour_of(now) - timedelta(hours=HISTORY_HOURS - 1)
    return transactions.midnight(first_hour.date())


def _histories(hours: Sequence[HourSums], now: datetime) -> dict[RiskRule, list[Decimal | None]]:
    """For each of the last 24 hours: the day's loss and gas up to its end, and its own success rate."""
    by_hour = {one.hour: one for one in hours}
    loss: list[Decimal | None] = []
    gas: list[Decimal | None] = []
    success: list[Decimal | None] = []
    profit_sum, gas_sum, profit_known, gas_known = ZERO, ZERO, 0, 0
    hour = _history_start(now)
    while hour <= now:
        if hour.hour == 0:
            profit_sum, gas_sum, profit_known, gas_known = ZERO, ZERO, 0, 0
        one = by_hour.get(hour)
        if one is not None:
            profit_sum += one.profit_eth
            gas_sum += one.gas_eth
            profit_known += one.trades - one.profit_unknown
            gas_known += one.trades - one.gas_unknown
        decided = 0 if one is None else one.succeeded + one.failed
        loss.append(max(ZERO, -profit_sum) if profit_known else None)
        gas.append(gas_sum if gas_known else None)
        success.append(Decimal(one.succeeded) / decided if one is not None and decided else None)
        hour += timedelta(hours=1)
    found = {RiskRule.DAILY_LOSS: loss, RiskRule.GAS_SPEND: gas, RiskRule.SUCCESS_RATE: success}
    return {rule: values[-HISTORY_HOURS:] for rule, values in found.items()}


def _position_history(previous: RiskSnapshot | None, now: datetime, value: Decimal | None) -> list[Decimal | None]:
    """Positions are not kept with the trades: their history travels from one assessment to the next."""
    before: Sequence[Decimal | None] = ()
    if previous is not None:
        before = next((m.history for m in previous.measures if m.rule is RiskRule.POSITION and m.scope == GLOBAL), ())
    return rolled(before, previous.assessed_at if previous else None, now, value)
