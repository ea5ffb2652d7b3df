"""`watchfloor changes deploys`: recorded once for each key, listed in 80 columns, harmless whatever it says."""

from rich.cells import cell_len

from tests.console.test_cli_shown import HOSTILE, assert_harmless
from tests.support.commands import Commands
from tests.support.people import ADMIN, OPERATOR


def test_a_deploy_is_recorded_and_listed(run: Commands) -> None:
    assert "No deploys." in run(OPERATOR, "changes", "deploys", "list").out
    words = ("router", HOSTILE[1], "--environment", "production", "--scope", "chain:base", "--started", "5m")
    where = ("--link", "https://ci.example/7", "--finished", "1m", "--key", "7")
    first = run(ADMIN, "changes", "deploys", "record", *words, *where, "--json")
    assert (first.code, first.body["schema"]) == (0, "watchfloor.changes.deploys.record/1")
    again = run(ADMIN, "changes", "deploys", "record", *words, *where, "--json")
    assert again.body["id"] == first.body["id"]
    shown = run(OPERATOR, "changes", "deploys", "list", "--service", "router", "--since", "1h")
    assert (shown.code, shown.out.count("https://ci.example/7")) == (0, 1)
    assert_harmless(shown.out)
    assert all(cell_len(line) <= 80 for line in shown.out.splitlines())
    assert "for chain:base" in shown.out.replace("\n", " ")
