"""Who holds what under the policy: exactly this, so that every change is made on purpose."""

import pytest

from backend.policy import Policy
from backend.policy.load import load_policy
from contract.permissions import Permission


@pytest.fixture(scope="module")
def policy() -> Policy:
    return load_policy("mev")


READS = {"own_session", "view_overview", "view_risk", "view_alerts", "view_freezes", "view_executors"}


def test_what_watchfloor_adds_to_the_documents_roles(policy: Policy) -> None:
    assert {name: set(role.permissions) for name, role in policy.roles.items()} == {
        name: {Permission(value) for value in held}
        for name, held in {
            "mev_operator": READS
            | {"view_opportunities", "execute_trades", "view_performance"}
            | {"view_transactions", "acknowledge_alerts", "import_transactions"},
            "mev_admin": READS
            | {"view_opportunities", "execute_trades", "view_performance"}
            | {"view_transactions", "acknowledge_alerts", "import_transactions"}
            | {"modify_strategies", "view_wallets", "configure_system"}
            | {"freeze_operations", "approve_thaw", "view_audit_logs", "view_configurations"}
            | {"export_audit_logs", "import_audit_logs", "erase_personal_data"}
            | {"grant_access", "approve_elevation", "review_access", "manage_users", "manage_service_tokens"},
            "compliance_officer": READS
            | {"view_all_logs", "view_audit_logs", "generate_reports", "freeze_operations", "approve_thaw"}
            | {"acknowledge_alerts", "view_transactions", "view_configurations", "export_audit_logs"}
            | {"reveal_personal_data", "erase_personal_data"}
            | {"grant_access", "approve_elevation", "review_access", "manage_users"},
            "external_auditor": READS | {"view_audit_logs", "view_transactions", "view_configurations"},
            "break_glass": {"own_session", "freeze_operations", "view_freezes"},
        }.items()
    }


def test_no_person_may_renew_a_permit(policy: Policy) -> None:
    assert not any(Permission.RENEW_PERMIT in role.permissions for role in policy.roles.values())
