"""Every table and number of the MEV compliance document, written down from the document, is in `mev`."""

from decimal import Decimal

import pytest

from backend.policy import Policy
from backend.policy.load import load_policy
from contract.alerts import Severity
from contract.risk import RiskRule

YEARS_7 = 7 * 365
YEARS_3 = 3 * 365
HIGHER = "higher_is_better"


@pytest.fixture(scope="module")
def policy() -> Policy:
    return load_policy("mev")


def test_head(policy: Policy) -> None:
    assert policy.document.version == "2.0"
    assert policy.document.last_updated == "2025-07-11"
    assert policy.document.classification == "Compliance Documentation"
    assert policy.document.standards == ("SOX", "SOC 2", "ISO 27001", "GDPR")


def test_applicable_standards(policy: Policy) -> None:
    assert [(s.name, s.scope, s.certification_status, s.last_audit) for s in policy.standards] == [
        ("SOC 2 Type II", "Security, Availability", "In Progress", "Q2 2025"),
        ("ISO 27001", "Information Security", "Planned", "Q4 2025"),
        ("PCI DSS", "Payment Processing", "N/A", None),
        ("GDPR", "Data Privacy", "Compliant", "Q1 2025"),
    ]


def test_market_manipulation_prevention(policy: Policy) -> None:
    controls = policy.transactions.anti_manipulation
    assert [(c.control, c.implementation, c.frequency) for c in controls] == [
        ("Automated detection of wash trading patterns", "Real-time transaction analysis", "Continuous"),
        ("Price impact limitations", "Maximum 2% price movement per trade", "Per transaction"),
        ("Competitor analysis restrictions", "No targeting of specific traders", "Continuous"),
    ]
    assert policy.transactions.max_price_impact_percent == 2


def test_transaction_reporting(policy: Policy) -> None:
    reporting = policy.transactions.reporting
    assert reporting.threshold_usd == 10_000
    assert (reporting.transaction_type, reporting.jurisdiction) == ("MEV_EXTRACTION", "US")
    assert reporting.fields == (
        "transaction_id",
        "timestamp",
        "value_usd",
        "type",
        "chain",
        "profit",
        "reporting_entity",
        "jurisdiction",
    )


def test_know_your_transaction(policy: Policy) -> None:
    kyt = policy.transactions.kyt
    assert (kyt.large_profit_usd, kyt.large_gas_cost_usd) == (Decimal(50_000), Decimal(1_000))
    assert (kyt.hourly_count_factor, kyt.hourly_profit_factor) == (Decimal(3), Decimal(5))


def test_audit_event_categories(policy: Policy) -> None:
    rows = [(c.title, c.events, c.retention_days, c.encryption) for c in policy.audit.categories.values()]
    assert rows == [
        ("Authentication", ("Login", "Logout", "Failed attempts"), YEARS_7, True),
        ("Configuration", ("Changes to system config",), YEARS_7, True),
        ("Transactions", ("All MEV transactions",), YEARS_7, True),
        ("Access Control", ("Permission changes",), YEARS_7, True),
        ("System Events", ("Start", "Stop", "Errors"), YEARS_3, False),
        ("Monitoring", ("Health checks", "Alerts"), 365, False),
    ]


DOCUMENTED_ROLES = {"mev_operator", "mev_admin", "compliance_officer", "external_auditor"}


def test_roles(policy: Policy) -> None:
    assert set(policy.role_tables) - DOCUMENTED_ROLES == {policy.identity.break_glass_role}
    stated = {name: role.permissions for name, role in policy.role_tables.items() if name in DOCUMENTED_ROLES}
    assert stated == {
        "mev_operator": ("view_opportunities", "execute_trades", "view_performance"),
        "mev_admin": ("all_operator_permissions", "modify_strategies", "view_wallets", "configure_system"),
        "compliance_officer": ("view_all_logs", "generate_reports", "freeze_operations"),
        "external_auditor": ("view_audit_logs", "view_transactions", "view_configurations"),
    }
    set_ = {name: policy.roles[name].restrictions.model_dump(exclude_defaults=True) for name in DOCUMENTED_ROLES}
    assert [str(network) for network in set_["mev_admin"].pop("ip_whitelist")] == ["10.0.0.0/8"]
    assert set_ == {
        "mev_operator": {"max_trade_size_eth": Decimal(10), "require_2fa": True},
        "mev_admin": {"require_hardware_key": True},
        "compliance_officer": {"read_only": True, "audit_trail": "enhanced"},
        "external_auditor": {"time_based_access": True, "data_export_disabled": True},
    }


