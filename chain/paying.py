"""An account that sends transactions: what it asks the chain, what it signs, and what it pays at most."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from chain import answers
from chain.accounts import Signer
from chain.connection import Connection
from chain.endpoint import Question
from chain.errors import ChainRefused
from chain.fees import Market, Price, first_price
from chain.newest import NewestBlocks

GAS_MARGIN = 300_000
"""Gas above the estimate: the member that acts last in a phase also pays for ending it, and the block decides who that
is. The most expensive end draws 95 of 96 members and costs about 130 000. Unused gas is not paid for."""

Fields = dict[str, Any]
"""A call or transaction with JSON-RPC's field names; its numbers and bytes are not yet in hex."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a new transaction needs to know of the chain; `block` is the number of the newest block."""

    gas: int
    nonce: int
    market: Market
    block: int


class Account:
    """An account that sends: what it asks the chain, signs and pays at most."""

    def __init__(self, connection: Connection, signer: Signer, cap: int) -> None:
        self.connection, self.signer, self.cap = connection, signer, cap

    def prepare(self, call: Fields) -> Prepared:
        """Try a call on the pending block, and read what a transaction with it needs, in one request."""
        gas = Question(answers.quantity, "eth_estimateGas", call, "pending")
        nonce, market = self.count("pending"), MarketQuestions()
        self.connection.ask_all([gas, nonce, *market.all])
        estimate, block = gas.answer(), market.latest(self.connection)
        least = estimate + estimate // 4 + GAS_MARGIN
        limit = min(least, block.gas_limit)
        return Prepared(limit, nonce.answer(), market.answer(self.connection), block.number or 0)

    def first_price(self, market: Market) -> Price:
        price = first_price(market, self.cap)
        if price is None:
            asked = (market.base_fee or 0) + market.tip
            raise ChainRefused(
                f"{self.connection} asks for {asked} wei for a unit of gas, at most {self.cap} are paid"
            )
        return price

    def count(self, which: str) -> Question[int]:
        """The number of the account's transactions, `latest` in blocks or `pending` with those on their way."""
        return Question(answers.quantity, "eth_getTransactionCount", self.signer.address, which)

    def sign(self, message: Fields, nonce: int, price: Price) -> bytes:
        """A signed transaction, as it is sent."""
        fees = (
            {"gasPrice": price.most}
            if price.tip is None
            else {"maxFeePerGas": price.most, "maxPriorityFeePerGas": price.tip}
        )
        fields = {
            "value": 0,
            **message,
            **fees,
            "nonce": nonce,
            "chainId": self.connection.chain_id,
        }
        return bytes(self.signer.sign_transaction(fields).raw_transaction)


class MarketQuestions:
    """The questions whose answers say what the next block asks for a unit of gas."""

    def __init__(self) -> None:
        self._newest = NewestBlocks()
        self._tip = Question(answers.wei, "eth_maxPriorityFeePerGas")
        self.all: tuple[Question[Any], ...] = *self._newest.all, self._tip

    def latest(self, connection: Connection) -> answers.Block:
        """The newest block. Raises as `NewestBlocks.latest` does."""
        return self._newest.latest(connection)

    def answer(self, connection: Connection) -> Market:
        """The next block's base fee is the pending block's; a node that builds none knows only the last one's."""
        base_fee = self.latest(connection).base_fee
        if base_fee is None:
            return Market(None, connection.ask(answers.wei, "eth_gasPrice"))
        pending = self._newest.pending()
        if pending is not None and pending.base_fee is not None:
            base_fee = max(base_fee, pending.base_fee)
        return Market(base_fee, self._tip.answer())
