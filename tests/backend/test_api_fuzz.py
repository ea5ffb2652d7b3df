"""Every route, as everybody, with what its description allows and with what it does not: no failure, no surprise."""

import pytest

pytest.importorskip("schemathesis", reason="of the development lock; this environment was made before it was in it")

from tests.support.api_fuzz import ROUTES, run

EXAMPLES = 2
"""Of each route; `make fuzz` asks twenty thousand times."""


def test_no_request_makes_a_backend_fail_or_answer_what_is_not_described() -> None:
    found = run(EXAMPLES, seed=20_251_122)
    assert not found.wrong, found.report()
    assert found.cases >= EXAMPLES * ROUTES
    assert {200, 401, 403, 404, 422} <= set(found.statuses), "all kinds of callers got somewhere"
