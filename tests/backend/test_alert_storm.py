"""A small storm of alerts with the backend killed in the middle: nothing that was answered 2xx is lost or told twice.

`make bench-alerts` runs a thousand alerts a second for a minute.
"""

from pathlib import Path

from tests.support.alert_storm import Storm, run


async def test_nothing_that_was_taken_is_lost_with_the_backend(database_url: str, directory: Path) -> None:
    outcome = await run(database_url, directory, Storm(per_s=200, seconds=4, per_delivery=20, seed=11))
    assert not outcome.wrong, outcome.wrong[:10]
    assert outcome.killed == 1
    assert outcome.alerts >= 400
    assert outcome.tries > outcome.deliveries, "some came while no backend was there"
