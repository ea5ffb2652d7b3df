"""Copying works through tmux and screen, refuses visibly, and never copies what would run."""

import base64
import re

import pytest

from console.term.clipboard import LIMIT_BYTES, CopyRefusedError, copy_sequence


def payload(sequence: str) -> str:
    found = re.search(r"\]52;c;([A-Za-z0-9+/=]*)\x07", sequence)
    assert found
    return base64.b64decode(found[1]).decode()


def test_a_terminal_gets_one_osc_52() -> None:
    assert copy_sequence("FRZ-31 漢字", {"TERM": "xterm-256color"}).startswith("\x1b]52;c;")
    assert payload(copy_sequence("FRZ-31 漢字", {})) == "FRZ-31 漢字"


@pytest.mark.parametrize("environ", [{"TMUX": "/tmp/tmux-0/default,1,0"}, {"TERM": "tmux-256color"}])  # noqa: S108
def test_tmux_gets_it_wrapped_and_bare(environ: dict[str, str]) -> None:
    sequence = copy_sequence("id", environ)
    wrapped, _, bare = sequence.partition("\x1b\\")
    assert wrapped == "\x1bPtmux;\x1b" + bare
    assert payload(bare) == "id"


def test_screen_gets_it_in_short_strings() -> None:
    parts = re.findall(r"\x1bP(.*?)\x1b\\", copy_sequence("x" * 5000, {"STY": "1.pts"}), re.DOTALL)
    assert all(len(part) <= 256 for part in parts)
    assert payload("".join(parts)) == "x" * 5000


def test_what_would_run_when_pasted_is_removed() -> None:
    assert "\x1b" not in payload(copy_sequence("\x1b[201~rm -rf /\n", {}))


@pytest.mark.parametrize(("text", "reason"), [("", "Nothing"), ("x" * (LIMIT_BYTES + 1), "Too large")])
def test_refusals_say_why(text: str, reason: str) -> None:
    with pytest.raises(CopyRefusedError, match=reason):
        copy_sequence(text, {})


def test_the_largest_text_fits() -> None:
    assert len(copy_sequence("x" * LIMIT_BYTES, {})) < 100_010
