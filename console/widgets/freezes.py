"""Owns how freezes are drawn: what one would stop, its board with every executor's answer, and its story."""

from datetime import datetime

from rich.cells import cell_len

from console.state.freezing import Effect, Outcome, revoked_text
from console.state.headline import DRILL, MODE_WORDS, WAITING
from console.widgets import words
from console.widgets.holds import proof_text
from console.widgets.lines import Line, cut, left, line, outside, right, titled_rule, width_of, wrap
from console.widgets.overview import scope_text
from console.widgets.view import View
from contract.freeze import BlastRadius, Freeze, FreezeStatus, HaltProof, HaltState

_LABEL_COLUMNS = 12
_PROOF_ROWS = 3
"""Of what one answer rests on; ids of what was under way may be many."""
_WORST_FIRST = (
    HaltState.VIOLATION,
    HaltState.REQUESTED,
    HaltState.DELIVERED,
    HaltState.EXPIRED,
    HaltState.ACKED,
    HaltState.QUIESCED,
    HaltState.VERIFIED,
)


def blast_lines(blast: BlastRadius, view: View, *, drill: bool = False) -> list[Line]:
    """What a freeze would stop, or a drill for a while, in plain words."""
    g = view.glyphs
    executors = "1 executor" if blast.executors == 1 else f"{blast.executors:,} executors"
    if not blast.executors and drill:
        first = line((f"{g.near} No executor is covered now: the drill would show nothing.", "near"))
    elif not blast.executors:
        first = line((f"{g.near} No executor is covered now; any that registers later starts frozen.", "near"))
    else:
        first = line(
            (f"{g.near} This stops {executors} now. ", "near"),
            (f"{blast.trading:,} {'trades' if blast.trading == 1 else 'trade'} at present.", ""),
        )
    second = line(
        f"  {blast.open_orders:,} open orders, {words.eth(blast.position_eth)} ETH open position, "
        f"{blast.in_flight:,} in flight that may still land."
    )
    over = "Two persons are needed to thaw: one asks, another approves."
    if drill:
        over = "It is over by itself, within the policy's time; nobody has to thaw it."
    if blast.already_frozen:
        over = f"{blast.already_frozen:,} of them are frozen already. {over.partition(':')[0].rstrip('.')}."
    third = line((f"  {over}", "dim"))
    names = ", ".join(outside(name, 40) for name in blast.executor_names)
    return [first, second, line(("  " + cut(names, view.width - 2, g), "dim")), third]


def board_sentence(freeze: Freeze, effect: Effect, now: datetime | None) -> tuple[str, str]:
    """The board's line 2: its mood and its sentence. `now` is the backend's, as far as it is known."""
    count = f"{freeze.halted} of {freeze.covered} halted{_within(freeze)}"
    if freeze.status is FreezeStatus.THAWED:
        return "ok", f"{freeze.ref} was lifted by {freeze.thawed_by or 'somebody'}; executors may trade again."
    if freeze.status is FreezeStatus.LATCHED:
        if freeze.kept:
            return "near", "LATCHED: in force at this backend, kept by it, waiting for the database."
        return "bad", "LATCHED, NOT KEPT anywhere: lost if this backend ends before the database has it."
    if freeze.status is FreezeStatus.THAWING:
        return "near", f"{freeze.ref} is being lifted in stages: its first executors trade, {freeze.covered} are held."
    if effect.outcome is Outcome.DONE:
        return _done(freeze, effect, count)
    who = _some(effect.unproven) if freeze.proofs else "executors that are still asked about"
    loose = _unbounded(effect)
    return {
        Outcome.FAILED: ("bad", f"{_some(effect.gone_on)} went on after the freeze. {count}."),
        Outcome.UNKNOWN: ("bad", f"UNKNOWN: {count}; no answer from {who}{loose}."),
    }.get(effect.outcome, ("near", f"{count}. No answer yet from {who}{loose or _dies(effect, now)}."))


def _unbounded(effect: Effect) -> str:
    """That no permit ends what has not answered: an adapter's software trades on until it is stopped."""
    if not effect.unbounded:
        return ""
    if effect.unbounded == effect.unproven:
        return f", and no permit bounds {'it' if len(effect.unbounded) == 1 else 'them'}"
    return f"; no permit bounds {_some(effect.unbounded)}"


def _done(freeze: Freeze, effect: Effect, count: str) -> tuple[str, str]:
    if not freeze.covered:
        return "frozen", f"{freeze.ref} is in force; it covers no executor at present."
    if effect.still_open:
        return "near", f"{count}; {_some(effect.still_open)} still had something under way."
    return "frozen", f"{count}. {_seconded(freeze)}"


def _within(freeze: Freeze) -> str:
    answered = (proof.halted_after_seconds for proof in freeze.proofs if proof.acked_at and proof.halted_after_seconds)
    slowest = max(answered, default=None)
    return f" in {slowest:.2f} s" if slowest is not None else ""


def _seconded(freeze: Freeze) -> str:
    if freeze.verified == freeze.covered:
        return "A second source agrees for each of them."
    if freeze.verified:
        return f"A second source agrees for {freeze.verified}; the rest is their own word."
    return "By their own word: no second source agrees yet."


