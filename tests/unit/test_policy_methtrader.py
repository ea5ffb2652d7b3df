"""Every table and number of the SOC 2 Lite document, written down from the document, is in `methtrader`."""

from collections.abc import Iterable
from decimal import Decimal

import pytest

from backend.policy import Policy
from backend.policy.load import load_policy
from backend.policy.programme import NamedText
from contract.alerts import Severity

YEARS_7 = 7 * 365


@pytest.fixture(scope="module")
def policy() -> Policy:
    return load_policy("methtrader")


def _pairs(points: Iterable[NamedText]) -> dict[str, str]:
    return {point.name: point.text for point in points}


def test_head(policy: Policy) -> None:
    assert (policy.document.version, policy.document.last_updated) == ("1.0", "2025-08-07")
    assert policy.document.standards == ("SOC 2 Lite (Trust Services Criteria)",)
    assert [(s.name, s.scope) for s in policy.standards] == [("SOC 2 Lite", "Trust Services Criteria")]


def test_organisation(policy: Policy) -> None:
    organisation = policy.organisation
    assert organisation is not None
    assert _pairs(organisation.system) == {
        "Platform Name": "AI Trading System",
        "Domain": "https://methtrader.xyz",
        "Infrastructure": "Vultr Cloud Compute",
        "Architecture": "Microservices with Docker containers",
        "Security": "Enterprise-grade hardening with SSL/TLS",
    }
    assert organisation.stakeholders == {
        "System Administrator": "DevOps team",
        "Security Officer": "Security team",
        "Data Protection Officer": "Compliance team",
        "Trading Operations": "Trading team",
        "Risk Management": "Risk team",
    }
    assert organisation.name == "AI Trading System Organization"
    assert {unit.name: unit.posts for unit in organisation.units} == {
        "Executive Leadership": ("Chief Technology Officer", "Chief Security Officer", "Chief Risk Officer"),
        "Operations Team": ("DevOps Engineers", "Security Analysts", "System Administrators"),
        "Trading Team": ("Quantitative Analysts", "Trading Engineers", "Risk Managers"),
        "Compliance Team": ("Data Protection Officer", "Compliance Analysts", "Audit Coordinators"),
    }


def test_risk_matrix(policy: Policy) -> None:
    assert [(r.category, r.likelihood, r.impact, r.level, r.mitigation) for r in policy.risk_register] == [
        ("Cybersecurity", "medium", "high", "high", "Multi-layer security, monitoring"),
        ("Operational", "low", "medium", "medium", "Redundancy, monitoring"),
        ("Regulatory", "low", "high", "medium", "Compliance framework"),
        ("Financial", "medium", "high", "high", "Risk management controls"),
        ("Technology", "low", "medium", "low", "Testing, monitoring"),
    ]


def test_risk_mitigation_controls(policy: Policy) -> None:
    assert {name: _pairs(points) for name, points in policy.risk_mitigation.items()} == {
        "cybersecurity": {
            "Multi-factor Authentication": "Required for all admin access",
            "Network Segmentation": "Isolated environments",
            "Encryption": "Data at rest and in transit",
            "Monitoring": "Real-time security monitoring",
            "Incident Response": "Automated alerting and response",
        },
        "operational": {
            "High Availability": "99.9% uptime target",
            "Backup Systems": "Automated backups",
            "Monitoring": "Comprehensive system monitoring",
            "Documentation": "Complete operational procedures",
        },
        "regulatory": {
            "Compliance Framework": "SOC 2 Lite implementation",
            "Audit Trail": "Complete transaction logging",
            "Data Governance": "Data lifecycle management",
            "Training": "Regular compliance training",
        },
        "financial": {
            "Risk Limits": "Position and exposure limits",
            "VaR Calculation": "Real-time risk monitoring",
            "Emergency Controls": "Automatic risk mitigation",
            "Insurance": "Cyber liability coverage",
        },
    }


def test_change_management(policy: Policy) -> None:
    changes = policy.changes
    assert changes is not None
    assert _pairs(changes.process) == {
        "Request Submission": "All changes must be submitted via formal request",
        "Impact Assessment": "Evaluate impact on system stability and security",
        "Approval Process": "Multi-level approval for significant changes",
        "Testing": "All changes must pass testing before deployment",
        "Deployment": "Controlled deployment with rollback capability",
        "Post-Implementation Review": "Verify change success and stability",
    }
    types = {name: (t.approvers, t.testing, t.rollback, t.rollback_hours) for name, t in changes.types.items()}
    assert types == {
        "emergency": (("CTO", "Security Officer"), "Minimal", "Immediate", 0),
        "standard": (("Team Lead",), "Full", "24 hours", 24),
        "major": (("CTO", "Risk Officer"), "Extended", "48 hours", 48),
    }
    assert changes.checklist.before == (
        "Change request documented",
        "Impact assessment completed",
        "Risk analysis performed",
        "Testing plan approved",
        "Rollback plan prepared",
        "Stakeholder approval obtained",
    )
    assert changes.checklist.during == (
        "Change executed per approved plan",
        "Monitoring active during deployment",
        "Rollback triggers identified",
        "Communication to stakeholders",
    )
    assert changes.checklist.after == (
        "Change verification completed",
        "System stability confirmed",
        "Performance metrics reviewed",
        "Documentation updated",
        "Lessons learned documented",
    )


