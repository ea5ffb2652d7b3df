"""A wrong policy file says file, key and reason of every mistake; a right one layers over another."""

import re
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.errors import ConfigurationError
from backend.main import create_app
from backend.policy.layers import BUILT_IN
from backend.policy.load import load_policy, load_with_warnings
from backend.policy.mistakes import PolicyError
from backend.settings import Settings
from contract.alerts import Severity
from contract.permissions import Permission
from contract.risk import RiskRule
from contract.scope import Scope
from contract.transactions import Outcome


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "own.toml"


def _mistakes(file: Path, text: str, *, extends: str = "mev") -> list[str]:
    """The mistakes of a file over a built-in policy, without the file's name."""
    file.write_text(f'extends = "{extends}"\n{text}', encoding="utf-8")
    with pytest.raises(PolicyError) as refused:
        load_policy(str(file))
    lines = [str(mistake) for mistake in refused.value.mistakes]
    assert all(line.startswith(f"{file}: ") for line in lines), lines
    return [line.removeprefix(f"{file}: ") for line in lines]


@pytest.mark.parametrize("name", BUILT_IN)
def test_the_built_in_policies_are_free_of_mistakes_and_doubts(name: str) -> None:
    assert load_with_warnings(name).warnings == ()


def test_both_documents_are_built_in() -> None:
    assert BUILT_IN == ("methtrader", "mev")


THRESHOLDS = "risk.thresholds"
_ACTIONS = "must be 'enforce_position_limit', 'pause_trading', 'request_strategy_review' or 'notify'"
WRONG = [
    (THRESHOLDS, "max_daily_loss_eth = -1", "must be greater than 0"),
    (THRESHOLDS, "max_daily_loss_eth = 0", "must be greater than 0"),
    (THRESHOLDS, 'max_daily_loss_eth = "ten"', "must be a number"),
    (THRESHOLDS, "max_daily_loss_eth = nan", "must be a finite number"),
    (THRESHOLDS, "max_daily_loss_eth = inf", "must be a finite number"),
    (THRESHOLDS, "max_daily_loss_eth = true", "must be a number, or a number in quotes"),
    (THRESHOLDS, "min_success_rate = 80", "must be less than or equal to 1"),
    ("audit.watchfloor", "import_retention_days = 0", 'must be a number of days greater than 0, or "forever"'),
    ("audit.watchfloor", 'import_retention_days = "7y"', 'must be a number of days greater than 0, or "forever"'),
    (THRESHOLDS, "min_sucess_rate = 0.9", "unknown key; did you mean 'min_success_rate'?"),
    ("risk.rules.position", 'action = "paus_trading"', f"{_ACTIONS}; did you mean 'pause_trading'?"),
    ("severities.critical", "response_time_minutes = 1.5", "must be a whole number"),
    ("severities.critical", "response_time_minutes = -1", "must be greater than or equal to 0"),
    ("severities.critical", 'escalation = " "', "must not be blank"),
    ("severities.critical", "escalation = 7", "must be text in quotes"),
    ("audit.categories.monitoring", 'encryption = "no"', "must be true or false"),
    ("audit.categories.monitoring", "events = []", "must not be empty"),
    ("audit.categories.monitoring", 'events = ["x", "x"]', "names x more than once"),
    ("permissions.inherit", 'all_operator_permissions = "x"', "there is no role 'x'"),
    (
        "audit.watchfloor",
        'fallback = "montoring"',
        "there is no audit category 'montoring'; did you mean 'monitoring'?",
    ),
    ("audit.watchfloor.event_types", 'misc = ["misc"]', "there is no audit category 'misc'"),
]
"""Table, line in it, and what is said of that line's key."""


@pytest.mark.parametrize(("table", "line", "reason"), WRONG)
def test_a_wrong_value_is_named_with_its_key_and_reason(file: Path, table: str, line: str, reason: str) -> None:
    key = line.partition(" = ")[0]
    assert f"{table}.{key}: {reason}" in _mistakes(file, f"[{table}]\n{line}")


