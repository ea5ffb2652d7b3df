"""`watchfloor alerts rules import|list`: alerting rules of Prometheus."""

from pathlib import Path

import click

from console.commands.base import Call, command, paging
from console.commands.output import counted, instant, outside
from contract.base import Page
from contract.prometheus_rules import (
    MAX_FILE_BYTES,
    MAX_RULES,
    AlertRule,
    ImportedRule,
    RuleFileError,
    RulesAnswer,
    RulesRequest,
    rules_of,
)


@click.group()
def rules() -> None:
    """Alerting rules of Prometheus: where to read what to do about their alerts."""


@rules.command("import")
@click.argument("files", nargs=-1, required=True, metavar="FILE…", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--source", default="default", show_default=True, help="Whose rules they are: the Alertmanager's name.")
@command("alerts.rules.import")
def import_rules(call: Call, files: tuple[Path, ...], source: str) -> None:
    """Take in alerting rules from rule files, or from PrometheusRule objects; each of their groups is replaced."""
    found = [rule for path in files for rule in _read(path)]
    if not 0 < len(found) <= MAX_RULES:
        raise click.UsageError(f"These files hold {len(found):,} alerting rules; 1 to {MAX_RULES:,} are taken at once.")
    body = RulesRequest(source=source, rules=found)
    answer = call.ask(lambda api: api.act("alerts/rules", RulesAnswer, body))
    call.answer(answer, lambda: [_sentence(answer)])


def _read(path: Path) -> list[ImportedRule]:
    try:
        with path.open("rb") as file:
            return rules_of(file.read(MAX_FILE_BYTES + 1))
    except OSError as error:
        raise click.UsageError(f"Cannot read {outside(str(path), 200)}: {error.strerror}.") from error
    except RuleFileError as error:
        raise click.UsageError(f"{outside(str(path), 200)}: {outside(str(error), 300)}.") from error


def _sentence(answer: RulesAnswer) -> str:
    return (
        f"{counted(answer.stored, 'rule')} of {counted(answer.groups, 'group')} taken in, {answer.with_runbook:,} with "
        f"a runbook; {counted(answer.alerts_filled, 'alert')} got one."
    )


@rules.command("list")
@click.option("--name", help="Of one name only, e.g. RpcLag.")
@paging
@command("alerts.rules.list")
def list_rules(call: Call, name: str | None, limit: int, cursor: str | None) -> None:
    """Alerting rules that were taken in, the last first."""
    query = {"name": name, "limit": limit, "cursor": cursor}
    page = call.ask(lambda api: api.ask("alerts/rules", Page[AlertRule], query))
    call.answer_page(page, lambda: [line for rule in page.items for line in _entry(rule)] or ["No rules."])


def _entry(rule: AlertRule) -> list[str]:
    whence = f"{outside(rule.source, 63)}, group {outside(rule.group, 60)}"
    return [
        f"{outside(rule.name, 60).ljust(40)} {whence}",
        f"  {outside(rule.runbook_url or 'no runbook', 200)}  taken in {instant(rule.imported_at)}",
    ]