def test_security_controls(policy: Policy) -> None:
    assert {name: _pairs(points) for name, points in policy.security_controls.items()} == {
        "access_control": {
            "Authentication": "Multi-factor authentication required",
            "Authorization": "Role-based access control (RBAC)",
            "Session Management": "Automatic session timeout",
            "Privileged Access": "Just-in-time access for admin functions",
        },
        "data_protection": {
            "Encryption": "AES-256 encryption for data at rest",
            "Transit Security": "TLS 1.3 for data in transit",
            "Key Management": "Secure key storage and rotation",
            "Data Classification": "Sensitive data identification and handling",
        },
        "network_security": {
            "Firewall": "Network-level protection",
            "Intrusion Detection": "Real-time threat monitoring",
            "DDoS Protection": "Cloudflare integration",
            "VPN Access": "Secure remote access",
        },
        "application_security": {
            "Input Validation": "Comprehensive input sanitization",
            "Rate Limiting": "API rate limiting protection",
            "Security Headers": "HTTP security headers",
            "Code Review": "Security-focused code review process",
        },
    }


def test_monitoring_and_logging(policy: Policy) -> None:
    monitoring = policy.monitoring
    assert monitoring is not None
    assert _pairs(monitoring.system) == {
        "Infrastructure": "CPU, memory, disk, network monitoring",
        "Application": "Response times, error rates, throughput",
        "Security": "Failed login attempts, suspicious activity",
        "Business": "Trading performance, risk metrics",
    }
    assert _pairs(monitoring.logging) == {
        "Centralized Logging": "Loki stack for log aggregation",
        "Log Retention": "90 days for operational logs, 7 years for compliance",
        "Log Analysis": "Automated log analysis and alerting",
        "Audit Trail": "Complete transaction audit trail",
    }
    assert _pairs(monitoring.alerting) == {
        "Critical Alerts": "Immediate notification for security incidents",
        "Performance Alerts": "Automated alerts for performance degradation",
        "Risk Alerts": "Real-time risk threshold notifications",
        "Compliance Alerts": "Regulatory compliance notifications",
    }


def test_models(policy: Policy) -> None:
    models = policy.models
    assert models is not None
    assert _pairs(models.governance) == {
        "Model Registry": "Centralized model versioning",
        "Model Lineage": "Complete model development history",
        "Performance Tracking": "Model performance monitoring",
        "Compliance Tracking": "Model compliance verification",
    }
    assert _pairs(models.evidence) == {
        "Model Registry": "Screenshot of model versions and status",
        "Experiment Tracking": "Screenshot of experiment runs",
        "Model Performance": "Screenshot of model metrics",
        "Artifact Storage": "Screenshot of model artifacts",
    }
    assert [(stage.name, stage.text) for stage in models.lifecycle] == [
        ("Development", "Model development and testing"),
        ("Validation", "Model validation and approval"),
        ("Deployment", "Model deployment to production"),
        ("Monitoring", "Model performance monitoring"),
        ("Retirement", "Model retirement and replacement"),
    ]


def test_log_retention(policy: Policy) -> None:
    logs = policy.logs
    assert logs is not None
    rows = {n: (t.retention_days, t.storage, t.encrypted, t.requirement) for n, t in logs.types.items()}
    assert rows == {
        "security": (YEARS_7, "Encrypted storage", True, "Regulatory compliance"),
        "audit": (YEARS_7, "Encrypted storage", True, "SOC 2 compliance"),
        "trading": (YEARS_7, "Encrypted storage", True, "Financial compliance"),
        "system": (90, "Standard storage", False, "Operational"),
        "performance": (365, "Standard storage", False, "Performance analysis"),
    }
    assert (logs.operational_retention_days, logs.compliance_retention_days) == (90, YEARS_7)
    assert _pairs(logs.management) == {
        "Automated Retention": "Automatic log rotation and cleanup",
        "Backup Strategy": "Regular backup of critical logs",
        "Search Capability": "Full-text search across all logs",
        "Compliance Reporting": "Automated compliance reporting",
    }


