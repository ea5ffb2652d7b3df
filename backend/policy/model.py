"""The validated shape of a policy: every section of the compliance documents, and what services ask of it."""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from functools import cached_property
from typing import Annotated

from pydantic import AfterValidator, Field

from backend.policy import programme
from backend.policy.access import AccessRules, PermissionRules, Role, RoleTable, SignIn, resolve_roles
from backend.policy.alerting import AlertRules, EscalationStep
from backend.policy.alertmanager import AlertmanagerRules
from backend.policy.base import PolicyTable, each_of
from backend.policy.freezing import AutomaticFreezes, FreezeDrills, Freezes, Permits, ThawRules
from backend.policy.identity import IdentityRules
from backend.policy.incidents import IncidentRules
from backend.policy.notifying import EVERY_CHANNEL, NotificationRules
from backend.policy.operations import (
    FOREVER,
    Audit,
    LedgerRules,
    Risk,
    SeverityTable,
    Stream,
    Transactions,
    Watchfloor,
    retention_name,
)
from backend.policy.recovery import RecoveryRules
from backend.policy.service_tokens import ServiceTokenRules
from backend.policy.sessions import SessionRules
from backend.policy.sso import SsoRules
from backend.policy.transport import Transport, TransportRules
from contract.alerts import Severity