def test_an_admin_holds_all_an_operator_holds(policy: Policy) -> None:
    assert policy.roles["mev_operator"].permissions < policy.roles["mev_admin"].permissions


def test_authentication(policy: Policy) -> None:
    assert policy.session_hours == 8
    assert policy.sign_in.factors == ("password", "totp", "hardware_key")
    assert policy.sign_in.hardware_key_roles == ("mev_admin", "compliance_officer")
    assert policy.sign_in.token_claims == (
        "user_id",
        "username",
        "role",
        "permissions",
        "exp",
        "iat",
        "session_id",
    )


def test_security_controls_matrix(policy: Policy) -> None:
    assert [(c.control, c.implementation, c.monitoring, c.testing_frequency) for c in policy.controls] == [
        ("Encryption at Rest", "AES-256", "Daily scans", "Quarterly"),
        ("Encryption in Transit", "TLS 1.3", "Continuous", "Monthly"),
        ("Access Logging", "All actions logged", "Real-time alerts", "Weekly"),
        ("Vulnerability Scanning", "Automated + Manual", "Weekly reports", "Weekly"),
        ("Penetration Testing", "Third-party", "Annual report", "Annually"),
        ("Code Review", "Peer review required", "PR metrics", "Per change"),
    ]


def test_data_classification(policy: Policy) -> None:
    assert {name: (c.description, c.examples, c.controls) for name, c in policy.data_classification.items()} == {
        "public": (
            "Non-sensitive operational data",
            ("System status", "Public blockchain data"),
            ("Basic access control",),
        ),
        "internal": (
            "Internal operational data",
            ("Performance metrics", "Strategy names"),
            ("Authentication required", "Audit logging"),
        ),
        "confidential": (
            "Sensitive business data",
            ("Profit data", "Strategy logic", "Wallet addresses"),
            ("Encryption", "Need-to-know access", "Enhanced logging"),
        ),
        "restricted": (
            "Highly sensitive data",
            ("Private keys", "User credentials", "Compliance data"),
            ("HSM storage", "Multi-person control", "Continuous monitoring"),
        ),
    }


def test_gdpr(policy: Policy) -> None:
    assert policy.privacy.retention_days == {"transaction_data": 7 * 365, "log_data": 3 * 365, "user_data": 30}
    assert policy.privacy.request_types == ("access", "deletion", "portability")
    assert policy.privacy.anonymised_fields == ("user_id", "ip_address", "wallet_address")


def test_risk_register(policy: Policy) -> None:
    rows = [(r.id, r.category, r.description, r.impact, r.likelihood, r.mitigation) for r in policy.risk_register]
    assert rows == [
        (
            "R001",
            "Regulatory",
            "New regulations limiting MEV",
            "high",
            "medium",
            "Legal monitoring, adaptable architecture",
        ),
        (
            "R002",
            "Technical",
            "Smart contract vulnerability",
            "critical",
            "low",
            "Audits, bug bounties, insurance",
        ),
        ("R003", "Operational", "Key person dependency", "high", "medium", "Documentation, cross-training"),
        ("R004", "Financial", "Large trading loss", "high", "low", "Position limits, stop-loss mechanisms"),
        ("R005", "Security", "Private key compromise", "critical", "low", "HSM, multi-sig, key rotation"),
        ("R006", "Compliance", "Audit failure", "medium", "low", "Continuous monitoring, regular reviews"),
    ]


def test_risk_thresholds(policy: Policy) -> None:
    limits = policy.risk.thresholds
    assert limits.max_position_size_eth == 100
    assert limits.max_daily_loss_eth == 10
    assert limits.min_success_rate == Decimal("0.8")
    assert limits.max_gas_spend_eth_per_day == 5
    assert policy.risk.assessment_interval_seconds == 60


