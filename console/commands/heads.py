"""`watchfloor audit key|heads`: what an outsider needs to verify the ledger, and how far it is signed and witnessed."""

import click

from console.commands.base import Call, command
from console.commands.output import instant, outside, wrapped
from contract.heads import LedgerHeads, LedgerKeeper, LedgerKeys

_KEY_CHARS = 400
"""Longer than any verifier key: one that is cut is worthless."""


@click.command("key")
@command("audit.key")
def key(call: Call, /) -> None:
    """The ledger's first key, which a witness or an auditor has to be given by a person."""
    keys = call.ask(lambda api: api.ledger_keys())
    call.answer(keys, lambda: _key_lines(keys))


def _key_lines(keys: LedgerKeys) -> list[str]:
    """The key alone on a line, never folded: it is copied."""
    return [
        f"{outside(keys.genesis, _KEY_CHARS)}",
        f"  ledger   {outside(keys.ledger)}",
        f"  newest   {outside(keys.current, _KEY_CHARS)}",
        f"  days     {len(keys.certificates)} certified after the first",
    ]


@click.command("heads")
@command("audit.heads")
def heads(call: Call, /) -> None:
    """How far each log is signed, and who holds its heads."""
    found = call.ask(lambda api: api.ledger_heads())
    call.answer(found, lambda: _head_lines(found))


def _head_lines(found: LedgerHeads) -> list[str]:
    lines = [*wrapped(outside(found.summary, 400), 0), "  log        entries     signed  witnessed"]
    lines += [f"  {outside(one.log, 8):8} {one.size:>9,} {one.signed:>10,} {one.witnessed:>10,}" for one in found.logs]
    for keeper in (found.signer, *found.witnesses):
        lines += wrapped(_state(keeper), 2)
    return lines


def _state(keeper: LedgerKeeper) -> str:
    if keeper.problem is None:
        return f"{outside(keeper.name)}: works"
    since = f" Since {instant(keeper.since)}." if keeper.since else ""
    return f"{outside(keeper.name)}: {outside(keeper.problem, 300)}{since}"
