"""The fuzz harness of session tokens without atheris: five thousand seeded changes to good and odd ones."""

import pytest

from backend.auth import tokens
from tests.fuzz import fuzz_session_token
from tests.fuzz.mutating import mutated

RUNS = 5_000


@pytest.mark.parametrize("seed", [3])
def test_session_tokens(seed: int) -> None:
    for raw in (*fuzz_session_token.seeds(), *mutated(fuzz_session_token.seeds(), RUNS, seed)):
        fuzz_session_token.check(raw)


def test_the_harness_takes_what_is_good() -> None:
    good = fuzz_session_token.seeds()[0].decode()
    key = fuzz_session_token.KEY
    claims = tokens.verify(good, key.private_key, fuzz_session_token.NOW)
    assert claims["username"] == "olga"
