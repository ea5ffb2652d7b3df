"""Owns which class is behind the name of a screen. Screens are imported when they are first shown."""

from typing import Any

from textual.app import App

from console.screens.base import FloorScreen

ROOTS = ("overview", "alerts", "operations", "audit")
"""The screens between which the number keys switch."""


def root(app: App[Any], name: str) -> FloorScreen:
    """One of the four screens that stay alive while others are shown."""
    if app.is_screen_installed(name):
        installed = app.get_screen(name)
        assert isinstance(installed, FloorScreen)  # noqa: S101  only `root` installs screens
        return installed
    screen = _make(name)
    app.install_screen(screen, name)
    return screen


def _make(name: str) -> FloorScreen:
    match name:
        case "overview":
            from console.screens.overview.screen import OverviewScreen

            return OverviewScreen()
        case "alerts":
            from console.screens.alerts.screen import AlertsScreen

            return AlertsScreen()
        case "operations":
            from console.screens.operations.screen import OperationsScreen

            return OperationsScreen()
        case _:
            from console.screens.audit.screen import AuditScreen

            return AuditScreen()


def login_class() -> type[FloorScreen]:
    """The login screen's class."""
    from console.screens.login.screen import LoginScreen

    return LoginScreen


def login(reason: str) -> FloorScreen:
    """A login screen that says why it is shown."""
    from console.screens.login.screen import LoginScreen

    return LoginScreen(reason)
