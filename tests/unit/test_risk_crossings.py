"""Which scope speaks for a crossing."""

from decimal import Decimal

from hypothesis import given

from backend.risk.crossings import MAX_SPEAKERS, unexplained
from backend.risk.measures import crosses, figure
from backend.risk.model import Part, Place, by_scope
from contract.risk import RiskRule
from contract.scope import Scope
from tests.unit.test_risk_measures import LIMITS, parts

D = Decimal
LOSS = RiskRule.DAILY_LOSS


def lost(chain: str, strategy: str, wallet: str, eth: str, trades: int = 1) -> Part:
    return Part(Place(chain, strategy, wallet), -D(eth), trades)


def speakers(*given_parts: Part, alerted: tuple[str, ...] = ()) -> list[str]:
    already = [Scope.parse(text) for text in alerted]
    return [str(one.scope) for one in unexplained(LOSS, by_scope(given_parts), LIMITS, alerted=already)]


def test_nothing_crosses() -> None:
    assert speakers(lost("arbitrum", "arbitrage", "0xa", "10")) == []


def test_one_loss_speaks_once_by_its_strategy() -> None:
    assert speakers(lost("arbitrum", "arbitrage", "0xa", "12")) == ["strategy:arbitrage"]


def test_the_wallet_that_lost_it_all_speaks_alone() -> None:
    found = unexplained(
        LOSS,
        by_scope([lost("arbitrum", "arbitrage", "0xa", "12"), lost("arbitrum", "arbitrage", "0xb", "1")]),
        LIMITS,
    )
    assert [str(one.scope) for one in found] == ["wallet:0xa"]
    assert {str(scope) for scope in found[0].explains} == {"strategy:arbitrage", "chain:arbitrum", "global"}


def test_a_scope_that_crosses_without_the_narrower_speaks_too() -> None:
    assert speakers(
        lost("arbitrum", "arbitrage", "0xa", "12"),
        lost("optimism", "liquidation", "0xb", "6"),
        lost("base", "s", "0xc", "5"),
    ) == ["strategy:arbitrage", "global"]


def test_losses_spread_thin_freeze_the_whole() -> None:
    assert speakers(*(lost(f"chain{n}", f"strategy{n}", f"0x{n}", "4") for n in range(3))) == ["global"]


def test_profit_elsewhere_does_not_hide_a_losing_strategy() -> None:
    assert speakers(lost("arbitrum", "arbitrage", "0xa", "12"), lost("arbitrum", "liquidation", "0xb", "-9")) == [
        "strategy:arbitrage"
    ]


def test_many_losing_wallets_are_spoken_for_by_their_strategy() -> None:
    wallets = [lost("arbitrum", "arbitrage", f"0x{n}", "11") for n in range(MAX_SPEAKERS + 1)]
    assert speakers(*wallets) == ["strategy:arbitrage"]
    assert len(speakers(*wallets[:MAX_SPEAKERS])) == MAX_SPEAKERS


def test_an_alerted_scope_goes_on_speaking() -> None:
    both = lost("arbitrum", "arbitrage", "0xa", "12"), lost("arbitrum", "arbitrage", "0xb", "1")
    assert speakers(*both, alerted=("strategy:arbitrage",)) == ["strategy:arbitrage"]


def test_what_is_unknown_crosses_nothing() -> None:
    assert speakers(Part(Place("arbitrum", "arbitrage", "0xa"), D(-50), known=0, unknown=9)) == []


@given(parts)
def test_every_crossed_scope_is_spoken_for(given_parts: list[Part]) -> None:
    """Without the places that speak, nothing is past its limit any more: freezing the speakers stops it all."""
    scopes = by_scope(given_parts)
    chosen = [one.scope for one in unexplained(LOSS, scopes, LIMITS)]
    for scope, found in scopes.items():
        rest = [part for part in found if not part.place.under(chosen)]
        assert not crosses(LOSS, figure(LOSS, rest, LIMITS).value, LIMITS.of(LOSS, scope))
    for scope in chosen:
        assert crosses(LOSS, figure(LOSS, scopes[scope], LIMITS).value, LIMITS.of(LOSS, scope))
