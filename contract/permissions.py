"""The closed list of permissions. Which role holds which is policy data (`backend/policy/*.toml`), never code."""

from enum import StrEnum


class Permission(StrEnum):
    """What a caller may do: first what the compliance documents name, then what Watchfloor's own routes need."""

    VIEW_OPPORTUNITIES = "view_opportunities"
    EXECUTE_TRADES = "execute_trades"
    VIEW_PERFORMANCE = "view_performance"
    MODIFY_STRATEGIES = "modify_strategies"
    VIEW_WALLETS = "view_wallets"
    CONFIGURE_SYSTEM = "configure_system"
    VIEW_ALL_LOGS = "view_all_logs"
    GENERATE_REPORTS = "generate_reports"
    FREEZE_OPERATIONS = "freeze_operations"
    VIEW_AUDIT_LOGS = "view_audit_logs"
    VIEW_TRANSACTIONS = "view_transactions"
    VIEW_CONFIGURATIONS = "view_configurations"

    VIEW_OVERVIEW = "view_overview"
    VIEW_RISK = "view_risk"
    VIEW_ALERTS = "view_alerts"
    ACKNOWLEDGE_ALERTS = "acknowledge_alerts"
    VIEW_FREEZES = "view_freezes"
    APPROVE_THAW = "approve_thaw"
    VIEW_EXECUTORS = "view_executors"
    IMPORT_TRANSACTIONS = "import_transactions"
    EXPORT_AUDIT_LOGS = "export_audit_logs"
    """Take audit entries out; refused all the same to a role with `data_export_disabled`."""
    IMPORT_AUDIT_LOGS = "import_audit_logs"
    """Take foreign audit logs in."""
    RENEW_PERMIT = "renew_permit"
    OWN_SESSION = "own_session"
    """Read and end one's own session; every signed-in caller holds it."""
