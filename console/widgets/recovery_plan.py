"""Owns how a plan of the policy is drawn before it is run: what it would do, on what, and what it needs."""

from console.widgets.lines import EMPTY, Line, line, outside, titled_rule, wrap
from console.widgets.recovery import topology_lines
from console.widgets.recovery_drill import check_lines
from console.widgets.view import View
from contract.lengths import target
from contract.recovery import DryRun, PlannedStep, RecoveryPlans


def plan_names(plans: RecoveryPlans, chosen: str, view: View) -> Line:
    """The plans on one line, the chosen one marked, those that cannot be run here said to be so."""
    spans: list[tuple[str, str]] = [("plans: ", "dim")]
    for plan in plans.items:
        mark = f"{view.glyphs.arrow}" if plan.name == chosen else ""
        cannot = " (cannot run here)" if plan.problems else ""
        spans.append((f"{mark}{outside(plan.name, 40)}{cannot}  ", "bold" if mark else "dim"))
    return line(*spans)


def dry_run_lines(found: DryRun, view: View) -> list[Line]:
    """What would happen, on what, what it needs; what keeps it from being started comes first."""
    g, plan = view.glyphs, found.plan
    rows: list[Line] = []
    if found.would_start:
        aims = f"RTO {target(plan.rto_seconds)}, RPO {target(plan.rpo_seconds)}"
        rows.append(line((f"{g.ok} It would start. ", "ok"), (outside(plan.title, 100), "bold"), f"  {aims}"))
    else:
        rows.append(line((f"{g.bad} It would NOT start; nothing would be touched.", "bad")))
        rows += [
            line(("  ", ""), (part, "bad")) for why in plan.problems for part in wrap(outside(why), view.width - 2)
        ]
        rows += check_lines("NOT MET", found.preconditions, view, only_unmet=True)
    rows += [
        line((f"{g.near} " if at == 0 else "  ", "near"), part)
        for said in found.blast_radius
        for at, part in enumerate(wrap(outside(said, 400), max(view.width - 2, 20)))
    ]
    rows.append(titled_rule((("STEPS", "head"),), view.width, g))
    rows += [row for step in plan.steps for row in _step_lines(step, view)]
    rows += check_lines("PRECONDITIONS", found.preconditions, view)
    return [*rows, *topology_lines(found.topology, found.as_of, view), EMPTY]


def _step_lines(step: PlannedStep, view: View) -> list[Line]:
    g = view.glyphs
    danger = (f" {g.near} destructive", "near") if step.destructive else ("", "")
    limit = (f"  at most {target(step.timeout_seconds)}", "dim")
    rows = [line((f"{step.number} ", "dim"), (outside(step.title, 60), "bold"), danger, limit)]
    for name, text in (("", step.does), ("undone: ", step.rollback), ("PROBLEM: ", step.problem)):
        style = "bad" if name == "PROBLEM: " else "dim"
        rows += (
            [line("  ", (part, style)) for part in wrap(f"{name}{outside(text, 300)}", view.width - 2)] if text else []
        )
    return rows
