"""The action table: complete, reachable, and the only place that knows a key."""

from collections import Counter
from itertools import product

import pytest

from console.actions import (
    ACTIONS,
    Action,
    Context,
    Danger,
    all_commands,
    find,
    refusal,
    starts_sequence,
)
from console.app import WatchfloorApp
from console.keys import FORBIDDEN_KEYS
from console.screens.alerts.groups import GroupsScreen
from console.screens.alerts.joining import JoinScreen
from console.screens.alerts.page import AlertScreen
from console.screens.alerts.screen import AlertsScreen
from console.screens.audit.screen import AuditScreen
from console.screens.base import FloorScreen
from console.screens.board.screen import BoardScreen
from console.screens.dialog import DialogScreen
from console.screens.drills.screen import DrillsScreen
from console.screens.entry.screen import EntryScreen
from console.screens.erasures.screen import ErasuresScreen
from console.screens.freeze.screen import FreezeScreen
from console.screens.incidents.editor import EditorScreen
from console.screens.incidents.evidence import EvidenceListScreen
from console.screens.incidents.figures import FiguresScreen
from console.screens.incidents.follow_ups import FollowUpsScreen
from console.screens.incidents.postmortem import PostmortemScreen
from console.screens.incidents.record import IncidentScreen
from console.screens.incidents.reports import ReportsScreen
from console.screens.incidents.screen import IncidentsScreen
from console.screens.legal_holds.screen import LegalHoldsScreen
from console.screens.locked.screen import LockedScreen
from console.screens.login.screen import LoginScreen
from console.screens.notifications.screen import NotificationsScreen
from console.screens.operations.screen import OperationsScreen
from console.screens.overview.screen import OverviewScreen
from console.screens.palette.screen import PaletteScreen
from console.screens.reading.screen import ReadingScreen
from console.screens.recovery.backups import BackupsScreen
from console.screens.recovery.detail import RecoveryDrillScreen
from console.screens.recovery.screen import RecoveryScreen
from console.screens.sessions.screen import SessionsScreen
from console.screens.silences.screen import SilencesScreen
from console.screens.verify.screen import VerifyScreen
from console.widgets.frame import Who
from console.widgets.help import help_rows, table_rows
from console.widgets.lines import text_of
from console.widgets.rows import Rows
from contract.permissions import Permission
from tests.console.views import view

DOERS: dict[Context, list[type]] = {
    Context.ALWAYS: [WatchfloorApp, FloorScreen],
    Context.EVERYWHERE: [WatchfloorApp, FloorScreen],
    Context.LIST: [Rows],
    Context.OVERVIEW: [OverviewScreen],
    Context.ALERTS: [AlertsScreen],
    Context.GROUPS: [GroupsScreen],
    Context.ALERT: [AlertScreen],
    Context.JOINING: [JoinScreen],
    Context.BOARD: [BoardScreen],
    Context.SILENCES: [SilencesScreen],
    Context.OPERATIONS: [OperationsScreen],
    Context.AUDIT: [AuditScreen],
    Context.LOGIN: [LoginScreen],
    Context.DIALOG: [DialogScreen, FreezeScreen],
    Context.PALETTE: [PaletteScreen],
    Context.ENTRY: [EntryScreen],
    Context.ERASURES: [ErasuresScreen],
    Context.LEGAL_HOLDS: [LegalHoldsScreen],
    Context.DRILLS: [DrillsScreen],
    Context.RECOVERY: [RecoveryScreen],
    Context.RECOVERY_DRILL: [RecoveryDrillScreen],
    Context.BACKUPS: [BackupsScreen],
    Context.NOTIFICATIONS: [NotificationsScreen],
    Context.SESSIONS: [SessionsScreen],
    Context.INCIDENTS: [IncidentsScreen],
    Context.INCIDENT: [IncidentScreen],
    Context.NOTE: [IncidentScreen],
    Context.EVIDENCE: [EvidenceListScreen],
    Context.FOLLOW_UPS: [FollowUpsScreen],
    Context.FIGURES: [FiguresScreen],
    Context.POSTMORTEM: [PostmortemScreen],
    Context.REPORTS: [ReportsScreen],
    Context.EDITOR: [EditorScreen],
    Context.LOCKED: [LockedScreen],
    Context.VERIFY: [VerifyScreen],
    Context.READING: [ReadingScreen],
}


_OF_INCIDENTS = frozenset({Permission.HANDLE_INCIDENTS, Permission.APPROVE_POSTMORTEMS})


