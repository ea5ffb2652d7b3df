"""Actions that every screen has, and those of the login, dialogs and full-screen texts."""

from typing import Final

from console.actions.kinds import Action, Context

_SIGNED_IN = (Context.EVERYWHERE, Context.LOCKED)

EVERYWHERE: Final[tuple[Action, ...]] = (
    Action("pause", ("p",), "pause", "Hold the screen still; updates are kept and shown on resume.", command="pause"),
    Action("copy", ("y",), "", "Copy what is selected to your clipboard (OSC 52).", command="copy"),
    Action("command", ("colon",), "command", "Type a command; Tab completes."),
    Action("palette", ("ctrl+p", "f2"), "", "List every action and run one.", command="palette"),
    Action(
        "help",
        ("question_mark", "f1"),
        "help",
        "What every key does here, and what you may not do.",
        (Context.ALWAYS,),
        command="help",
    ),
    Action("redraw", ("ctrl+l", "f5"), "", "Paint the whole screen again.", (Context.ALWAYS,), command="redraw"),
    Action(
        "back",
        ("escape",),
        "",
        "Back: close, clear the filter, dismiss the message.",
        (Context.EVERYWHERE, Context.LOCKED),
    ),
    Action(
        "logout",
        ("f12",),
        "",
        "End your session and return to the login.",
        (Context.EVERYWHERE, Context.LOCKED),
        command="logout",
    ),
    Action("quit", ("q",), "quit", "Quit at the root; elsewhere go back.", command="quit"),
    Action("quit.now", ("ctrl+q", "ctrl+c"), "", "Quit at once, from anywhere.", (Context.ALWAYS,), command="quit!"),
)

DIALOGS: Final[tuple[Action, ...]] = (
    Action("login.send", ("enter",), "log in", "Log in with what the fields hold.", (Context.LOGIN,)),
    Action("login.sso", ("f4",), "SSO", "Sign in through your organisation's own sign-in.", (Context.LOGIN,)),
    Action("login.fill", ("f3",), "demo user", "Fill in the next demonstration user.", (Context.LOGIN, Context.LOCKED)),
    Action("dialog.next", ("tab", "down"), "next field", "Go to the next field.", (Context.DIALOG,)),
    Action("dialog.previous", ("shift+tab", "up"), "", "Go to the previous field.", (Context.DIALOG,)),
    Action("dialog.complete", ("right",), "", "Complete the scope you are typing.", (Context.DIALOG,)),
    Action("dialog.close", ("escape",), "cancel", "Close without doing anything.", (Context.DIALOG,)),
    Action("palette.do", ("enter",), "do it", "Do the selected action.", (Context.PALETTE,)),
    Action("palette.close", ("escape",), "close", "Close without doing anything.", (Context.PALETTE,)),
    Action(
        "reading.follow", ("enter", "f"), "follow link", "Go to what the selected line points at.", (Context.READING,)
    ),
    Action("reading.copy", ("y",), "copy", "Copy the whole page to your clipboard.", (Context.READING,)),
    Action("reading.close", ("escape", "q"), "close", "Close.", (Context.READING,)),
)
