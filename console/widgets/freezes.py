"""Owns how freezes are drawn: what one would stop, its board with every executor's answer, and its story."""

from console.state.floor import Floor
from console.state.freezing import Effect, Outcome
from console.state.freshness import coarse_age, seconds_between
from console.state.headline import MODE_WORDS
from console.widgets import words
from console.widgets.lines import Line, cut, left, line, outside, right, titled_rule, wrap
from console.widgets.overview import freeze_row, proof_text, scope_text
from console.widgets.view import View
from contract.freeze import BlastRadius, Freeze, FreezeStatus, HaltProof

_LABEL_COLUMNS = 12


def blast_lines(blast: BlastRadius, view: View) -> list[Line]:
    """What a freeze would stop, in plain words."""
    g = view.glyphs
    executors = "1 executor" if blast.executors == 1 else f"{blast.executors:,} executors"
    if not blast.executors:
        first = line((f"{g.near} No executor is covered now; any that registers later starts frozen.", "near"))
    else:
        first = line((f"{g.near} This stops {executors} now. ", "near"), (f"{blast.trading:,} trade at present.", ""))
    second = line(
        f"  {blast.open_orders:,} open orders, {words.eth(blast.position_eth)} ETH open position, "
        f"{blast.in_flight:,} in flight that may still land."
    )
    third = line(("  Two persons are needed to thaw: one asks, another approves.", "dim"))
    if blast.already_frozen:
        third = line((f"  {blast.already_frozen:,} of them are frozen already. Two persons are needed to thaw.", "dim"))
    names = ", ".join(outside(name, 40) for name in blast.executor_names)
    return [first, second, line(("  " + cut(names, view.width - 2, g), "dim")), third]


def board_sentence(freeze: Freeze, effect: Effect) -> tuple[str, str]:
    """The board's line 2: its mood and its sentence."""
    count = f"{freeze.halted} of {freeze.covered}"
    slowest = max((proof.halted_after_seconds for proof in freeze.proofs if proof.halted_after_seconds), default=None)
    within = f" within {slowest:.2f} s" if slowest is not None else ""
    if freeze.status is FreezeStatus.THAWED:
        return "ok", f"{freeze.ref} was lifted by {freeze.thawed_by or 'somebody'}; executors may trade again."
    match effect.outcome:
        case Outcome.DONE if not freeze.covered:
            return "frozen", f"{freeze.ref} is in force; it covers no executor at present."
        case Outcome.DONE:
            return "frozen", f"Done: {count} halted{within}. Two persons are needed to thaw."
        case Outcome.UNKNOWN:
            return "bad", f"UNKNOWN: {count} halted; no answer from {_some(effect.unproven)}."
        case _:
            return "near", f"{count} halted so far{within}; waiting for {_some(effect.unproven)}."


def _some(names: tuple[str, ...]) -> str:
    shown = 4
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return (", ".join(names[:shown]) + more) or "the others"


def board_rows(freeze: Freeze, view: View, *, late: bool) -> list[Line]:
    """One freeze: its story, then every executor's answer, those that have not confirmed first."""
    g = view.glyphs
    text, style = proof_text(freeze, view)
    mode = MODE_WORDS[freeze.mode]
    by = f"{outside(freeze.created_by, 40)}, {freeze.created_at:%Y-%m-%d %H:%M:%S} UTC"
    if freeze.automatic_rule:
        by += f", by rule {outside(freeze.automatic_rule, 40)}"
    facts = [("scope", scope_text(freeze.scope, view.width - _LABEL_COLUMNS, view)), ("mode", mode), ("by", by)]
    facts += [("reason", row) for row in wrap(outside(freeze.reason), view.width - _LABEL_COLUMNS)[:3]]
    if freeze.thaw_requested_by:
        asked = f"{outside(freeze.thaw_requested_by, 40)}: {outside(freeze.thaw_reason or '', 200)}"
        facts.append(("thaw asked", asked))
    if freeze.thawed_by:
        facts.append(("thawed by", outside(freeze.thawed_by, 40)))
    rows: list[Line] = [
        line((left(name, _LABEL_COLUMNS, g), "dim"), cut(value, view.width - _LABEL_COLUMNS, g))
        for name, value in facts
    ]
    rows.append(titled_rule((("PROOF ", "head"), (text, style)), view.width, g))
    rows.append(_proof_head(view))
    ordered = sorted(freeze.proofs, key=lambda proof: (proof.state.is_halted, proof.executor))
    rows += [_proof_row(proof, view, late=late) for proof in ordered]
    if freeze.covered and not freeze.proofs:
        rows.append(line(("The answers have not been loaded yet.", "dim")))
    return rows


def _proof_head(view: View) -> Line:
    g = view.glyphs
    return line(
        (
            left("executor", 18, g)
            + left("state", 14, g)
            + right("halted after", 13, g)
            + right("last order", 12, g)
            + right("in flight", 11, g),
            "head",
        )
    )


def _proof_row(proof: HaltProof, view: View, *, late: bool) -> Line:
    g = view.glyphs
    sign = words.halt(proof.state, g, late=late)
    after = f"{proof.halted_after_seconds:.2f} s" if proof.halted_after_seconds is not None else "--"
    order = f"#{proof.last_order_seq:,}" if proof.last_order_seq is not None else "--"
    return line(
        left(outside(proof.executor, 60), 18, g),
        (left(f"{sign.glyph} {sign.word}", 14, g), sign.style),
        right(after, 13, g),
        right(order, 12, g),
        right(words.number(proof.in_flight), 11, g),
    )


def thaw_lines(freeze: Freeze, floor: Floor, view: View) -> list[Line]:
    """What a thaw is about, before anybody decides."""
    g = view.glyphs
    age = coarse_age(seconds_between(freeze.created_at, floor.now(view.desk_now)) or 0.0)
    rows = [
        freeze_row(freeze, view),
        line(("  frozen for ", "dim"), age, ("; why: ", "dim"), cut(outside(freeze.reason), view.width - 30, g)),
        line((f"{g.near} Lifting it lets {freeze.covered:,} executors trade again.", "near")),
    ]
    if freeze.thaw_requested_by:
        asked = f"{outside(freeze.thaw_requested_by, 40)} asks for it: "
        rows.append(line((f"  {asked}", "dim"), cut(outside(freeze.thaw_reason or ""), view.width - len(asked) - 3, g)))
    return rows
