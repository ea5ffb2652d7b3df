"""A wrong recovery plan says file, key and reason; one that would leave the cluster changed is wrong."""

from pathlib import Path

import pytest

from backend.policy.layers import BUILT_IN
from backend.policy.load import load_policy, load_with_warnings
from backend.policy.mistakes import PolicyError

PLAN = """
extends = "mev"
replaces = ["watchfloor.recovery.plans"]
[[watchfloor.recovery.plans]]
name = "own"
title = "Our own"
protects = "critical"
data = ["transaction_data"]
preconditions = ["cluster_reachable", "standby_healthy", "standby_lag"]
"""
STEP = """
[[watchfloor.recovery.plans.steps]]
name = "{name}"
title = "A step"
passes_when = "it passes"
timeout_seconds = 30
{rest}
"""
OVER = STEP.format(name="over", rest='kind = "cluster"\naction = "switch_over"\ndestructive = true')
BACK = STEP.format(name="back", rest='kind = "cluster"\naction = "fail_back"\ndestructive = true')
KILL = STEP.format(name="kill", rest='kind = "cluster"\naction = "kill_primary"\ndestructive = true')
PROMOTE = STEP.format(name="promote", rest='kind = "cluster"\naction = "fail_over"')
ASK = STEP.format(name="ask", rest='kind = "sql"\nstatement = "SELECT 1"\nat_least = 1')
AT = "watchfloor.recovery.plans.0"
SOURCE = """
extends = "mev"
[[watchfloor.recovery.backups]]
data = "Trades"
kind = "pg_dump"
location = "/b"
max_age_hours = 24
"""


def mistakes(tmp_path: Path, text: str) -> list[str]:
    file = tmp_path / "own.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(PolicyError) as refused:
        load_policy(str(file))
    lines = [str(mistake) for mistake in refused.value.mistakes]
    assert all(line.startswith(f"{file}: ") for line in lines), lines
    return [line.removeprefix(f"{file}: ") for line in lines]


@pytest.mark.parametrize("steps", [ASK, OVER + BACK, KILL + PROMOTE + ASK + BACK])
def test_a_plan_that_brings_the_cluster_back_is_taken(tmp_path: Path, steps: str) -> None:
    file = tmp_path / "own.toml"
    file.write_text(PLAN + steps, encoding="utf-8")
    assert [plan.name for plan in load_policy(str(file)).recovery.plans] == ["own"]


def test_a_plan_that_measures_nothing_is_doubted(tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    file.write_text(PLAN + ASK, encoding="utf-8")
    [doubt] = load_with_warnings(str(file)).warnings
    assert f"{AT}.practice: is not set, yet no step begins an outage" in str(doubt)
    file.write_text(PLAN + "practice = true" + ASK, encoding="utf-8")
    assert not load_with_warnings(str(file)).warnings
    measured = KILL + "begins_outage = true" + PROMOTE + "ends_outage = true" + BACK
    file.write_text(PLAN + measured, encoding="utf-8")
    assert not load_with_warnings(str(file)).warnings


@pytest.mark.parametrize("name", BUILT_IN)
def test_built_in_plans_fit_together(name: str) -> None:
    assert load_policy(name).recovery.plans


WRONG = [
    (PLAN.replace('"critical"', '"critcal"') + ASK, f"{AT}.protects: there is no class of continuity.rto_minutes"),
    (PLAN.replace("transaction_data", "trades") + ASK, f"{AT}.data.0: there is no kind of data of continuity.rpo_min"),
    (PLAN.replace('"standby_healthy", "standby_lag"', '"disk"') + OVER + BACK, f"{AT}.preconditions: the plan touches"),
    (PLAN + OVER, f"{AT}.steps: the plan ends with another node leading: nothing fails back after switch_over"),
    (PLAN + OVER.replace("true", "false") + BACK, f"{AT}.steps.0.destructive: must be true: switch_over changes"),
    (PLAN + PROMOTE + BACK, f"{AT}.steps.0.destructive: must be true: fail_over changes who leads"),
    (PLAN + OVER + BACK.replace("true", "false"), f"{AT}.steps.1.destructive: must be true: fail_back changes"),
    (
        PLAN + STEP.format(name="x", rest='kind = "backup"\ndata = "Trades"'),
        f"{AT}.steps.0.data: there is no row of the",
    ),
    (PLAN + ASK + 'roles = ["boss"]', f"{AT}.steps.0.roles.0: there is no role 'boss'"),
    (
        'extends = "mev"\n[watchfloor.recovery]\nscheduled_as = "DR tset"',
        "watchfloor.recovery.scheduled_as: there is no",
    ),
    (
        SOURCE,
        "watchfloor.recovery.backups.0.data: there is no row of the backup matrix 'Trades'",
    ),
    (PLAN + ASK + OVER.replace('"over"', '"ask"') + BACK, f"{AT}"),
    (PLAN + ASK.replace("at_least = 1", ""), f"{AT}.steps.0"),
]


@pytest.mark.parametrize(("text", "mistake"), WRONG)
def test_a_wrong_plan_is_named_where_it_stands(tmp_path: Path, text: str, mistake: str) -> None:
    found = mistakes(tmp_path, text)
    assert any(line.startswith(mistake) for line in found), found
