"""Alerting rules taken in: replaced by group, and alerts that name no runbook get that of their rule."""

from pathlib import Path
from typing import Any

import httpx

from tests.support.alertmanager_bodies import HOOK, deliverer, delivery, told
from tests.support.app import App
from tests.support.ledger import entries_of
from tests.support.people import ADMIN, OPERATOR

RULES = "/v1/alerts/rules"
BOOK = "https://runbooks.example/rpc-lag"


def rule(name: str, group: str = "rpc", runbook: str | None = BOOK) -> dict[str, Any]:
    annotations = {"summary": "{{ $labels.instance }} lags"} | ({"runbook_url": runbook} if runbook else {})
    return {"group": group, "name": name, "expr": "up == 0", "labels": {"severity": "page"}, "annotations": annotations}


async def imported(client: httpx.AsyncClient, *rules: dict[str, Any]) -> dict[str, Any]:
    answer = await client.post(RULES, json={"source": "main", "rules": list(rules)})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_alerts_get_the_runbook_of_their_rule(app: App) -> None:
    hook, admin, operator = await deliverer(app, "main"), await app.as_(ADMIN), await app.as_(OPERATOR)
    await hook.post(f"{HOOK}/main", json=delivery(told("RpcLag", {"node": "1"}), told("GasSpike")))
    answer = await imported(admin, rule("RpcLag"), rule("RpcLag"), rule("GasSpike", runbook="javascript:alert(1)"))
    assert answer == {"stored": 3, "groups": 1, "with_runbook": 2, "alerts_filled": 1}
    await hook.post(f"{HOOK}/main", json=delivery(told("RpcLag", {"node": "2"})))
    alerts = (await operator.get("/v1/alerts")).json()["items"]
    assert sorted((one["rule"], one["runbook_url"]) for one in alerts) == [
        ("GasSpike", None), ("RpcLag", BOOK), ("RpcLag", BOOK),
    ]  # fmt: skip
    (entry,) = await entries_of(app, "alerts.rules.imported")
    assert (entry.new_value or {})["rules"] == 3


async def test_a_group_becomes_what_its_file_says_of_it(app: App) -> None:
    admin = await app.as_(ADMIN)
    await imported(admin, rule("Old"), rule("Kept", group="other"))
    await imported(admin, rule("New"))
    listed = (await admin.get(RULES)).json()["items"]
    assert [(one["group"], one["name"]) for one in listed] == [("rpc", "New"), ("other", "Kept")]
    assert [one["name"] for one in (await admin.get(RULES, params={"name": "Kept"})).json()["items"]] == ["Kept"]
    first = (await admin.get(RULES, params={"limit": 1})).json()
    second = (await admin.get(RULES, params={"limit": 1, "cursor": first["next_cursor"]})).json()
    assert [one["name"] for one in (*first["items"], *second["items"])] == ["New", "Kept"]


async def test_only_who_configures_the_system_takes_rules_in(app: App) -> None:
    operator = await app.as_(OPERATOR)
    assert (await operator.post(RULES, json={"rules": [rule("RpcLag")]})).status_code == 403
    assert (await operator.get(RULES)).status_code == 200
    admin = await app.as_(ADMIN)
    wrong: list[dict[str, Any]] = [{"rules": []}, {"rules": [rule("A\x00")]}, {"source": "No", "rules": [rule("A")]}]
    for body in wrong:
        assert (await admin.post(RULES, json=body)).status_code == 422


def test_files_are_taken_in_from_the_command_line(tmp_path: Path) -> None:
    from click.testing import CliRunner

    from console.commands.alerts import alerts

    broken = tmp_path / "rules.yml"
    broken.write_text("groups: [")
    for argument in (str(broken), str(tmp_path / "absent.yml")):
        answered = CliRunner().invoke(alerts, ["rules", "import", argument])
        assert answered.exit_code == 2, answered.output
        assert "Traceback" not in answered.output