def _ids(action: Action) -> str:
    return action.id


def test_ids_and_commands_are_unique() -> None:
    assert max(Counter(action.id for action in ACTIONS).values()) == 1
    assert len(all_commands()) == sum(1 for action in ACTIONS if action.command)


@pytest.mark.parametrize("action", ACTIONS, ids=_ids)
def test_every_action_is_done_by_something_in_each_of_its_contexts(action: Action) -> None:
    for context in action.contexts:
        assert any(hasattr(doer, action.method) for doer in [*DOERS[context], WatchfloorApp, FloorScreen]), context


@pytest.mark.parametrize("action", ACTIONS, ids=_ids)
def test_no_action_needs_a_key_that_terminals_cannot_tell_apart(action: Action) -> None:
    assert action.keys
    assert not FORBIDDEN_KEYS.intersection(action.keys)
    assert any(not key.startswith("ctrl+") for key in action.keys) or action.id == "quit.now"


@pytest.mark.parametrize("action", ACTIONS, ids=_ids)
def test_every_action_has_help_that_is_a_sentence(action: Action) -> None:
    assert action.help.endswith((".", "?"))
    assert action.help[0].isupper()


@pytest.mark.parametrize("context", list(Context))
def test_a_key_means_one_thing_in_one_context(context: Context) -> None:
    keys = [key for action in ACTIONS if context in action.contexts for key in action.keys]
    assert max(Counter(keys).values(), default=1) == 1


def test_no_screen_takes_the_keys_that_work_everywhere() -> None:
    everywhere = {key for action in ACTIONS if Context.EVERYWHERE in action.contexts for key in action.keys}
    roots = (Context.OVERVIEW, Context.ALERTS, Context.OPERATIONS, Context.AUDIT, Context.LIST)
    for context, action in product(roots, ACTIONS):
        if context in action.contexts and Context.EVERYWHERE not in action.contexts:
            assert not everywhere.intersection(action.keys), action.id


def test_two_keys_are_found_only_together() -> None:
    where = (Context.EVERYWHERE,)
    assert find("F", where) is None
    assert starts_sequence("F", where)
    found = find("F F", where)
    assert found is not None
    assert found.id == "freeze"
    assert not starts_sequence("f", where)


def test_what_is_dangerous_needs_a_permission() -> None:
    dangerous = [action for action in ACTIONS if action.danger is not Danger.NONE]
    working = {f"alert.{act}" for act in ("ack", "comment", "assign", "note", "escalate", "silence", "incident")}
    silencing = {"silence.end", "silence.new"}
    trading = {"freeze", "drill.start", "thaw.request", "thaw.approve", "thaw.stop"}
    erasing = {"erasure.request", "erasure.approve", "erasure.withdraw"}
    ending = {"session.end", "locked.freeze"}
    holding = {"legal-hold.place", "legal-hold.lift", "legal-hold.approve"}
    drilling = {"recovery.start", "recovery.step", "recovery.abort", "recovery.sign"}
    looking = {"backup.check", "backup.restore", "notifications.test"}
    incidents = {action.id for action in dangerous if action.permission in _OF_INCIDENTS}
    known = drilling | looking | trading | erasing | holding | ending | working | silencing
    assert {action.id for action in dangerous} - incidents == known - {"alert.incident"}
    assert all(action.permission is not None for action in dangerous)


def test_a_refusal_names_role_and_permission() -> None:
    freeze = next(action for action in ACTIONS if action.id == "freeze")
    assert refusal(freeze, frozenset(), "auditor") == ("Your role auditor may not do this: it lacks freeze_operations.")
    assert refusal(freeze, frozenset({Permission.FREEZE_OPERATIONS}), "auditor") == ""
    assert refusal(freeze, None, "") == ""


def test_the_help_names_every_action_and_command() -> None:
    who = Who("ana", "auditor", frozenset(Permission))
    page = "\n".join(text_of(row) for row in help_rows("Overview", [Context.OVERVIEW], who, view(200)))
    for action in ACTIONS:
        assert action.help.split(":")[0] in page
    for name in all_commands():
        assert f":{name}" in page
    assert len(table_rows()) == len(ACTIONS)


@pytest.mark.parametrize("key", ["g", "G", "j", "k", "home", "end"])
def test_what_moves_in_a_list_means_nothing_else_anywhere(key: str) -> None:
    assert {action.id.partition(".")[0] for action in ACTIONS if key in action.keys} == {"list"}