def test_what_crossing_a_threshold_does(policy: Policy) -> None:
    assert {rule: (table.alert, table.action.value) for rule, table in policy.risk.rules.items()} == {
        RiskRule.POSITION: ("POSITION_SIZE_EXCEEDED", "enforce_position_limit"),
        RiskRule.DAILY_LOSS: ("DAILY_LOSS_LIMIT", "pause_trading"),
        RiskRule.SUCCESS_RATE: ("LOW_SUCCESS_RATE", "request_strategy_review"),
        RiskRule.GAS_SPEND: ("GAS_SPEND_LIMIT", "notify"),
    }


def test_compliance_monitoring(policy: Policy) -> None:
    dashboard = policy.dashboard
    assert dashboard.refresh_seconds == 30
    assert dashboard.indicators == ("regulatory", "operational", "security")
    assert dashboard.transaction_summary_days == 30
    assert dashboard.access_summary_days == 7
    assert dashboard.configuration_changes_days == 30
    assert policy.transactions.large_trade_usd == 10_000


def test_monthly_report(policy: Policy) -> None:
    assert [(m.metric, m.notes, m.passes_when) for m in policy.monthly_report] == [
        ("Total Transactions", "Monthly transaction volume", "total_transactions > 0"),
        ("Reportable Trades", "Trades over $10,000 requiring reporting", "informational"),
        ("Security Incidents", "Total security incidents in period", "critical_incidents = 0"),
    ]


def test_incident_classes(policy: Policy) -> None:
    assert {s: (t.description, t.response_time_minutes, t.escalation) for s, t in policy.severities.items()} == {
        Severity.CRITICAL: ("Service outage, data breach, major financial loss", 15, "Immediate to C-level"),
        Severity.HIGH: ("Performance degradation, security alert", 60, "Director level"),
        Severity.MEDIUM: ("Non-critical issues, minor losses", 4 * 60, "Team lead"),
        Severity.LOW: ("Minor issues, no impact", 24 * 60, "On-call engineer"),
    }


def test_incident_procedure(policy: Policy) -> None:
    assert [(step.step, step.actions) for step in policy.incidents.procedure] == [
        (
            "Detection",
            ("Automated monitoring alerts", "Manual report submission", "Audit log anomaly detection"),
        ),
        ("Triage", ("Assess impact and severity", "Assign incident commander", "Begin evidence collection")),
        ("Containment", ("Isolate affected systems", "Prevent further damage", "Maintain evidence integrity")),
        ("Resolution", ("Fix root cause", "Verify resolution", "Document actions taken")),
        ("Recovery", ("Restore normal operations", "Monitor for recurrence", "Update documentation")),
        ("Post-Mortem", ("Root cause analysis", "Lessons learned", "Process improvements")),
    ]


def test_incident_template(policy: Policy) -> None:
    template = policy.incidents.post_mortem
    assert template.fields == ("Incident ID", "Date", "Severity", "Status")
    assert template.sections == (
        "Summary",
        "Timeline",
        "Impact",
        "Root Cause",
        "Resolution",
        "Lessons Learned",
        "Follow-up Actions",
    )
    assert template.impact_fields == ("Duration", "Affected Services", "Financial Impact", "Users Affected")
    assert template.lessons == ("What went well", "What could be improved", "Action items for prevention")
    assert template.follow_up_actions == (
        "Update monitoring thresholds",
        "Implement additional safeguards",
        "Team training on scenario",
    )
    assert template.timeline_events == (
        "Initial detection",
        "Incident confirmed",
        "Containment measures applied",
        "Root cause identified",
        "Fix deployed",
        "Normal operations restored",
    )


def test_business_continuity(policy: Policy) -> None:
    continuity = policy.continuity
    assert continuity.rto_minutes == {"critical": 15, "high": 60, "medium": 4 * 60, "low": 24 * 60}
    assert continuity.rpo_minutes == {"transaction_data": 1, "configuration": 60, "logs": 24 * 60}
    assert continuity.test_every == "quarter"
    assert [(step.action, step.title) for step in continuity.test_steps] == [
        ("simulate_failure", "Simulate primary site failure"),
        ("activate_secondary_site", "Activate secondary site"),
        ("verify_data_integrity", "Verify data integrity"),
        ("test_transaction_processing", "Test transaction processing"),
        ("failback_to_primary", "Failback to primary"),
    ]


