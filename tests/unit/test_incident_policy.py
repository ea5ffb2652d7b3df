"""The policy's part of incidents: what a step of the procedure may stamp, and what only people do."""

import pytest
from pydantic import ValidationError

from backend.policy.incidents import IncidentRules

USUAL = {"types": ("other",), "roles": ("commander",), "post_mortem_required": ()}


@pytest.mark.parametrize("milestone", ["resolved", "closed"])
@pytest.mark.parametrize("when", ["begun", "done"])
def test_no_step_says_that_an_incident_is_over(when: str, milestone: str) -> None:
    assert IncidentRules.model_validate({**USUAL, when: {"Recovery": "mitigated"}})
    with pytest.raises(ValidationError, match=f"Recovery cannot reach {milestone}"):
        IncidentRules.model_validate({**USUAL, when: {"Recovery": milestone}})
