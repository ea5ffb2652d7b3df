"""`watchfloor drill`, `watchfloor cluster` against a real backend whose drills touch nothing."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from contract.errors import ExitCode
from tests.support.backends import eventually
from tests.support.commands import Commands, Ran
from tests.support.floor import Floor
from tests.support.people import ADMIN, ADMIN2, AUDITOR, OFFICER, OPERATOR
from tests.support.recovery import CLUSTER
from tests.support.recovery_desk import HARMLESS, TOUCHING, Drilling, drilling

LIMIT_S = 30.0
START = ("drill", "start", "--reason", "the quarterly test", "--yes")


@pytest.fixture(scope="module")
def desk(template_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Drilling]:
    with drilling(template_database, tmp_path_factory.mktemp("drilling")) as running:
        yield running


@pytest.fixture(scope="module")
def floor(desk: Drilling) -> Floor:
    return desk.floor


@pytest.fixture(autouse=True)
def _held(desk: Drilling, run: Commands) -> None:
    """Every step waits; a drill before has ended and let go, which is a moment after it says so."""
    eventually(lambda: run(ADMIN, "drill", "list", "--json").body["running"] is None or None, LIMIT_S, "no drill")
    desk.hold()


def begin(run: Commands, *options: str) -> Ran:
    """Start a drill, once the backend has let go of the one before."""

    def started() -> Ran | None:
        ran = run(ADMIN, *START, *options)
        return None if "Another recovery drill runs" in ran.err else ran

    return eventually(started, LIMIT_S, "a drill begins")[0]


def until(run: Commands, ref: str, state: str) -> Ran:
    def look() -> Ran | None:
        shown = run(ADMIN, "drill", "show", ref, "--json")
        return shown if shown.body["state"] == state else None

    return eventually(look, LIMIT_S, f"{ref} {state}")[0]


def plain(ran: Ran) -> str:
    return " ".join(ran.out.split())


def test_plans_a_dry_run_and_the_cluster_are_shown_and_nothing_is_done(run: Commands) -> None:
    plans = run(AUDITOR, "drill", "plans")
    assert (plans.code, plans.err) == (0, "")
    assert "RTO 15 min (critical), RPO 1 min (transaction_data)" in plain(plans)
    assert "1! Simulate a failure" in plain(plans)
    dry = run(AUDITOR, "drill", "dry-run", TOUCHING)
    assert dry.code == 0
    assert "It would start. Nothing was done." in plain(dry)
    assert f"touches the primary a of the cluster {CLUSTER}" in plain(dry)
    assert run(AUDITOR, "drill", "dry-run", "no-such").code == ExitCode.NOT_FOUND
    cluster = run(AUDITOR, "cluster")
    assert cluster.code == 0
    assert "a is primary; b is standby, in step." in plain(cluster)


def test_a_hands_off_drill_is_waited_for_and_each_step_is_said_as_it_ends(run: Commands, desk: Drilling) -> None:
    desk.let("fourth")
    done = run(ADMIN, *START, "--plan", HARMLESS, "--hands-off", "--wait", "--timeout", "60")
    assert done.code == 0, done.err
    assert "passed 1 Step 1" in plain(done)
    assert "Every step passed" in plain(done)
    listed = run(AUDITOR, "drill", "list")
    assert "passed" in listed.out
    assert "none has ever passed" in listed.out or "the last that passed" in plain(listed)


def test_a_drill_step_by_step_wants_the_clusters_name_then_evidence(run: Commands, desk: Drilling) -> None:
    begun = begin(run, "--plan", TOUCHING, "--json")
    assert begun.code == 0, begun.err
    ref = str(begun.body["ref"])
    until(run, ref, "waiting")
    assert f"drill step {ref} --cluster {CLUSTER}" in plain(run(ADMIN, "drill", "show", ref))
    another = run(ADMIN2, *START, "--plan", TOUCHING)
    assert (another.code, ref in another.err) == (ExitCode.CHECK_FAILED, True)
    assert run(ADMIN, "drill", "step", ref).code == ExitCode.USAGE
    assert run(ADMIN, "drill", "step", ref, "--cluster", "other").code == ExitCode.USAGE
    assert run(ADMIN, "drill", "step", ref, "--number", "2", "--cluster", CLUSTER).code == ExitCode.CHECK_FAILED
    assert run(OPERATOR, "drill", "step", ref, "--cluster", CLUSTER).code == ExitCode.NOT_ALLOWED
    desk.let("first", "second")
    assert run(ADMIN, "drill", "step", ref, "--cluster", CLUSTER).code == 0
    eventually(lambda: "Step 2 waits" in run(ADMIN, "drill", "show", ref).out or None, LIMIT_S, "the second step")
    assert run(ADMIN, "drill", "step", ref, "--number", "2").code == 0
    eventually(lambda: "Ask each desk" in run(ADMIN, "drill", "show", ref).out or None, LIMIT_S, "the manual step")
    assert run(ADMIN, "drill", "step", ref).code == ExitCode.USAGE
    desk.let("third")
    assert run(ADMIN, "drill", "step", ref, "--evidence", "all four desks trade").code == 0
    shown = eventually(lambda: _ended(run, ref), LIMIT_S, "the end")[0]
    assert "evidence sha256" in plain(shown)


def _ended(run: Commands, ref: str) -> Ran | None:
    shown = run(ADMIN, "drill", "show", ref)
    return shown if "ended 20" in shown.out else None


def test_an_abort_rolls_back_and_ends_otherwise_than_passed(run: Commands) -> None:
    begun = begin(run, "--plan", TOUCHING, "--hands-off", "--cluster", CLUSTER, "--json")
    ref = str(begun.body["ref"])
    until(run, ref, "running")
    assert run(ADMIN2, "drill", "abort", ref, "--reason", " ").code == ExitCode.USAGE
    assert run(ADMIN2, "drill", "abort", ref, "--reason", "the desk asked for it").code == 0
    body = eventually(lambda: _ended(run, ref), LIMIT_S, "the end")[0]
    assert "aborted" in body.out
    assert "the desk asked for it" in plain(body)
    assert run(ADMIN, "drill", "abort", ref, "--reason", "again").code == ExitCode.CHECK_FAILED


def test_waiting_in_vain_times_out_and_the_drill_goes_on(run: Commands) -> None:
    waited = begin(run, "--plan", HARMLESS, "--wait", "--timeout", "1")
    assert waited.code == ExitCode.TIMED_OUT
    ref = str(run(ADMIN, "drill", "list", "--json").body["running"])
    assert run(ADMIN, "drill", "abort", ref, "--reason", "enough").code == 0
    eventually(lambda: _ended(run, ref), LIMIT_S, "the end")


def test_nobody_to_ask_and_a_destructive_drill_without_its_name_touch_nothing(run: Commands) -> None:
    unasked = run(ADMIN, "drill", "start", "--plan", TOUCHING, "--reason", "why not")
    assert (unasked.code, "say --yes" in unasked.err) == (ExitCode.USAGE, True)
    assert run(ADMIN, *START, "--plan", TOUCHING, "--hands-off").code == ExitCode.USAGE
    assert run(OPERATOR, *START, "--plan", HARMLESS).code == ExitCode.NOT_ALLOWED
    assert run(ADMIN, "drill", "show", "DR-TEST-19700101").code == ExitCode.NOT_FOUND
    assert run(ADMIN, "drill", "list", "--json").body["running"] is None


def test_a_report_is_read_signed_by_somebody_else_and_its_findings_are_kept(
    run: Commands, desk: Drilling, tmp_path: Path
) -> None:
    desk.let("fourth")
    begun = begin(run, "--plan", HARMLESS, "--hands-off", "--wait", "--timeout", "60", "--json")
    ref = str(run(ADMIN, "drill", "list", "--json").body["items"][0]["ref"])
    assert begun.code == 0, begun.err
    report = run(OFFICER, "drill", "report", ref)
    assert report.out.startswith(f"# Recovery drill {ref}")
    sha256 = report.err.partition("SHA-256 of the facts ")[2][:64]
    assert report.err.rstrip().endswith("not signed.")
    assert run(OFFICER, "drill", "report", ref, "--format", "pdf").code == ExitCode.USAGE
    pdf = tmp_path / "report.pdf"
    assert run(OFFICER, "drill", "report", ref, "--format", "pdf", "--output", str(pdf)).code == 0
    assert pdf.read_bytes().startswith(b"%PDF")
    assert run(OFFICER, "drill", "report", ref, "--format", "html", "--output", str(pdf)).code == ExitCode.USAGE
    assert pdf.read_bytes().startswith(b"%PDF"), "nothing that is there is overwritten"

    sign = ("drill", "sign", ref, "--statement", "I have read it")
    own = run(ADMIN, *sign, "--sha256", sha256)
    assert own.code == ExitCode.REFUSED_BY_POLICY, own
    assert run(OFFICER, *sign, "--sha256", "0" * 64).code == ExitCode.CHECK_FAILED
    signed = run(OFFICER, *sign, "--sha256", sha256)
    assert (signed.code, signed.out) == (0, f"{ref} is signed by {OFFICER.name}.\n")
    assert f"signed by {OFFICER.name}" in run(AUDITOR, "drill", "report", ref).err
    assert run(AUDITOR, "drill", "report", ref, "--json").body["signed_by"] == OFFICER.name

    finding = ("drill", "finding", ref, "--action", "Watch the disk", "--owner", OPERATOR.name)
    assert run(ADMIN, *finding, "--due", "soon").code == ExitCode.USAGE
    kept = run(ADMIN, *finding, "--due", "2030-01-31")
    assert kept.code == 0, kept.err
    assert "Watch the disk" in kept.out
    assert "due 2030-01-31" in plain(kept)
    assert run(AUDITOR, "drill", "report", "DR-TEST-19700101").code == ExitCode.NOT_FOUND
