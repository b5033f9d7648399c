"""A transaction on its way into a block.

It is not done when a node has taken it. Its fees may be too low for the blocks that come, a reorganisation may drop it,
and an older one of the same account may stand before it. `Sending` watches for all three until a block has it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from eth_utils.crypto import keccak

from chain import answers
from chain.answers import Known, TransactionReceipt
from chain.endpoint import Question
from chain.errors import AccountUnusable, ChainRefused, ChainUnreachable
from chain.fees import Market, Price, covers, raised
from chain.paying import Account, Fields, MarketQuestions, Prepared
from chain.receipts import receipt_from, receipt_question

POLL_SECONDS = 0.2
MAX_POLL_SECONDS = 2.0
ATTEMPTS = 8
"""So many tries to get a nonce, or to be taken where an older transaction stands."""

STALE_BLOCKS = 4
STALE_SECONDS = 20.0
"""After so many blocks, or so long without any, a transaction that is in none is replaced by one that pays more."""

TRANSFER_GAS = 21_000

_NONCE_TAKEN = ("nonce too low", "already known", "already imported")
_UNDERPRICED = ("underpriced", "replacement", "base fee", "basefee")


@dataclass(frozen=True, slots=True)
class _View:
    """What the chain shows of a transaction on its way; `mined` counts the account's transactions in blocks."""

    receipt: TransactionReceipt | None
    known: Known | None
    mined: int
    market: Market
    block: int


