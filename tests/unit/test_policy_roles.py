"""Who holds what under the policy: exactly this, so that every change is made on purpose."""

import pytest

from backend.policy import Policy
from backend.policy.load import load_policy
from contract.permissions import Permission


@pytest.fixture(scope="module")
def policy() -> Policy:
    return load_policy("mev")


READS = {"own_session", "view_overview", "view_risk", "view_alerts", "view_freezes", "view_executors", "view_incidents"}
READS |= {"view_recovery"}


def test_what_watchfloor_adds_to_the_documents_roles(policy: Policy) -> None:
    assert {name: set(role.permissions) for name, role in policy.roles.items()} == {
        name: {Permission(value) for value in held}
        for name, held in {
            "mev_operator": READS
            | {"view_opportunities", "execute_trades", "view_performance"}
            | {"view_transactions", "acknowledge_alerts", "import_transactions"}
            | {"silence_alerts", "handle_incidents"},
            "mev_admin": READS
            | {"view_opportunities", "execute_trades", "view_performance"}
            | {"view_transactions", "acknowledge_alerts", "import_transactions"}
            | {"modify_strategies", "view_wallets", "configure_system"}
            | {"freeze_operations", "approve_thaw", "view_audit_logs", "view_configurations"}
            | {"export_audit_logs", "import_audit_logs", "erase_personal_data"}
            | {"grant_access", "approve_elevation", "review_access", "manage_users", "manage_service_tokens"}
            | {"silence_alerts", "manage_notifications"}
            | {"handle_incidents", "approve_postmortems", "import_incidents"}
            | {"run_recovery_drills", "sign_recovery_reports"},
            "compliance_officer": READS
            | {"view_all_logs", "view_audit_logs", "generate_reports", "freeze_operations", "approve_thaw"}
            | {"acknowledge_alerts", "view_transactions", "view_configurations", "export_audit_logs"}
            | {"reveal_personal_data", "erase_personal_data"}
            | {"grant_access", "approve_elevation", "review_access", "manage_users"}
            | {"handle_incidents", "approve_postmortems", "import_incidents", "sign_recovery_reports"},
            "external_auditor": READS | {"view_audit_logs", "view_transactions", "view_configurations"},
            "break_glass": {"own_session", "freeze_operations", "view_freezes"},
        }.items()
    }


@pytest.mark.parametrize("permission", [Permission.RENEW_PERMIT, Permission.RECEIVE_ALERTS])
def test_no_person_does_what_only_machines_do(policy: Policy, permission: Permission) -> None:
    assert not any(permission in role.permissions for role in policy.roles.values())
    assert permission in policy.service_tokens.grantable