def _dies(effect: Effect, now: datetime | None) -> str:
    if effect.dead_at is None or now is None or effect.dead_at <= now:
        return ""
    whose = "its permit dies" if len(effect.unproven) == 1 else "the last permit dies"
    return f"; {whose} in {(effect.dead_at - now).total_seconds():.1f} s"


def _some(names: tuple[str, ...]) -> str:
    shown = 4
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return (", ".join(names[:shown]) + more) or "the others"


def board_rows(freeze: Freeze, view: View, *, late: bool) -> list[Line]:
    """One freeze: its story, then every executor's answer, those that have not confirmed first."""
    g = view.glyphs
    latched = freeze.status is FreezeStatus.LATCHED
    text, style = (f"{g.near} {WAITING}", "near") if latched else proof_text(freeze, view)
    if style == "bad" and not late and not freeze.violations:
        text, style = f"{g.partial} {freeze.halted} of {freeze.covered} halted", "near"
    rows = _story(freeze, view)
    rows.append(titled_rule((("PROOF ", "head"), (text, style)), view.width, g))
    if latched:
        return [*rows, line(("Who has halted is known once the database has it.", "dim"))]
    rows.append(_proof_head(view))
    ordered = sorted(freeze.proofs, key=lambda proof: (_WORST_FIRST.index(proof.state), proof.executor))
    rows += [row for proof in ordered for row in _proof_rows(proof, view, late=late)]
    if freeze.covered and not freeze.proofs:
        rows.append(line(("The answers have not been loaded yet.", "dim")))
    return rows


def _story(freeze: Freeze, view: View) -> list[Line]:
    """What is frozen, how, by whom and why, and how far it is on its way to being lifted."""
    g = view.glyphs
    mode = MODE_WORDS[freeze.mode] + (f", {DRILL}: it ends by itself" if freeze.drill else "")
    by = f"{outside(freeze.created_by, 40)}, {freeze.created_at:%Y-%m-%d %H:%M:%S} UTC"
    if freeze.automatic_rule:
        by += f", by rule {outside(freeze.automatic_rule, 40)}"
    facts = [("scope", scope_text(freeze.scope, view.width - _LABEL_COLUMNS, view)), ("mode", mode), ("by", by)]
    facts += [("reason", row) for row in wrap(outside(freeze.reason), view.width - _LABEL_COLUMNS)[:3]]
    if freeze.status is FreezeStatus.LATCHED:
        facts += [("permits", revoked_text(freeze)), ("", "nobody gets another until the database has it")]
    if freeze.thaw_requested_by:
        asked = f"{outside(freeze.thaw_requested_by, 40)}: {outside(freeze.thaw_reason or '', 200)}"
        facts.append(("thaw asked", asked))
    if freeze.thaw and freeze.thaw.approved_by and freeze.thaw.watch_until:
        names = ", ".join(outside(name, 40) for stage in freeze.thaw.stages[:1] for name in stage.executor_names)
        facts.append(("approved by", outside(freeze.thaw.approved_by, 40)))
        facts.append(("let go", f"{names}; watched until {freeze.thaw.watch_until:%H:%M:%S} UTC, then the rest"))
    if freeze.thawed_by:
        facts.append(("thawed by", outside(freeze.thawed_by, 40)))
    return [
        line((left(name, _LABEL_COLUMNS, g), "dim"), cut(value, view.width - _LABEL_COLUMNS, g))
        for name, value in facts
    ]


def _proof_head(view: View) -> Line:
    g = view.glyphs
    head = left("executor", 17, g) + left("state", 12, g) + right("after", 8, g) + right("in flight", 10, g)
    return line((left(head + "  proof", view.width, g), "head"))


def _proof_rows(proof: HaltProof, view: View, *, late: bool) -> list[Line]:
    g = view.glyphs
    sign = words.halted(proof, g, late=late)
    after = f"{proof.halted_after_seconds:.2f} s" if proof.halted_after_seconds is not None else "--"
    said = proof.proof + (f": {', '.join(proof.open_ids)}" if proof.open_ids else "")
    head = line(
        left(outside(proof.executor, 60), 17, g),
        (left(f"{sign.glyph} {sign.word}", 12, g), sign.style),
        right(after, 8, g),
        right(words.number(proof.in_flight), 10, g),
    )
    whole = sign.style in {"bad", "near"} or proof.state is HaltState.ACKED
    return with_proof(head, said, view, whole=whole)


def with_proof(head: Line, proof: str, view: View, *, whole: bool) -> list[Line]:
    """A row with what it rests on behind it; where that has no room and matters, below it."""
    text = outside(proof)
    room = max(view.width - width_of(head) - 2, 0)
    if not whole or cell_len(text) <= room:
        return [(*head, ("  " + cut(text, room, view.glyphs), "dim"))]
    return [head, *(line(("    " + row, "dim")) for row in wrap(text, max(view.width - 4, 20))[:_PROOF_ROWS])]
