"""What a transaction offers, and what its replacement does."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from chain.fees import MAX_WEI_PER_GAS, Market, Price, covers, first_price, raised

GWEI = 10**9
WEI = st.integers(0, 2 * MAX_WEI_PER_GAS)
MARKETS = st.builds(Market, st.none() | WEI, WEI)


class TestFirstPrice:
    def test_is_twice_the_base_fee_and_the_tip(self) -> None:
        assert first_price(Market(10 * GWEI, GWEI), 100 * GWEI) == Price(21 * GWEI, GWEI)

    def test_is_at_most_what_the_owner_pays(self) -> None:
        assert first_price(Market(10 * GWEI, GWEI), 15 * GWEI) == Price(15 * GWEI, GWEI)
        assert first_price(Market(10 * GWEI, GWEI), 10 * GWEI) is None

    def test_has_no_tip_on_an_old_chain(self) -> None:
        assert first_price(Market(None, GWEI), 100 * GWEI) == Price(GWEI, None)

    @given(MARKETS, WEI)
    def test_gets_into_the_next_block_and_never_costs_more(self, market: Market, cap: int) -> None:
        price = first_price(market, cap)
        if price is not None:
            assert covers(price, market)
            assert (price.tip or 0) <= price.most <= cap


class TestReplacement:
    def test_raises_both_fees_by_an_eighth(self) -> None:
        assert raised(Price(800, 80), Market(1, 1), 1000) == Price(901, 91)

    def test_follows_the_chain_where_that_is_more(self) -> None:
        dear = Market(50 * GWEI, 3 * GWEI)
        assert raised(Price(20 * GWEI, GWEI), dear, 1000 * GWEI) == Price(103 * GWEI, 3 * GWEI)

    def test_is_none_beyond_what_the_owner_pays(self) -> None:
        assert raised(Price(800, 80), Market(1, 1), 900) is None

    @given(MARKETS, MARKETS, WEI)
    def test_is_one_that_every_pool_takes(self, before: Market, now: Market, cap: int) -> None:
        old = first_price(before, cap)
        new = old and raised(old, now, cap)
        if old and new:
            assert new.most <= cap
            assert 8 * new.most >= 9 * old.most
            if old.tip is not None:
                assert new.tip is not None
                assert 8 * new.tip >= 9 * old.tip
                assert new.tip <= new.most