DEEPER = [
    ("rsik = 1", "rsik: unknown key; did you mean 'risk'?"),
    ("risk = 7", "risk: must be a table"),
    ("backups = 7", "backups: must be a list"),
    ("[severities.urgent]", "severities.urgent: must be 'critical', 'high', 'medium' or 'low'"),
    (
        '[roles.mev_operator]\npermissions = ["view_opportunites"]',
        "roles.mev_operator.permissions.0: there is no permission 'view_opportunites'; did you mean 'view_opp",
    ),
    (
        '[roles.mev_admin.restrictions]\nip_whitelist = ["10.0.0.1/8"]',
        "roles.mev_admin.restrictions.ip_whitelist.0: 10.0.0.1/8 has host bits set",
    ),
    ('[sign_in]\nhardware_key_roles = ["boss"]', "sign_in.hardware_key_roles.0: there is no role 'boss'"),
    (
        '[audit.watchfloor.event_types]\nmonitoring = ["freeze"]',
        "audit.watchfloor: 'freeze' stands under both configuration and monitoring",
    ),
    (
        '[transactions.watchfloor.outcomes]\nfailed = ["Success"]',
        "transactions.watchfloor: 'Success' stands under both success and failed",
    ),
    (
        '[risk.watchfloor.limits."chian:x"]\nmax_daily_loss_eth = 2',
        "risk.watchfloor.limits.\"chian:x\": unknown scope 'chian:x': write global, chain:NAME",
    ),
    ("[watchfloor.permits]\nrenew_ms = 1500", "watchfloor.permits: renew_ms must be at most half of ttl_ms"),
    (
        "[sign_in.watchfloor]\nfirst_wait_seconds = 1000",
        "sign_in.watchfloor: longest_wait_seconds must not be less than first_wait_seconds",
    ),
    ('[[backups]]\nretention_days = "ever"', "backups.0.retention_days: must be a number of days greater than 0, or"),
    (
        '[[ratings]]\nminimum_percent = 50\nrating = "x"',
        "ratings: minimum_percent must fall from band to band and end at 0",
    ),
    ('replaces = ["severities.low"]', "severities: lacks low"),
    (
        '[watchfloor.directory.rob]\n[[watchfloor.escalation.low]]\ntitle = "x"\nafter_minutes = 0\npeople = ["bob"]',
        "watchfloor.escalation.low.0.people.0: there is no entry of watchfloor.directory 'bob'; did you mean 'rob'?",
    ),
    (
        '[[watchfloor.escalation.low]]\ntitle = "Desk"\nafter_minutes = 0\npeople = ["bob", "bob"]',
        "watchfloor.escalation.low.0.people: names bob more than once",
    ),
]


@pytest.mark.parametrize(("text", "mistake"), DEEPER)
def test_a_mistake_is_named_where_it_stands(file: Path, text: str, mistake: str) -> None:
    found = _mistakes(file, text)
    assert any(line.startswith(mistake) for line in found), found


def test_all_mistakes_are_named_at_once(file: Path) -> None:
    text = """
        [risk.thresholds]
        max_daily_loss_eth = -1
        [roles.mev_operator]
        permissions = ["frobnicate"]
        [kpis.system_uptime]
        target = 101
    """
    found = _mistakes(file, text)
    assert {line.split(":")[0] for line in found} == {
        "risk.thresholds.max_daily_loss_eth",
        "roles.mev_operator.permissions.0",
        "kpis.system_uptime.title",
        "kpis.system_uptime.unit",
        "kpis.system_uptime.direction",
    }


def test_a_mistake_below_is_named_with_the_file_it_stands_in(tmp_path: Path) -> None:
    (tmp_path / "base.toml").write_text('extends = "mev"\n[risk.thresholds]\nmax_daily_loss_eth = -1\n')
    top = tmp_path / "top.toml"
    top.write_text('extends = "base.toml"\n[risk.thresholds]\nmin_success_rate = 2\n')
    with pytest.raises(PolicyError) as refused:
        load_policy(str(top))
    assert [(Path(m.file).name, m.key) for m in refused.value.mistakes] == [
        ("base.toml", "risk.thresholds.max_daily_loss_eth"),
        ("top.toml", "risk.thresholds.min_success_rate"),
    ]