def test_backup_matrix(policy: Policy) -> None:
    assert [(b.data, b.frequency, b.retention_days, b.storage, b.recovery_method) for b in policy.backups] == [
        ("Transaction Data", "Real-time", YEARS_7, "S3 + Glacier", "Automated restore"),
        ("Configuration", "Hourly", 30, "Git + S3", "Manual restore"),
        ("Audit Logs", "Real-time", YEARS_7, "S3 + Glacier", "Automated restore"),
        ("System State", "Daily", 7, "EBS Snapshots", "EC2 restore"),
        ("Wallets/Keys", "On change", "forever", "HSM + Cold storage", "Multi-party restore"),
    ]


def test_audit_schedule(policy: Policy) -> None:
    assert [(a.every, a.name, a.scope, a.automated, a.reviewer) for a in policy.audit_schedule] == [
        ("day", "Access review", "Failed login attempts, privilege escalations", True, None),
        ("day", "Transaction monitoring", "Large trades, unusual patterns", True, None),
        ("week", "Configuration audit", "System configurations, strategy parameters", False, "Team Lead"),
        ("week", "Security scan", "Vulnerabilities, patches", True, None),
        ("month", "Compliance review", "Regulatory requirements, policies", False, "Compliance Officer"),
        ("month", "Access certification", "User permissions, role assignments", False, "Security Team"),
        ("quarter", "Full system audit", "Complete infrastructure and processes", False, "Internal Audit Team"),
        ("quarter", "DR test", "Disaster recovery procedures", False, "Operations Team"),
        ("year", "External audit", "SOC 2, financial controls", False, "External Auditor"),
    ]


def test_audit_checklist(policy: Policy) -> None:
    assert policy.audit_checklist == {
        "access_control": (
            "Verify all users have appropriate roles",
            "Check for orphaned accounts",
            "Review privileged access",
            "Validate MFA enforcement",
        ),
        "data_security": (
            "Verify encryption at rest",
            "Check TLS configurations",
            "Review key rotation logs",
            "Validate backup encryption",
        ),
        "operational": (
            "Review change management logs",
            "Check monitoring coverage",
            "Validate alert configurations",
            "Review incident responses",
        ),
        "compliance": (
            "Check regulatory reporting",
            "Review audit log integrity",
            "Validate retention policies",
            "Check data anonymization",
        ),
    }


def test_kpis(policy: Policy) -> None:
    assert {name: (k.target, k.unit, k.direction.value, k.calculation) for name, k in policy.kpis.items()} == {
        "audit_completion_rate": (Decimal(100), "percent", HIGHER, "completed_audits / scheduled_audits * 100"),
        "incident_response_time": (
            Decimal(15),
            "minutes",
            "lower_is_better",
            "average(detection_time, response_start)",
        ),
        "access_review_completion": (Decimal(100), "percent", HIGHER, "reviewed_accounts / total_accounts * 100"),
        "training_completion": (Decimal(100), "percent", HIGHER, "trained_employees / total_employees * 100"),
        "data_retention_compliance": (Decimal(100), "percent", HIGHER, "compliant_records / total_records * 100"),
    }


def test_ratings(policy: Policy) -> None:
    assert [(band.minimum_percent, band.rating) for band in policy.ratings] == [
        (Decimal(95), "Excellent"),
        (Decimal(85), "Good"),
        (Decimal(75), "Satisfactory"),
        (Decimal(0), "Needs Improvement"),
    ]


def test_attestation(policy: Policy) -> None:
    statement = policy.attestation
    assert statement is not None
    assert statement.statement == (
        "I hereby certify that the MEV Infrastructure has been designed, implemented, and is operated in accordance "
        "with applicable compliance requirements including but not limited to:"
    )
    assert statement.requirements == (
        "Financial regulatory requirements",
        "Data protection regulations (GDPR)",
        "Security best practices (ISO 27001)",
        "Internal control frameworks (SOC 2)",
    )
    assert statement.effectiveness == (
        "All controls described in this documentation are operational and effective as of the date of this "
        "certification."
    )
    assert statement.certified_by == "Chief Compliance Officer"
    assert (statement.date, statement.next_review) == ("2025-07-11", "2025-10-11")