class Sending:
    """A message on its way into a block, under one nonce, as one transaction or several that pay ever more.

    Args:
        account: Who sends.
        message: The transaction without nonce and fees.
        prepared: What the chain showed before.
    """

    def __init__(self, account: Account, message: Fields, prepared: Prepared) -> None:
        self._account, self._message = account, message
        self._connection = account.connection
        self._nonce = prepared.nonce
        self._price = account.first_price(prepared.market)
        self._sent: dict[bytes, bytes] = {}
        self._moved_at = prepared.block
        self._moved = time.monotonic()
        self._taken = 0

    def start(self) -> TransactionReceipt | None:
        """Send it, with the account's next nonce or with the one after if another process took that.

        Returns:
            Its receipt, if it is in a block already.

        Raises:
            AccountUnusable: The signer cannot pay.
            ChainRefused: The node goes on refusing.
        """
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return self._broadcast()
            except ChainRefused as error:
                if attempt == ATTEMPTS or not self._gets_past(str(error).lower()):
                    raise
        raise AssertionError("unreachable: the last attempt returns or raises")

    def wait(self, ends: float, seconds: float) -> TransactionReceipt | None:
        """Wait until a block has it, and help it where it does not get on.

        Returns:
            The receipt; None if another transaction of the account has the nonce.

        Raises:
            ChainUnreachable: It is in no block in time.
        """
        pause = 0.0
        while True:
            due = self._connection.pace.until_next
            time.sleep(max(0.0, min(max(pause, due), ends - time.monotonic())))
            pause = min(max(POLL_SECONDS, pause * 1.5), MAX_POLL_SECONDS)
            view = self._look()
            if view.receipt is not None:
                return view.receipt
            if time.monotonic() >= ends:
                raise ChainUnreachable(
                    f"{self._connection}: transaction 0x{self._newest.hex()} is in no block "
                    f"after {seconds:g} seconds"
                )
            if self._lost_nonce(view):
                return None
            if (receipt := self._help(view)) is not None:
                return receipt

    @property
    def _newest(self) -> bytes:
        return next(reversed(self._sent))

    def _broadcast(self) -> TransactionReceipt | None:
        """Sign and send, and look in the same request whether a block has it at once, as on a local test chain."""
        raw = self._account.sign(self._message, self._nonce, self._price)
        transaction = keccak(raw)
        sending = _sending(raw)
        receipt = receipt_question(transaction)
        self._connection.ask_all([sending, receipt])
        try:
            sending.answer()
        except ChainRefused as error:
            # When an answer is lost, the same bytes are sent again and the node already knows them.
            if self._connection.answer_to(_known(transaction)) is None:
                self._raise_if_poor(error)
                raise
        self._sent[transaction] = raw
        return receipt_from(self._connection, transaction, receipt)

    def _raise_if_poor(self, error: ChainRefused) -> None:
        if "insufficient funds" in str(error).lower():
            address = self._account.signer.address
            raise AccountUnusable(f"account {address} cannot pay: {error}") from None

    def _gets_past(self, refusal: str) -> bool:
        """After a refusal, take the next nonce if there is one, or offer more than the transaction with this one."""
        underpriced = any(text in refusal for text in _UNDERPRICED)
        if not underpriced and not any(text in refusal for text in _NONCE_TAKEN):
            return False
        nonce, market = self._account.count("pending"), MarketQuestions()
        self._connection.ask_all([nonce, *market.all])
        if nonce.answer() != self._nonce or not underpriced:
            self._nonce = nonce.answer()
            return True
        better = raised(self._price, market.answer(self._connection), self._account.cap)
        self._price = better or self._price
        return better is not None

    def _look(self) -> _View:
        receipts = {transaction: receipt_question(transaction) for transaction in self._sent}
        known = _known(self._newest)
        mined, market = self._account.count("latest"), MarketQuestions()
        self._connection.ask_all([*receipts.values(), known, mined, *market.all])
        found = [
            receipt
            for transaction, question in receipts.items()
            if (receipt := receipt_from(self._connection, transaction, question)) is not None
        ]
        return _View(
            found[0] if found else None,
            known.answer(),
            mined.answer(),
            market.answer(self._connection),
            market.latest(self._connection).number or 0,
        )

    def _lost_nonce(self, view: _View) -> bool:
        """Whether another transaction has the nonce: seen twice, because receipts may come a moment later."""
        self._taken = self._taken + 1 if view.mined > self._nonce else 0
        return self._taken > 1

    def _help(self, view: _View) -> TransactionReceipt | None:
        """Do what gets it on: send it again, pay more, or free the account of an older one that stands before it."""
        if view.mined > self._nonce:
            return None
        before = view.mined < self._nonce
        stale = view.block - self._moved_at >= STALE_BLOCKS or self._waited >= STALE_SECONDS
        if before and stale:
            self._free(view)
            return None
        if not before and (stale or not covers(self._price, view.market)):
            return self._pay_more(view)
        return self._send_again() if view.known is None else None

    @property
    def _waited(self) -> float:
        """The seconds for which nothing has moved: neither the chain, nor this."""
        return min(time.monotonic() - self._moved, self._connection.pace.since_last)

    def _move(self, view: _View) -> None:
        self._moved_at, self._moved = view.block, time.monotonic()

    def _send_again(self) -> TransactionReceipt | None:
        """Send the same bytes: whichever node has it already refuses, and no harm is done."""
        raw = self._sent[self._newest]
        sending = _sending(raw)
        receipt = receipt_question(self._newest)
        self._connection.ask_all([sending, receipt])
        return receipt_from(self._connection, self._newest, receipt)

    def _pay_more(self, view: _View) -> TransactionReceipt | None:
        price = raised(self._price, view.market, self._account.cap)
        if price is None:
            return None
        before, self._price = self._price, price
        self._move(view)
        try:
            return self._broadcast()
        except ChainRefused:
            self._price = before  # The one before it may still come into a block.
            return None

    def _free(self, view: _View) -> None:
        """Replace the oldest transaction on its way by an empty one that pays enough."""
        self._move(view)
        empty = {"to": self._account.signer.address, "data": "0x", "gas": TRANSFER_GAS}
        price: Price | None = self._price
        for _ in range(ATTEMPTS):
            price = raised(price, view.market, self._account.cap) if price is not None else None
            if price is None:
                return
            raw = self._account.sign(empty, view.mined, price)
            try:
                self._connection.answer_to(_sending(raw))
                return
            except ChainRefused as error:
                if not any(text in str(error).lower() for text in _UNDERPRICED):
                    return


def _sending(raw: bytes) -> Question[object]:
    return Question(answers.anything, "eth_sendRawTransaction", "0x" + raw.hex())


def _known(transaction: bytes) -> Question[Known | None]:
    return Question(answers.known, "eth_getTransactionByHash", "0x" + transaction.hex())
