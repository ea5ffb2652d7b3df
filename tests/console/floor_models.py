"""A trading floor on paper: contract models with fixed times, for every console test."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from contract.alerts import Alert, AlertCounts, AlertStatus, Link, Severity
from contract.audit import AuditEntry, AuditResult
from contract.executors import Executor, ExecutorState
from contract.freeze import Freeze, FreezeMode, FreezeStatus, HaltProof, HaltState
from contract.overview import Overview
from contract.risk import Indicator, Measure, MeasureState, Reason, RiskLevel, RiskRule, RiskSnapshot
from contract.scope import GLOBAL, Scope
from contract.thaw import Thaw, ThawAlert, ThawStage

NOW = datetime(2026, 11, 21, 3, 12, 9, tzinfo=UTC)
WALLET = "0x3f5ce5fbfe3e9af3971dd833d26ba9b5c936f0be"


def ago(**span: float) -> datetime:
    """An instant before NOW."""
    return NOW - timedelta(**span)


def _history(*values: float | None) -> list[Decimal | None]:
    return [None if value is None else Decimal(str(value)) for value in values]


def measures(state: MeasureState = MeasureState.NEAR) -> list[Measure]:
    """The four limits overall; the daily loss stands as asked."""
    loss = {MeasureState.OK: "2.1", MeasureState.NEAR: "7.2", MeasureState.CROSSED: "11.4"}.get(state)
    return [
        Measure(
            rule=RiskRule.POSITION,
            scope=GLOBAL,
            value=Decimal("61.4"),
            limit=Decimal(100),
            used=Decimal("0.614"),
            state=MeasureState.OK,
            samples=42,
            history=_history(*[20 + 2 * (hour % 9) for hour in range(22)], 58, 61.4),
        ),
        Measure(
            rule=RiskRule.DAILY_LOSS,
            scope=GLOBAL,
            value=Decimal(loss) if loss else None,
            limit=Decimal(10),
            used=Decimal(loss) / 10 if loss else None,
            state=state,
            samples=812,
            history=_history(*[0] * 3, None, None, *[round(0.38 * hour, 2) for hour in range(19)]),
            projected_hit_at=NOW + timedelta(minutes=53) if state is MeasureState.NEAR else None,
        ),
        Measure(
            rule=RiskRule.SUCCESS_RATE,
            scope=GLOBAL,
            value=Decimal("0.913"),
            limit=Decimal("0.8"),
            used=Decimal("0.876"),
            state=MeasureState.OK,
            samples=812,
            history=_history(*[0.95 - 0.01 * (hour % 5) for hour in range(24)]),
        ),
        Measure(
            rule=RiskRule.GAS_SPEND,
            scope=GLOBAL,
            value=Decimal("1.9"),
            limit=Decimal(5),
            used=Decimal("0.38"),
            state=MeasureState.OK,
            samples=812,
            history=_history(*[0.08 * hour for hour in range(24)]),
        ),
    ]


def risk(state: MeasureState = MeasureState.NEAR, *, assessed_at: datetime | None = None) -> RiskSnapshot:
    """One assessment."""
    return RiskSnapshot(
        assessed_at=assessed_at or ago(seconds=4),
        interval_seconds=60,
        measures=[*measures(state), *(scoped_measures() if state is MeasureState.NEAR else [])],
        indicators=[
            Indicator(name="regulatory", level=RiskLevel.LOW, reasons=[]),
            Indicator(
                name="operational",
                level=RiskLevel.MEDIUM,
                reasons=[
                    Reason(
                        level=RiskLevel.MEDIUM,
                        text="Daily loss stands at 72 % of its limit.",
                        link=Link(kind="alert", id="alert-1", label="DAILY_LOSS_LIMIT"),
                    ),
                    Reason(level=RiskLevel.LOW, text="All executors answered within the last minute."),
                ],
            ),
            Indicator(
                name="security",
                level=RiskLevel.LOW,
                reasons=[Reason(level=RiskLevel.LOW, text="3 failed logins in the last hour.")],
            ),
        ],
    )


def alert(
    ident: str = "alert-1",
    *,
    severity: Severity = Severity.CRITICAL,
    status: AlertStatus = AlertStatus.OPEN,
    rule: str = "DAILY_LOSS_LIMIT",
    scope: Scope | None = None,
    message: str = "Lost 7.2 ETH today on arbitrum, limit 10 ETH.",
    minutes: float = 4,
) -> Alert:
    """One alert."""
    seen = status is AlertStatus.ACKNOWLEDGED
    return Alert(
        id=ident,
        rule=rule,
        severity=severity,
        status=status,
        scope=scope or Scope.parse("chain:arbitrum"),
        message=message,
        facts={"value": "7.2", "limit": "10", "unit": "ETH", "window": "today UTC", "samples": "812"},
        links=[
            Link(kind="executor", id="bot-07", label="bot-07"),
            Link(kind="audit", id="a-1", label="assessment"),
        ],
        raised_at=ago(minutes=minutes),
        updated_at=ago(minutes=minutes),
        due_at=ago(minutes=minutes) + timedelta(minutes=15),
        acknowledged_by="ana" if seen else None,
        acknowledged_at=ago(minutes=1) if seen else None,
    )


def alerts() -> list[Alert]:
    """Three alerts of different urgency."""
    return [
        alert(),
        alert(
            "alert-2",
            severity=Severity.HIGH,
            rule="LOW_SUCCESS_RATE",
            scope=Scope.parse(f"wallet:{WALLET}"),
            message="78.0 % of the last 500 transactions succeeded, 80 % required.",
            minutes=21,
        ),
        alert(
            "alert-3",
            severity=Severity.MEDIUM,
            status=AlertStatus.ACKNOWLEDGED,
            rule="GAS_SPEND_LIMIT",
            scope=Scope.parse("strategy:liquidation"),
            message="Gas spend 4.1 of 5 ETH.",
            minutes=125,
        ),
    ]


def scoped_measures() -> list[Measure]:
    """Limits of single chains and strategies."""
    shares = {"chain:arbitrum": "0.94", "strategy:arbitrage": "0.72", "chain:ethereum": "0.31"}
    return [
        Measure(
            rule=RiskRule.DAILY_LOSS,
            scope=Scope.parse(scope),
            value=Decimal(10) * Decimal(share),
            limit=Decimal(10),
            used=Decimal(share),
            state=MeasureState.NEAR if Decimal(share) > Decimal("0.7") else MeasureState.OK,
            samples=100,
        )
        for scope, share in shares.items()
    ]


_CHAINS = {"ethereum": 18, "arbitrum": 12, "base": 8, "zksync": 4}
_STRATEGIES = ("arbitrage", "liquidation", "backrun")


def executors() -> list[Executor]:
    """42 trading bots on four chains; those on zksync are frozen."""
    made: list[Executor] = []
    for chain, count in _CHAINS.items():
        for _ in range(count):
            number = len(made) + 1
            frozen = chain == "zksync"
            made.append(
                Executor(
                    name=f"bot-{number:02d}",
                    chain=chain,
                    strategy=_STRATEGIES[number % 3],
                    wallet=f"0x{number:040x}",
                    state=ExecutorState.FROZEN if frozen else ExecutorState.TRADING,
                    position_eth=Decimal(0) if frozen else Decimal(number) / 10,
                    open_orders=0 if frozen else number % 4,
                    in_flight=0,
                    last_order_seq=4000 + number,
                    last_seen_at=ago(seconds=1),
                    registered_at=ago(days=3),
                )
            )
    return made


def freeze(
    ident: str = "freeze-1",
    *,
    scope: str = "chain:zksync",
    status: FreezeStatus = FreezeStatus.ACTIVE,
    covered: int = 4,
    halted: int = 4,
    verified: int = 0,
    still_open: int = 0,
    reason: str = "sequencer stall",
) -> Freeze:
    """One hold with the answers of its executors."""
    asked = status is FreezeStatus.THAW_REQUESTED
    return Freeze(
        id=ident,
        ref="FRZ-0031",
        epoch=31,
        scope=Scope.parse(scope),
        mode=FreezeMode.HALT,
        status=status,
        reason=reason,
        created_by="officer1",
        created_at=ago(minutes=13, seconds=28),
        thaw_requested_by="ana" if asked else None,
        thaw_requested_at=ago(minutes=2) if asked else None,
        thaw_reason="sequencer is back" if asked else None,
        covered=covered,
        halted=halted,
        verified=verified,
        still_open=still_open,
        thaw=thaw(asked=asked),
        proofs=[_proof(number, halted=halted, verified=verified, still_open=still_open) for number in range(covered)],
    )


def thaw(*, asked: bool = True, changed: bool = False) -> Thaw:
    """What lifting a freeze of bot-39 to bot-42 means: two open alerts, one other hold over bot-42."""
    return Thaw(
        digest="3f8c71d2" * 8,
        alerts=[
            ThawAlert(
                id="alert-1",
                rule="DAILY_LOSS_LIMIT",
                severity=Severity.CRITICAL,
                message="Chain zksync lost 12.41 ETH today, over the limit of 10 ETH.",
            ),
            ThawAlert(
                id="alert-2",
                rule="GAS_SPEND_LIMIT",
                severity=Severity.MEDIUM,
                message="The platform spent 5.20 ETH on gas today, over the limit of 5 ETH.",
            ),
        ],
        other_holds=["FRZ-0030"],
        executors_released=3,
        stages=[
            ThawStage(executors=1, executor_names=["bot-40"], watch_seconds=30),
            ThawStage(executors=2, executor_names=["bot-39", "bot-41"], watch_seconds=0),
        ],
        changed=["new alert: critical DAILY_LOSS_LIMIT", "executor joined: bot-41"] if changed else [],
        anti_flap_until=ago(minutes=13),
        requested_by="ana" if asked else None,
        requested_at=ago(minutes=2) if asked else None,
        expires_at=NOW + timedelta(minutes=13) if asked else None,
    )


def _proof(number: int, *, halted: int, verified: int, still_open: int) -> HaltProof:
    name = f"bot-{39 + number}"
    if number >= halted:
        return HaltProof(executor=name, state=HaltState.REQUESTED, proof="not heard of since the freeze")
    open_ids: list[str] = []
    state, proof = HaltState.QUIESCED, "signed; no second source yet"
    if number < verified:
        state, proof = HaltState.VERIFIED, f"nonce {4410 + number:,} unchanged ×3, says service:watcher"
    elif number < verified + still_open:
        open_ids = ["0x9f3c55"]
        state, proof = HaltState.ACKED, f"signed at #{4411 + number:,}, 1 in flight"
    return HaltProof(
        executor=name,
        state=state,
        proof=proof,
        acked_at=ago(minutes=13, seconds=28),
        halted_after_seconds=Decimal("0.09") + Decimal(number) / 100,
        last_order_seq=4411 + number,
        in_flight=len(open_ids),
        open_ids=open_ids,
    )


def overview(state: MeasureState = MeasureState.NEAR) -> Overview:
    """The whole floor."""
    return Overview(
        server_time=NOW,
        event_id=100,
        risk=risk(state),
        alerts=alerts(),
        alert_counts=AlertCounts(critical=1, high=1, medium=1),
        freezes=[freeze()],
        executors=executors(),
        executors_total=42,
    )


def entry(
    ident: str = "e-1",
    *,
    user: str | None = "admin1",
    event: str = "config.risk.changed",
    result: AuditResult = AuditResult.SUCCESS,
    minutes: float = 1,
) -> AuditEntry:
    """One audit entry."""
    return AuditEntry(
        id=ident,
        log="7y",
        seq=41,
        timestamp=ago(minutes=minutes),
        category="configuration",
        event_type=event,
        user_id=user,
        ip_address="10.4.0.7",
        user_agent="watchfloor/0.1.0",
        action="update",
        resource_type="risk",
        resource_id="max_daily_loss",
        old_value={"limit": "8"},
        new_value={"limit": "10"},
        result=result,
        error_message="You may not do this." if result is AuditResult.DENIED else None,
        metadata={"request_id": "req-77", "role": "mev_admin"},
        hash="9f3c" * 16,
    )


def entries(count: int = 230) -> list[AuditEntry]:
    """A log, newest first."""
    events = ("config.risk.changed", "auth.session.opened", "freeze.hold.created", "alert.alert.acknowledged")
    results = (AuditResult.SUCCESS, AuditResult.SUCCESS, AuditResult.SUCCESS, AuditResult.DENIED, AuditResult.FAILURE)
    users = ("admin1", "officer1", None, "trader1")
    return [
        entry(
            f"e-{number}",
            user=users[number % 4],
            event=events[number % 4],
            result=results[number % 5],
            minutes=1 + number * 7,
        )
        for number in range(count)
    ]
