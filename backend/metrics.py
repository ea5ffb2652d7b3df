"""The numbers one backend process counts about itself, in a registry of its own. Owns no business figure."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

LATENCY_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""Around the 50 ms goal of the dashboard and the 5 s statement timeout."""

LAG_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0)
"""Around the 250 ms goal of the ledger; the last ones tell a pause from a standstill."""
BATCH_BUCKETS = (1, 3, 10, 30, 100, 300, 1_000)
"""From an idle floor to the largest batch."""


class Metrics:
    """Instruments of one application; a second application in the same process counts separately."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "watchfloor_http_requests",
            "Requests answered, by route template and status.",
            ["method", "route", "status"],
            registry=self.registry,
        )
        self.request_seconds = Histogram(
            "watchfloor_http_request_seconds",
            "Time until the answer was sent; streams are not timed.",
            ["method", "route"],
            buckets=LATENCY_BUCKETS_S,
            registry=self.registry,
        )
        self.database_connections = Gauge(
            "watchfloor_database_connections",
            "Connections of the pool.",
            ["state"],
            registry=self.registry,
        )
        self.stream_subscribers = Gauge("watchfloor_stream_subscribers", "Open event streams.", registry=self.registry)
        self.stream_listening = Gauge(
            "watchfloor_stream_listening",
            "1 while this process hears committed events, else 0.",
            registry=self.registry,
        )
        self.stream_events = Counter(
            "watchfloor_stream_events", "Committed events fanned out, by topic.", ["topic"], registry=self.registry
        )
        self.stream_resets = Counter(
            "watchfloor_stream_resets",
            "Streams told to load the overview again because events were out of reach.",
            registry=self.registry,
        )
        self.monitor_ticks = Counter(
            "watchfloor_monitor_ticks", "Completed ticks.", ["monitor"], registry=self.registry
        )
        self.monitor_failures = Counter(
            "watchfloor_monitor_failures",
            "Ticks that failed and were rolled back.",
            ["monitor"],
            registry=self.registry,
        )
        self.monitor_seconds = Histogram(
            "watchfloor_monitor_tick_seconds",
            "Duration of completed ticks.",
            ["monitor"],
            buckets=LATENCY_BUCKETS_S,
            registry=self.registry,
        )
        self.monitor_leader = Gauge(
            "watchfloor_monitor_leader", "1 while this process leads the monitor.", ["monitor"], registry=self.registry
        )
        self._count_limits()
        self._count_permits()
        self._count_audit()

    def _count_limits(self) -> None:
        self.alert_deliveries = Counter(
            "watchfloor_alert_deliveries",
            "Deliveries of Alertmanagers: taken, refused for ever, or to be delivered again later.",
            ["outcome"],
            registry=self.registry,
        )
        self.requests_limited = Counter(
            "watchfloor_requests_limited",
            "Requests refused because too many came, by their class and whose account was empty.",
            ["kind", "of"],
            registry=self.registry,
        )
        self.requests_uncounted = Counter(
            "watchfloor_requests_uncounted",
            "Requests let through uncounted because the database did not say how many there were.",
            registry=self.registry,
        )

    def _count_permits(self) -> None:
        self.freezes_latched = Gauge(
            "watchfloor_freezes_latched",
            "Freezes that are in force at this process and not in the database yet.",
            registry=self.registry,
        )
        self.permits = Counter("watchfloor_permits", "Renewals answered with a permit.", registry=self.registry)
        self.permit_reads = Histogram(
            "watchfloor_permit_read_seconds",
            "Duration of the reads of the freeze state from which permits are given.",
            buckets=LATENCY_BUCKETS_S,
            registry=self.registry,
        )
        self.permit_revocations = Counter(
            "watchfloor_permit_revocations", "Revocations pushed to connected executors.", registry=self.registry
        )
        self.gates_connected = Gauge(
            "watchfloor_gates_connected", "Open connections of executors.", registry=self.registry
        )

    def _count_audit(self) -> None:
        self.audit_sequenced = Counter(
            "watchfloor_audit_sequenced", "Entries that this process took into the ledger.", registry=self.registry
        )
        self.audit_quarantined = Counter(
            "watchfloor_audit_quarantined",
            "Rows of the outbox that could not be entries and were set aside.",
            registry=self.registry,
        )
        self.audit_lag = Histogram(
            "watchfloor_audit_lag_seconds",
            "Time from an act to its place in the ledger, of the entries that this process took in.",
            buckets=LAG_BUCKETS_S,
            registry=self.registry,
        )
        self.audit_batch = Histogram(
            "watchfloor_audit_batch_entries",
            "Entries taken into the ledger in one transaction.",
            buckets=BATCH_BUCKETS,
            registry=self.registry,
        )
        self.audit_waiting = Gauge(
            "watchfloor_audit_outbox_rows",
            "Committed entries that are not in the ledger yet, counted up to 5,000.",
            registry=self.registry,
        )
        self.audit_oldest = Gauge(
            "watchfloor_audit_outbox_age_seconds", "Age of the oldest of them.", registry=self.registry
        )
        self.audit_spooled = Counter(
            "watchfloor_audit_spooled", "Entries kept in the spool of this process.", registry=self.registry
        )
        self.audit_spool_waiting = Gauge(
            "watchfloor_audit_spool_lines", "Entries in that spool that are not recorded yet.", registry=self.registry
        )
        self.audit_spool_broken = Gauge(
            "watchfloor_audit_spool_broken", "1 while that spool cannot take an entry, else 0.", registry=self.registry
        )
        self.audit_faults = Gauge(
            "watchfloor_audit_log_at_fault", "1 while a log refuses to grow, else 0.", ["log"], registry=self.registry
        )
        self.audit_entries = Counter(
            "watchfloor_audit_entries", "Committed audit entries, by category.", ["category"], registry=self.registry
        )
        self.audit_keeper_up = Gauge(
            "watchfloor_audit_keeper_up",
            "1 while the signer or a witness does its work, else 0; told by the process that asks them.",
            ["name"],
            registry=self.registry,
        )