def test_every_audit_entry_is_kept_as_an_audit_log(policy: Policy) -> None:
    kept = {(category.retention_days, category.encryption) for category in policy.audit.categories.values()}
    assert kept == {(YEARS_7, True)}


def test_incident_classification(policy: Policy) -> None:
    rows = {s: (t.response_time_minutes, t.escalation, t.notification) for s, t in policy.severities.items()}
    assert rows == {
        Severity.CRITICAL: (0, "CTO + Security Officer", "All stakeholders"),
        Severity.HIGH: (60, "Team Lead + Security", "Management"),
        Severity.MEDIUM: (4 * 60, "Team Lead", "Team members"),
        Severity.LOW: (24 * 60, "Team member", "Team lead"),
    }


def test_response_procedures(policy: Policy) -> None:
    assert [(step.step, step.actions) for step in policy.incidents.procedure] == [
        ("Detection", ("Automated detection and alerting",)),
        ("Assessment", ("Impact assessment and classification",)),
        ("Containment", ("Immediate containment measures",)),
        ("Investigation", ("Root cause analysis",)),
        ("Remediation", ("Fix implementation and verification",)),
        ("Recovery", ("System recovery and validation",)),
        ("Post-Incident", ("Lessons learned and process improvement",)),
    ]


def test_kpis(policy: Policy) -> None:
    rows = {n: (k.target, k.unit, k.direction.value, k.strict, k.window_days) for n, k in policy.kpis.items()}
    assert rows == {
        "security_incidents": (0, "incidents", "lower_is_better", False, 30),
        "system_uptime": (Decimal("99.9"), "percent", "higher_is_better", False, None),
        "response_time": (200, "milliseconds", "lower_is_better", True, None),
        "compliance_score": (100, "percent", "higher_is_better", False, None),
        "risk_score": (Decimal("0.15"), "score", "lower_is_better", False, None),
    }


def test_monitoring_dashboard(policy: Policy) -> None:
    assert _pairs(policy.dashboard.views) == {
        "Real-time Metrics": "Live system performance",
        "Security Status": "Current security posture",
        "Compliance Status": "Regulatory compliance status",
        "Risk Metrics": "Current risk exposure",
    }


def test_criteria_checklist(policy: Policy) -> None:
    lines = {n: (c.document_label, tuple(item.text for item in c.items)) for n, c in policy.criteria.items()}
    assert lines == {
        "security": (
            "CC6",
            (
                "Access control implementation",
                "Security monitoring and alerting",
                "Incident response procedures",
                "Security training and awareness",
            ),
        ),
        "availability": (
            "CC7",
            (
                "System availability monitoring",
                "Backup and recovery procedures",
                "Performance monitoring",
                "Capacity planning",
            ),
        ),
        "processing_integrity": (
            "CC8",
            (
                "Data validation and verification",
                "Error handling and correction",
                "Transaction monitoring",
                "Audit trail maintenance",
            ),
        ),
        "confidentiality": (
            "CC9",
            (
                "Data classification and handling",
                "Encryption implementation",
                "Access controls",
                "Data disposal procedures",
            ),
        ),
        "privacy": (
            "CC10",
            (
                "Privacy notice and consent",
                "Data collection and use",
                "Data retention and disposal",
                "Privacy monitoring and compliance",
            ),
        ),
    }
    assert all(item.done for criterion in policy.criteria.values() for item in criterion.items)


def test_the_criteria_are_mapped_to_the_series_they_belong_to(policy: Policy) -> None:
    """The document's CC7 to CC10 name other series: A, PI, C and P."""
    first = {name: criterion.trust_services_criteria[0] for name, criterion in policy.criteria.items()}
    series = {name: reference.rstrip("0123456789.") for name, reference in first.items()}
    assert series == {
        "security": "CC",
        "availability": "A",
        "processing_integrity": "PI",
        "confidentiality": "C",
        "privacy": "P",
    }


def test_compliance_status_and_next_steps(policy: Policy) -> None:
    status = policy.status
    assert status is not None
    assert _pairs(status.reached) == {
        "Security Controls": "Implemented and operational",
        "Risk Management": "Comprehensive risk framework",
        "Change Management": "Formal change control process",
        "Monitoring": "Real-time monitoring and alerting",
        "Documentation": "Complete compliance documentation",
    }
    assert status.next_steps == (
        "Regular compliance audits and reviews",
        "Continuous improvement of security controls",
        "Ongoing staff training and awareness",
        "Regular risk assessments and updates",
    )


def test_where_the_document_is_silent_mev_holds(policy: Policy) -> None:
    mev = load_policy("mev")
    assert policy.roles == mev.roles
    assert policy.risk == mev.risk
    assert policy.continuity == mev.continuity
    assert policy.attestation is None, "the MEV document's statement is about another system"