def test_roles_that_inherit_in_a_circle_are_refused(file: Path) -> None:
    text = """
        [permissions.inherit]
        all_admin_permissions = "mev_admin"
        [roles.mev_operator]
        permissions = ["all_admin_permissions"]
    """
    found = _mistakes(file, text)
    assert any("roles.mev_operator.permissions: inherits from itself" in line for line in found), found


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"a = 1\nb = = 2\n", "line 2, column 5: is not TOML: invalid value"),
        (b"[a]\n[a]\n", "is not TOML"),
        (b"a = '\xff'\n", "byte 5: is not UTF-8 text"),
        (b"b = [1,\n", "is not TOML"),
    ],
)
def test_what_is_not_toml_is_one_line_with_its_place(file: Path, content: bytes, line: str) -> None:
    file.write_bytes(content)
    with pytest.raises(PolicyError) as refused:
        load_policy(str(file))
    (mistake,) = refused.value.mistakes
    assert str(mistake).startswith(f"{file}: ")
    assert line in str(mistake)
    assert "\n" not in str(mistake)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("mve", "no built-in policy of that name; did you mean 'mev'?"),
        ("absent.toml", "cannot be read: No such file or directory"),
        (".", "cannot be read: Is a directory"),
        ("", "cannot be read: Is a directory"),
    ],
)
def test_a_file_that_is_not_there_is_named(name: str, reason: str) -> None:
    with pytest.raises(PolicyError, match=re.escape(reason)):
        load_policy(name)


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        ('extends = "own.toml"', "circle"),
        ('extends = "nowhere"', "no built-in policy of that name"),
        ("extends = 7", "must be the name of one policy"),
        ('extends = "mev"\nreplaces = "kpis"', "must be a list of tables"),
        ('extends = "mev"\nreplaces = ["kpsi"]', "there is no table 'kpsi' below to replace"),
    ],
)
def test_a_wrong_head_is_named(file: Path, head: str, reason: str) -> None:
    file.write_text(head + "\n", encoding="utf-8")
    with pytest.raises(PolicyError, match=re.escape(reason)):
        load_policy(str(file))


def test_a_file_without_a_base_must_be_whole(file: Path) -> None:
    file.write_text("[watchfloor]\n", encoding="utf-8")
    with pytest.raises(PolicyError) as refused:
        load_policy(str(file))
    assert f"{file}: roles: is missing" in map(str, refused.value.mistakes)


def test_a_deployment_changes_one_number_and_keeps_the_rest(file: Path) -> None:
    file.write_text('extends = "methtrader"\n[risk.thresholds]\nmax_daily_loss_eth = "2.5"\n', encoding="utf-8")
    own, base = load_policy(str(file)), load_policy("methtrader")
    assert own.risk.thresholds.max_daily_loss_eth == Decimal("2.5")
    assert own.risk.thresholds.max_position_size_eth == base.risk.thresholds.max_position_size_eth
    assert own.severities == base.severities


def test_replacing_a_table_keeps_nothing_of_it(file: Path) -> None:
    file.write_text(
        'extends = "mev"\nreplaces = ["kpis"]\n'
        '[kpis.uptime]\ntitle = "Uptime"\ntarget = 99\nunit = "percent"\ndirection = "higher_is_better"\n',
        encoding="utf-8",
    )
    assert set(load_policy(str(file)).kpis) == {"uptime"}


