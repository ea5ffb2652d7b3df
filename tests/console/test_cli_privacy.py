"""The commands about personal data: reveal for a reason, erase by two people, keep what a legal hold covers."""

from contract.errors import ExitCode
from tests.support.commands import Commands
from tests.support.people import ADMIN, AUDITOR, OFFICER, OFFICER2, OPERATOR


def test_a_sealed_value_is_shown_for_a_reason_only(run: Commands) -> None:
    run(AUDITOR, "audit", "search", "--json")
    found = run(OFFICER, "audit", "search", "--event", "auth.login.succeeded", "--json").body["items"]
    ident = found[0]["id"]
    assert run(OFFICER, "audit", "reveal", ident).code == ExitCode.USAGE
    assert run(OFFICER, "audit", "reveal", ident, "--reason", " ").code == ExitCode.USAGE
    assert run(AUDITOR, "audit", "reveal", ident, "--reason", "why not").code == ExitCode.NOT_ALLOWED
    shown = run(OFFICER, "audit", "reveal", ident, "--reason", "an incident")
    assert shown.code == ExitCode.OK, shown
    assert "ip_address" in shown.out
    assert "127.0.0.1" in shown.out
    assert "recorded as" in shown.out


def test_two_people_erase_a_third_unless_a_legal_hold_stands(run: Commands) -> None:
    run(OPERATOR, "whoami")
    hold = run(OFFICER2, "privacy", "hold", "place", "--subject", OPERATOR.name, "--reason", "a case", "--json").body
    asked = run(OFFICER, "privacy", "erase", "request", OPERATOR.name, "--reason", "asked for it", "--json").body
    assert run(OFFICER, "privacy", "erase", "approve", asked["id"]).code == ExitCode.REFUSED_BY_POLICY
    kept = run(ADMIN, "privacy", "erase", "approve", asked["id"])
    assert kept.code == ExitCode.NOT_ALLOWED
    assert "legal hold" in kept.err
    assert "in force" in run(ADMIN, "privacy", "hold", "list").out
    shown = run(ADMIN, "privacy", "hold", "show", hold["id"])
    assert "entries written by the person" in shown.out
    before = run(ADMIN, "privacy", "erase", "preview", OPERATOR.name)
    assert "sealed values are destroyed" in before.out
    assert "legal holds that forbid it: 1" in before.out
    assert run(OFFICER, "privacy", "hold", "lift", hold["id"], "--reason", "closed").code == ExitCode.OK
    assert run(OFFICER2, "privacy", "hold", "approve", hold["id"]).code == ExitCode.OK
    counted = run(ADMIN, "privacy", "erase", "preview", OPERATOR.name, "--json").body
    assert "No legal holds." in run(ADMIN, "privacy", "hold", "list").out
    erased = run(ADMIN, "privacy", "erase", "approve", asked["id"])
    assert erased.code == ExitCode.OK, erased
    assert (counted["legal_holds"], f"{counted['sealed_values']} values" in erased.out) == (0, True)
    assert OPERATOR.name not in erased.out
    assert "erased" in run(ADMIN, "privacy", "erase", "list").out
    assert run(AUDITOR, "privacy", "erase", "list").code == ExitCode.NOT_ALLOWED
    assert run(OFFICER, "privacy", "hold", "place", "--reason", "nothing").code == ExitCode.USAGE
