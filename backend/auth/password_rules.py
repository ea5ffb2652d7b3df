"""Which passwords a person may choose: long enough, and not among those that are guessed first. Stores nothing.

What is common, a pattern of the keyboard, a date or a repetition is judged by zxcvbn and its lists of leaked passwords,
in a thread of its own and of a part of the password that is bounded: no password holds anybody else up.
"""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from backend.errors import WatchfloorError
from backend.policy import Policy
from contract.auth import MAX_PASSWORD_CHARS
from contract.errors import ErrorCode

_JUDGED_CHARS: Final = 30
"""Zxcvbn's time grows with the square of the length; whoever types more has typed enough."""
_STAND_INS: Final = frozenset("4@8({[<3691!|705$+7%2")
"""Characters that zxcvbn reads as letters too, in every combination of what they may stand for."""
_MOST_STAND_INS: Final = 6
"""With so many different ones there are 32 combinations at most; with all of them thousands, which take seconds."""
_LETTERS: Final = str.maketrans("@({[<!|$+%", "accccilstx")
"""The letter that a symbol most often stands for; digits stay, since dates and rows of digits are made of them."""
_PRODUCT = ("watchfloor", "methtrader", "mev", "trading", "compliance")
"""Words that an attacker of this system tries first."""


_thread = ThreadPoolExecutor(1, thread_name_prefix="strength")  # one: zxcvbn keeps own words in a global


async def refuse_weak(policy: Policy, password: str, *, own_words: Sequence[str] = ()) -> None:
    """Let a password pass that withstands guessing; `own_words` are the account's name and role.

    Takes some tens of milliseconds of one core, in a thread: hold no database connection meanwhile.

    Raises:
        WatchfloorError: INVALID_REQUEST, saying what is wrong with it, never the password itself.
    """
    refuse_length(policy, password)
    score, warning = await asyncio.get_running_loop().run_in_executor(
        _thread, _judged, judged_part(password), (*own_words, *_PRODUCT)
    )
    if score >= policy.identity.password_strength:
        return
    why = warning.rstrip(".") or "It is too easy to guess"
    raise WatchfloorError(
        ErrorCode.INVALID_REQUEST,
        f"That password is among those that are guessed first. {why}.",
        hint="Take four or more words at random, or leave it out and have one made.",
    )


def judged_part(password: str) -> str:
    """What of a password is judged: its beginning, and symbols as letters where there are too many to try each."""
    part = password[:_JUDGED_CHARS]
    return part if len(_STAND_INS.intersection(part)) <= _MOST_STAND_INS else part.translate(_LETTERS)


def _judged(part: str, own_words: Sequence[str]) -> tuple[int, str]:
    """How hard to guess, from 0 to 4, and what is wrong with it."""
    from zxcvbn import zxcvbn  # its lists take a tenth of a second to load, and most processes never need them

    found = zxcvbn(part, user_inputs=list(own_words), max_length=_JUDGED_CHARS)
    return int(found["score"]), str(found["feedback"]["warning"])


def refuse_length(policy: Policy, password: str) -> None:
    """Let a password pass whose length the policy allows.

    Raises:
        WatchfloorError: INVALID_REQUEST.
    """
    least = policy.sign_in.watchfloor.min_password_chars
    if not least <= len(password) <= MAX_PASSWORD_CHARS:
        raise WatchfloorError(
            ErrorCode.INVALID_REQUEST, f"A password has {least} to {MAX_PASSWORD_CHARS:,} characters."
        )
