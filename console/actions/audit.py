"""Actions on the audit log: searching it, its entries, whether it is what was written."""

from typing import Final

from console.actions.kinds import Action, Context
from contract.permissions import Permission

SEARCHING: Final[tuple[Action, ...]] = (
    Action(
        "audit.search",
        ("s",),
        "search",
        "Search the audit log: words and filters such as user:ana result:denied since:2h.",
        (Context.AUDIT,),
        Permission.VIEW_AUDIT_LOGS,
        command="search",
        argument="[WORDS AND FILTERS]",
    ),
    Action(
        "audit.more",
        ("m",),
        "",
        "Load the next page of older entries.",
        (Context.AUDIT,),
        Permission.VIEW_AUDIT_LOGS,
    ),
    Action(
        "search.save",
        ("w",),
        "",
        "Save the search that is shown, for you alone: `s saved:NAME` finds it again.",
        (Context.AUDIT,),
        Permission.VIEW_AUDIT_LOGS,
        command="save",
        argument="NAME",
    ),
    Action(
        "search.forget",
        ("W",),
        "",
        "Delete one of your saved searches.",
        (Context.AUDIT,),
        Permission.VIEW_AUDIT_LOGS,
        command="forget",
        argument="NAME",
    ),
    Action(
        "audit.export",
        ("e",),
        "",
        "Take every entry of the search out into a file; that you did is recorded.",
        (Context.AUDIT,),
        Permission.EXPORT_AUDIT_LOGS,
        command="export",
    ),
    Action(
        "audit.verify",
        ("v",),
        "verify",
        "Whether the ledger is what was written: the last verification, and a new one.",
        (Context.AUDIT,),
        Permission.VIEW_AUDIT_LOGS,
    ),
    Action(
        "entry.reveal",
        ("R",),
        "reveal",
        "Show the sealed values of this entry, for a reason; that you did is recorded.",
        (Context.ENTRY,),
        Permission.REVEAL_PERSONAL_DATA,
    ),
    Action(
        "entry.proof",
        ("p",),
        "proof",
        "Ask whether a signed head covers this entry; that you did is recorded.",
        (Context.ENTRY,),
        Permission.VIEW_AUDIT_LOGS,
    ),
)

VERIFYING: Final[tuple[Action, ...]] = (
    Action(
        "verify.new",
        ("v",),
        "verify new",
        "Verify what was added since the last good verification; goes on if you leave.",
        (Context.VERIFY,),
        Permission.VIEW_AUDIT_LOGS,
    ),
    Action(
        "verify.full",
        ("V",),
        "verify all",
        "Verify the whole ledger from its first entry on; goes on if you leave.",
        (Context.VERIFY,),
        Permission.VIEW_AUDIT_LOGS,
    ),
)

LEDGER: Final[tuple[Action, ...]] = (
    Action(
        "audit.ledger",
        ("L",),
        "ledger",
        "The ledger's state: heads, witnesses, outbox, quarantine, retention.",
        (Context.VERIFY, Context.AUDIT),
        Permission.VIEW_AUDIT_LOGS,
    ),
)