def channel_names(policy: "Policy") -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Each place where a policy names a notification channel, and which; not `*`."""
    rules, own = policy.notifications, ("watchfloor",)
    lists: list[tuple[tuple[str | int, ...], Sequence[str]]] = [
        *(((*own, "notifications", "severities", key), names) for key, names in rules.severities.items()),
        *(((*own, "notifications", "incidents", key), names) for key, names in rules.incidents.items()),
        *(((*own, "directory", key, "channels"), one.channels) for key, one in policy.watchfloor.directory.items()),
    ]
    for severity, steps in policy.escalation.items():
        lists += [((*own, "escalation", severity, at, "channels"), step.channels) for at, step in enumerate(steps)]
    for path, names in lists:
        yield from (((*path, at), name) for at, name in enumerate(names) if name != EVERY_CHANNEL)


class Policy(PolicyTable):
    """A loaded policy. Built by `backend.policy.load` only, which has checked that its names fit together."""

    document: programme.Document
    standards: tuple[programme.Standard, ...]

    permission_rules: PermissionRules = Field(alias="permissions")
    role_tables: dict[str, RoleTable] = Field(alias="roles")
    sign_in: SignIn
    transport: Transport
    controls: tuple[programme.SecurityControl, ...]
    data_classification: dict[str, programme.DataClass]
    privacy: programme.Privacy

    transactions: Transactions
    risk: Risk
    risk_register: tuple[programme.RegisteredRisk, ...]
    risk_mitigation: dict[str, tuple[programme.NamedText, ...]] = {}
    severities: Annotated[dict[Severity, SeverityTable], AfterValidator(each_of(Severity))]
    incidents: programme.Incidents
    audit: Audit

    audit_schedule: tuple[programme.ScheduledAudit, ...]
    audit_checklist: dict[str, tuple[str, ...]]
    continuity: programme.Continuity
    backups: tuple[programme.Backup, ...]
    kpis: dict[str, programme.Kpi]
    ratings: programme.Ratings
    dashboard: programme.Dashboard
    monthly_report: tuple[programme.MonthlyMetric, ...]
    attestation: programme.Attestation | None = None

    organisation: programme.Organisation | None = None
    changes: programme.Changes | None = None
    monitoring: programme.Monitoring | None = None
    security_controls: dict[str, tuple[programme.NamedText, ...]] = {}
    models: programme.Models | None = None
    logs: programme.Logs | None = None
    criteria: dict[str, programme.Criterion] = {}
    status: programme.Status | None = None

    watchfloor: Watchfloor

    @cached_property
    def roles(self) -> Mapping[str, Role]:
        """The roles with what each holds worked out."""
        return resolve_roles(self.role_tables, self.permission_rules, self.sign_in.hardware_key_roles)

    @property
    def access(self) -> AccessRules:
        """Who may do what for how long, and how that is looked at again."""
        return self.watchfloor.access

    @cached_property
    def executor_max_trade_eth(self) -> Decimal | None:
        """What an executor may trade at once (ETH): as much as the role in whose name it trades; None is no limit."""
        return self.roles[self.access.executor_role].restrictions.max_trade_size_eth

    @property
    def session_hours(self) -> int:
        """How long a sign-in lasts."""
        return self.sign_in.session_hours

    @property
    def identity(self) -> IdentityRules:
        """How factors of sign-in are made, used and got back."""
        return self.watchfloor.identity

    @property
    def sso(self) -> SsoRules:
        """Whom the organisation's own sign-in brings in, and as what."""
        return self.watchfloor.sso

    @property
    def service_tokens(self) -> ServiceTokenRules:
        """What machines' tokens may hold, and how they are replaced."""
        return self.watchfloor.service_tokens

    @property
    def recovery(self) -> RecoveryRules:
        """How recovery drills are run, and what is looked at of the backups."""
        return self.watchfloor.recovery

    @property
    def notifications(self) -> NotificationRules:
        """Who is told of what, how often, and how long it is tried."""
        return self.watchfloor.notifications

    @property
    def alerts(self) -> AlertRules:
        """How alerts are sorted and looked into."""
        return self.watchfloor.alerts

    @property
    def alertmanager(self) -> AlertmanagerRules:
        """How alerts of Alertmanagers are taken."""
        return self.watchfloor.alertmanager

    @property
    def escalation(self) -> Mapping[Severity, Sequence[EscalationStep]]:
        """Who has an alert that nobody acknowledges, one after another."""
        return self.watchfloor.escalation

    def step_channels(self, step: EscalationStep) -> frozenset[str]:
        """The channels that are told of an alert when it comes to a step: its own, and those of its people."""
        reached = (self.watchfloor.directory[name].channels for name in step.people)
        return frozenset(step.channels).union(*reached)

    @cached_property
    def named_channels(self) -> Mapping[str, frozenset[Severity]]:
        """Every notification channel that is named, with the severities of alerts that it is named for by itself."""
        found: dict[str, set[Severity]] = {}
        for path, name in channel_names(self):
            found.setdefault(name, set()).update([Severity(str(path[3]))] if path[2] == "severities" else ())
        return {name: frozenset(severities) for name, severities in found.items()}

    @property
    def sessions(self) -> SessionRules:
        """How long a session may stand unused, and how many a person may have."""
        return self.watchfloor.sessions

    @property
    def incident_rules(self) -> IncidentRules:
        """How incidents are recorded; their procedure and template are in `incidents`."""
        return self.watchfloor.incidents

    @property
    def line(self) -> TransportRules:
        """Numbers of the line between Watchfloor and whoever asks."""
        return self.transport.watchfloor

    @property
    def freezes(self) -> Freezes:
        """What counts as proof of a halt."""
        return self.watchfloor.freezes

    @property
    def freeze_drills(self) -> FreezeDrills:
        """What may be frozen for practice."""
        return self.watchfloor.freeze_drills

    @property
    def permits(self) -> Permits:
        """How long an executor may trade unheard."""
        return self.watchfloor.permits

    @property
    def stream(self) -> Stream:
        """Numbers of the event stream."""
        return self.watchfloor.stream

    @property
    def ledger(self) -> LedgerRules:
        """How the audit ledger's heads are signed and witnessed."""
        return self.watchfloor.ledger

    @property
    def thaw(self) -> ThawRules:
        """How a freeze is lifted."""
        return self.watchfloor.thaw

    @property
    def automatic_freezes(self) -> AutomaticFreezes:
        """When a risk rule may freeze by itself."""
        return self.watchfloor.automatic_freezes

    def audit_category(self, event_type: str) -> str:
        """The audit category of an event type; an unknown type falls into the fall-back, never into none."""
        return self.audit.stated_category(event_type) or self.audit.watchfloor.fallback

    def audit_log(self, category: str) -> str:
        """The log that keeps a category's entries: one for each retention, named after it (7y, 90d)."""
        return retention_name(self.audit.categories[category].retention_days)

    @cached_property
    def audit_logs(self) -> tuple[str, ...]:
        """Every log that the categories need, the longest kept first."""
        days = {category.retention_days for category in self.audit.categories.values()}
        return tuple(retention_name(one) for one in sorted(days, reverse=True))

    @cached_property
    def audit_days(self) -> Mapping[str, int]:
        """How many days each of those logs is kept."""
        return {self.audit_log(name): one.retention_days for name, one in self.audit.categories.items()}

    @property
    def import_retention(self) -> str:
        """The retention class of an imported log whose import names none."""
        days = self.audit.watchfloor.import_retention_days
        return days if isinstance(days, str) else retention_name(days)

    @cached_property
    def retention_classes(self) -> Mapping[str, int | None]:
        """What an import may name, with its days; None is for ever."""
        stated = self.audit.watchfloor.import_retention_days
        days = {*self.audit_days.values(), *([stated] if isinstance(stated, int) else [])}
        return {retention_name(one): one for one in sorted(days, reverse=True)} | {FOREVER: None}

    def retention_class(self, days: int | None) -> str:
        """Name a retention, also one that the policy had once."""
        return FOREVER if days is None else retention_name(days)

    def personal_days(self, days: int | None) -> int | None:
        """How long personal values stay in a log that is kept so many days: the shorter of what is stated."""
        stated = [one for one in (days, self.privacy.log_data_days) if one is not None]
        return min(stated, default=None)