@settings(max_examples=30)
@given(amount=st.decimals(min_value="0.000000000000000001", max_value=10**12, places=18))
def test_amounts_are_read_exactly_with_and_without_quotes(
    amount: Decimal, tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.mktemp("exact") / "own.toml"
    for written in (f"{amount:f}", f'"{amount:f}"'):
        file.write_text(f'extends = "mev"\n[risk.thresholds]\nmax_daily_loss_eth = {written}\n', encoding="utf-8")
        assert load_policy(str(file)).risk.thresholds.max_daily_loss_eth == amount


def test_a_wrong_policy_refuses_to_start(file: Path) -> None:
    file.write_text('extends = "mev"\n[risk.thresholds]\nmax_daily_loss_eth = -1\n', encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"own\.toml: risk\.thresholds\.max_daily_loss_eth: must be greater"):
        create_app(Settings(database_url="postgresql://127.0.0.1/none", policy=str(file)))


def test_the_refusal_of_a_start_is_one_line_however_many_mistakes(file: Path) -> None:
    file.write_text('extends = "mev"\n' + "".join(f"unknown{n} = 1\n" for n in range(9)), encoding="utf-8")
    with pytest.raises(PolicyError, match=r"and 6 more$") as refused:
        load_policy(str(file))
    assert len(refused.value.mistakes) == 9
    assert "\n" not in str(refused.value)


def test_doubts_are_named_and_do_not_refuse(file: Path) -> None:
    file.write_text(
        'extends = "mev"\n[roles.reader]\npermissions = ["view_risk"]\n'
        '[roles.compliance_officer.watchfloor]\npermissions = ["own_session", "import_transactions"]\n'
        '[roles.mev_admin.watchfloor]\npermissions = ["freeze_operations"]\n',
        encoding="utf-8",
    )
    warned = {warning.key: warning.reason for warning in load_with_warnings(str(file)).warnings}
    assert "lacks own_session" in warned["roles.reader"]
    assert "import_transactions" in warned["roles.compliance_officer.restrictions.read_only"]
    assert "no role holds approve_thaw" in warned["roles"]


def test_holding_a_permission_means_holding_what_it_implies(file: Path) -> None:
    file.write_text('extends = "mev"\n[roles.reader]\npermissions = ["view_all_logs"]\n', encoding="utf-8")
    held = load_policy(str(file)).roles["reader"].permissions
    assert held == {Permission.VIEW_ALL_LOGS, Permission.VIEW_AUDIT_LOGS}


def test_a_scopes_own_limit_goes_before_the_overall_one(file: Path) -> None:
    file.write_text(
        'extends = "mev"\n[risk.watchfloor.limits."chain:arbitrum"]\nmax_position_size_eth = 20\n', encoding="utf-8"
    )
    risk = load_policy(str(file)).risk
    assert risk.limit_of(RiskRule.POSITION, Scope.parse("chain:arbitrum")) == 20
    assert risk.limit_of(RiskRule.DAILY_LOSS, Scope.parse("chain:arbitrum")) == 10
    assert risk.limit_of(RiskRule.POSITION, Scope.parse("chain:base")) == 100
    assert risk.limits["chain:arbitrum"].max_position_size_eth == 20


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        ("success", Outcome.SUCCESS),
        ("delivered", Outcome.SUCCESS),
        ("status_1", Outcome.SUCCESS),
        (" SUCCESS ", Outcome.SUCCESS),
        ("failed", Outcome.FAILED),
        ("reverted", Outcome.FAILED),
        ("status_0", Outcome.FAILED),
        ("", Outcome.UNKNOWN),
        ("pending", Outcome.UNKNOWN),
        ("status_2", Outcome.UNKNOWN),
        ("successful?", Outcome.UNKNOWN),
    ],
)
def test_what_a_platform_calls_the_end_of_a_transaction(status: str, outcome: Outcome) -> None:
    assert load_policy("mev").transactions.outcome_of(status) is outcome


@pytest.mark.parametrize(
    ("event_type", "category"),
    [
        ("auth.login.failed", "authentication"),
        ("auth.user.disabled", "access_control"),
        ("auth.permission.denied", "access_control"),
        ("freeze.hold.created", "configuration"),
        ("transactions.batch.stored", "transactions"),
        ("never.heard.of", "configuration"),
        ("freezer.door.opened", "configuration"),
        ("", "configuration"),
    ],
)
def test_every_event_type_has_a_category(event_type: str, category: str) -> None:
    assert load_policy("mev").audit_category(event_type) == category


def test_the_fallback_is_kept_as_long_as_anything() -> None:
    audit = load_policy("mev").audit
    kept = audit.categories[audit.watchfloor.fallback]
    assert kept.encryption
    assert kept.retention_days == max(category.retention_days for category in audit.categories.values())


def test_waits_double_and_end_at_the_longest() -> None:
    rules = load_policy("mev").sign_in.watchfloor
    assert [rules.wait_seconds(failures) for failures in (0, 4, 5, 6, 7, 8, 9, 10, 11, 10**6)] == [
        0, 0, 30, 60, 120, 240, 480, 900, 900, 900,
    ]  # fmt: skip


def test_every_severity_has_a_response_time() -> None:
    for name in BUILT_IN:
        assert set(load_policy(name).severities) == set(Severity)
