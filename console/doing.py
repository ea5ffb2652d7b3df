"""Owns what the application itself does for an action: switching screens, pausing, opening dialogs, leaving."""

from typing import TYPE_CHECKING

from console.screens import registry
from console.screens.base import FloorScreen
from console.turning import Turning

if TYPE_CHECKING:
    from datetime import datetime

    from console.client.api import Api
    from console.client.stream import Feed
    from console.state.floor import Floor
    from console.widgets.frame import Who
    from contract.freeze import Freeze
    from contract.freeze_drills import FreezeDrill
    from contract.recovery import RecoveryDrill


class Doing(Turning):
    """The actions that belong to no single screen."""

    feed: "Feed | None" = None
    """The live feed of the session."""

    if TYPE_CHECKING:
        api: Api | None
        floor: Floor | None
        url: str
        latest: Floor | None
        paused_at: datetime | None
        who: Who

        def now(self) -> datetime:
            """The operator's clock."""

        def repaint(self) -> None:
            """Redraw what is shown."""

        def end_session(self) -> None:
            """Forget who is signed in."""

    def holds(self) -> list[str]:
        """What is frozen, for the banner: true even while the screen is paused."""
        if self.latest is None or not self.latest.freezes:
            return []
        from console.state.pulse import hold_texts

        return hold_texts(self.latest)

    async def go(self, name: str) -> "FloorScreen":
        """Show one of the four root screens; dialogs above it are closed."""
        while len(self.screen_stack) > 2:  # noqa: PLR2004  Textual's own blank screen and the root
            await self.pop_screen()
        screen = registry.root(self, name)
        if self.screen is not screen:
            await self.switch_screen(screen)
        return screen

    async def leave(self, screen: "FloorScreen") -> None:
        """Close a dialog; from another root screen go to the overview.

        Waits until it is done, so that the next key meets the screen below. A screen that closes itself from one of its
        own messages must not wait for its own end: it uses `call_later`.
        """
        if len(self.screen_stack) > 2:  # noqa: PLR2004  as above
            await self.pop_screen()
        elif screen.TITLE_TEXT != "Overview":
            await self.go("overview")

    async def do_go_overview(self, _: str) -> None:
        """Show the overview."""
        await self.go("overview")

    async def do_go_alerts(self, argument: str) -> None:
        """Show the alerts, filtered by what was typed."""
        screen = await self.go("alerts")
        if argument:
            screen.set_filter(argument)

    async def do_go_operations(self, _: str) -> None:
        """Show executors and freezes."""
        await self.go("operations")

    async def do_go_audit(self, argument: str) -> None:
        """Show the audit log, searched for what was typed."""
        from console.screens.audit.screen import AuditScreen

        screen = await self.go("audit")
        if argument and isinstance(screen, AuditScreen):
            screen.search(argument)

    async def do_audit_search(self, argument: str) -> None:
        """Search the audit log from anywhere."""
        await self.do_go_audit(argument)

    async def show_recovery_drill(self, drill: "RecoveryDrill", above: "FloorScreen") -> None:
        """Show a recovery drill in place of the dialog that started it."""
        from console.screens.recovery.detail import RecoveryDrillScreen

        if self.screen is above:
            await self.switch_screen(RecoveryDrillScreen(drill))

    async def do_drill_start(self, argument: str) -> None:
        """Open the dialog that starts a drill."""
        from console.screens.drills.dialog import DrillDialog

        await self.push_screen(DrillDialog(argument))

    async def show_incident(self, ident: str, above: "FloorScreen | None" = None) -> None:
        """Show an incident, in place of the dialog that declared it."""
        from console.screens.incidents.record import IncidentScreen

        if above is not None and self.screen is above:
            await self.switch_screen(IncidentScreen(ident))
        else:
            await self.push_screen(IncidentScreen(ident))

    async def show_drill(self, drill: "FreezeDrill", above: "FloorScreen") -> None:
        """Show a drill in place of the dialog that started it."""
        from console.screens.drills.detail import DrillScreen

        if self.screen is above:
            await self.switch_screen(DrillScreen(drill))

    async def do_audit_ledger(self, argument: str) -> None:
        """Show how the ledger stands, above what is shown."""
        await self.do_go_ledger(argument)

    async def show_link(self, kind: str, ident: str) -> None:
        """Go to what a link points at."""
        match kind:
            case "alert":
                (await self.go("alerts")).reveal(ident)
            case "freeze" | "executor":
                (await self.go("operations")).reveal(ident)
            case "incident":
                await self.show_incident(ident)
            case "search":
                await self.do_go_audit(ident)
            case "related":
                await self._show_related(ident)
            case "audit":
                (await self.go("audit")).reveal(ident)
            case _:
                await self.do_go_audit(f"resource:{ident}")

    async def _show_related(self, link: str) -> None:
        """Follow an audit entry; the link says by what, and from which."""
        from console.screens.audit.screen import AuditScreen
        from contract.audit import RelatedBy

        by, _, ident = link.partition(":")
        screen = await self.go("audit")
        if isinstance(screen, AuditScreen):
            screen.relate(RelatedBy(by), ident)

    async def do_freeze(self, argument: str) -> None:
        """Open the freeze dialog."""
        from console.screens.freeze.screen import FreezeScreen

        if not isinstance(self.screen, FreezeScreen):
            await self.push_screen(FreezeScreen(argument))

    async def show_board(self, freeze: "Freeze", above: "FloorScreen | None" = None) -> None:
        """Show the board of a freeze, in place of the dialog that made it."""
        from console.screens.board.screen import BoardScreen

        if freeze.status == "latched":
            self.know_latched(freeze)
        if above is not None and self.screen is above:
            await self.switch_screen(BoardScreen(freeze))
        else:
            await self.push_screen(BoardScreen(freeze))

    def know_latched(self, freeze: "Freeze") -> None:
        """Show a freeze that was just latched on every screen, before the backend tells it to everybody."""
        from console.state.floor import Floor, with_one_latched

        self.latest = with_one_latched(self.latest or Floor(), freeze, self.now())
        if self.paused_at is None:
            self.floor = self.latest
        if self.feed is not None:
            self.feed.expect_latched()

    async def do_palette(self, _: str) -> None:
        """List every action of the screen below."""
        from console.screens.palette.screen import PaletteScreen

        below = self.screen
        if isinstance(below, FloorScreen) and not isinstance(below, PaletteScreen):
            await self.push_screen(PaletteScreen(below))

    async def do_help(self, _: str) -> None:
        """Show what every key does here."""
        from console.screens.reading.screen import ReadingScreen

        below = self.screen
        if isinstance(below, FloorScreen) and below.TITLE_TEXT != "Help":
            await self.push_screen(ReadingScreen.of_help(below))

    def do_pause(self, _: str) -> None:
        """Hold the screen still, or let it catch up."""
        if self.paused_at is None:
            self.paused_at = self.now()
        else:
            self.paused_at = None
            self.floor = self.latest
        self.repaint()

    def do_redraw(self, _: str) -> None:
        """Paint everything again."""
        self.action_redraw()

    async def do_logout(self, _: str) -> None:
        """End the session on the server and return to the login."""
        self.end_session()
        await self.sign_in()

    def do_quit_now(self, _: str) -> None:
        """Quit from anywhere."""
        self.exit()

    def arguments(self, command: str) -> list[str]:
        """What can follow a command's name: the names that exist."""
        floor = self.latest
        if floor is None:
            return []
        from console.state.scopes import known_scopes
        from contract.states import ScopeKind

        match command:
            case "freeze-drill":
                return [str(scope) for scope in known_scopes(floor) if scope.kind is ScopeKind.EXECUTOR]
            case "freeze":
                return [str(scope) for scope in known_scopes(floor)]
            case "thaw" | "approve" | "stop":
                return sorted(hold.ref for hold in floor.freezes.values())
            case "search" | "audit":
                from console.state.audit_search import suggestions

                return suggestions()
            case _:
                return []
