"""The fuzz harnesses without atheris: five thousand seeded changes to valid messages each."""

import pytest

from tests.fuzz import fuzz_agent_reply, fuzz_signature
from tests.fuzz.mutating import mutated

RUNS = 5_000


@pytest.mark.parametrize("seed", [1])
def test_signatures_and_keys(seed: int) -> None:
    for raw in (*fuzz_signature.seeds(), *mutated(fuzz_signature.seeds(), RUNS, seed)):
        fuzz_signature.check(raw)


@pytest.mark.parametrize("seed", [2])
def test_replies_of_agents(seed: int) -> None:
    for raw in (*fuzz_agent_reply.seeds(), *mutated(fuzz_agent_reply.seeds(), RUNS, seed)):
        fuzz_agent_reply.check(raw)
