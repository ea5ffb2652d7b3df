"""Owns which page lies above the root screens: one at a time, so that Esc leads back to the root."""

from console.screens.base import FloorScreen
from console.telling import Telling


class Turning(Telling):
    """The pages that are opened from anywhere; each is imported when it is."""

    async def _show(self, page: type[FloorScreen]) -> None:
        """Show one of the pages that lie above the root screens, in place of another one."""
        if isinstance(self.screen, FloorScreen) and self.screen.IS_PAGE:
            if not isinstance(self.screen, page):
                await self.switch_screen(page())
        else:
            await self.push_screen(page())

    async def do_go_verify(self, _: str) -> None:
        """Show verifications of the ledger."""
        from console.screens.verify.screen import VerifyScreen

        await self._show(VerifyScreen)

    async def do_audit_verify(self, argument: str) -> None:
        """Show verifications of the ledger, above the audit log."""
        await self.do_go_verify(argument)

    async def do_go_ledger(self, _: str) -> None:
        """Show how the ledger stands."""
        from console.screens.ledger.screen import LedgerScreen

        await self._show(LedgerScreen)

    async def do_go_erasures(self, _: str) -> None:
        """Show requests to erase people."""
        from console.screens.erasures.screen import ErasuresScreen

        await self._show(ErasuresScreen)

    async def do_go_legal_holds(self, _: str) -> None:
        """Show legal holds."""
        from console.screens.legal_holds.screen import LegalHoldsScreen

        await self._show(LegalHoldsScreen)

    async def do_go_freeze_drills(self, _: str) -> None:
        """Show freeze drills."""
        from console.screens.drills.screen import DrillsScreen

        await self._show(DrillsScreen)

    async def do_go_notifications(self, _: str) -> None:
        """Show who is told outside the console."""
        from console.screens.notifications.screen import NotificationsScreen

        await self._show(NotificationsScreen)

    async def do_go_recovery(self, _: str) -> None:
        """Show recovery drills."""
        from console.screens.recovery.screen import RecoveryScreen

        await self._show(RecoveryScreen)

    async def do_go_sessions(self, _: str) -> None:
        """Show who is signed in."""
        from console.screens.sessions.screen import SessionsScreen

        await self._show(SessionsScreen)

    async def do_go_silences(self, _: str) -> None:
        """Show which alerts are muted."""
        from console.screens.silences.screen import SilencesScreen

        await self._show(SilencesScreen)

    async def do_go_incidents(self, argument: str) -> None:
        """Show incidents, searched for what was typed."""
        from console.screens.incidents.screen import IncidentsScreen

        await self._show(IncidentsScreen)
        if argument and isinstance(self.screen, IncidentsScreen):
            self.screen.set_filter(argument)

    async def do_go_follow_ups(self, _: str) -> None:
        """Show what is left to do after all incidents."""
        from console.screens.incidents.follow_ups import FollowUpsScreen

        await self._show(FollowUpsScreen)
