"""What a transaction offers for a unit of gas, and what the one that replaces it offers: rules over values, in wei.

A pool takes a second transaction with the same nonce only if both its fees are higher by a tenth (geth, EDR) or an
eighth (Nethermind, and the most that is asked anywhere).

Source: EIP-1559; https://geth.ethereum.org/docs/fundamentals/command-line-options (`--txpool.pricebump`).
"""

from __future__ import annotations

from dataclasses import dataclass

MAX_WEI_PER_GAS = 10**13
"""The highest price of a unit of gas that is signed unless told otherwise: 10 000 gwei, more than mainnet ever asked
for. Without a limit, an endpoint that names its own price could make the account spend everything."""


@dataclass(frozen=True, slots=True)
class Market:
    """What the chain asks for a unit of gas.

    Attributes:
        base_fee: What every transaction of the next block pays; None on a chain without EIP-1559.
        tip: What the node would add to it; without EIP-1559, the whole price.
    """

    base_fee: int | None
    tip: int


@dataclass(frozen=True, slots=True)
class Price:
    """What a transaction offers for a unit of gas: at most `most`, of which `tip` on top of the base fee.

    `tip` is None in a transaction from before EIP-1559, which pays `most`.
    """

    most: int
    tip: int | None


def first_price(market: Market, cap: int) -> Price | None:
    """What to offer: twice the base fee is enough for six full blocks. None if the chain asks for more than `cap`."""
    if market.base_fee is None:
        return Price(market.tip, None) if market.tip <= cap else None
    if market.base_fee + market.tip > cap:
        return None
    return Price(min(2 * market.base_fee + market.tip, cap), market.tip)


def covers(price: Price, market: Market) -> bool:
    """Whether a transaction at this price can be in the next block."""
    return market.base_fee is None or price.most >= market.base_fee


def raised(price: Price, market: Market, cap: int) -> Price | None:
    """What a replacement offers: an eighth more at least, and what the chain asks now. None if `cap` forbids it."""
    least = Price(_eighth_more(price.most), None if price.tip is None else _eighth_more(price.tip))
    if least.most > cap:
        return None
    asked = first_price(market, cap) or least
    most = min(max(least.most, asked.most), cap)
    if least.tip is None:
        return Price(most, None)
    tip = max(least.tip, asked.tip or 0)
    return Price(most, min(tip, most))


def _eighth_more(wei: int) -> int:
    return wei + wei // 8 + 1
