"""Taking a search out of the console into a file: what, where, and the server's refusal in its own words."""

from pathlib import Path

from console.widgets.press import Press
from contract.permissions import Permission
from tests.console.driving import Running, running
from tests.console.paper import Paper, refusal

PATH = "/v1/audit/export"


def _inside(directory: Path) -> list[Path]:
    return list(directory.iterdir())


async def _filled(run: Running, target: Path, form: str = "jsonl") -> Press:
    await run.press("4")
    await run.shows("config.risk.changed")
    await run.press("s")
    await run.type("result:denied")
    await run.press("enter")
    await run.shows("matching result:denied")
    await run.opens("e", "Export")
    await run.press("tab", *["backspace"] * 5)
    await run.type(form)
    await run.press("tab")
    await run.type(str(target))
    return run.app.screen.query_one("#send", Press)


async def test_a_search_is_taken_out_whole(tmp_path: Path) -> None:
    target = tmp_path / "out.csv"
    async with running() as run:
        send = await _filled(run, target, "csv")
        await run.until(lambda: send.is_on, "it can be sent")
        await run.press("tab", "tab", "enter")
        await run.shows("Exported 39 bytes to")
        assert [body for _, path, body in run.paper.asked if path == PATH] == [{"format": "csv", "result": "denied"}]
    assert target.stat().st_size == 39
    assert _inside(tmp_path) == [target]


async def test_a_role_whose_export_is_disabled_reads_the_servers_words_and_no_file_is_left(tmp_path: Path) -> None:
    refused = refusal(403, "not_allowed", "Your role auditor may not export data: data_export_disabled.")
    async with running(Paper(refuse={f"GET {PATH}": refused})) as run:
        send = await _filled(run, tmp_path / "out")
        await run.until(lambda: send.is_on, "it can be sent")
        await run.press("tab", "tab", "enter")
        await run.shows("REFUSED Your role auditor may not export data: data_export_disabled.")
        assert run.title == "Export"
    assert _inside(tmp_path) == []


async def test_nothing_that_exists_is_replaced(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.write_text("as it was")
    async with running() as run:
        send = await _filled(run, kept)
        await run.shows("choose a new name: this file exists")
        assert not send.is_on
    assert kept.read_text() == "as it was"


async def test_without_the_permission_the_dialog_does_not_open() -> None:
    allowed = frozenset(Permission) - {Permission.EXPORT_AUDIT_LOGS}
    async with running(Paper(role="auditor", permissions=allowed)) as run:
        await run.press("4")
        await run.at("Audit")
        await run.press("e")
        await run.shows("it lacks export_audit_logs")
