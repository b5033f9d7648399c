"""Waits until a transaction lasts: until its block is so deep that no reorganisation is expected to take it back."""

from __future__ import annotations

import time

from chain import answers
from chain.answers import TransactionReceipt
from chain.connection import Connection
from chain.endpoint import Question
from chain.errors import TransactionFailed
from chain.looking import IDLE_SECONDS, Settling
from chain.newest import NewestBlocks
from chain.receipts import receipt_from, receipt_question

POLL_SECONDS = 0.5


def lasts(block: int, newest: int, final: int, idle: float, settling: Settling) -> bool:
    """Whether what is in a block stays.

    Args:
        block: The block's number.
        newest, final: The numbers of the newest block, and of the newest that the chain calls final.
        idle: Seconds since the newest block was first seen. Where blocks come only with transactions, none may follow.
        settling: What is asked for.
    """
    if settling == "finalized":
        return final >= block
    return newest - block >= settling or idle > IDLE_SECONDS


def until_it_lasts(
    connection: Connection, receipt: TransactionReceipt, settling: Settling, seconds: float
) -> TransactionReceipt:
    """Wait until a transaction lasts. A reorganisation may meanwhile move it to another block.

    Args:
        receipt: The transaction's.
        settling: When it lasts; 0 for at once.
        seconds: How long it may be in no block.

    Returns:
        Its receipt, which may name another block than before.

    Raises:
        TransactionFailed: A reorganisation has taken it back, or it failed in its new block.
        ChainUnreachable, ChainRefused: As for `Connection.ask`.
    """
    seen = time.monotonic()
    while settling != 0:
        found, here = _found(connection, receipt, settling)
        if found is not None:
            receipt, seen = found, time.monotonic()
            if here:
                break
        elif time.monotonic() - seen > seconds:
            raise TransactionFailed(
                f"a reorganisation has taken transaction 0x{receipt.transaction.hex()} back, "
                f"and it is in no block after {seconds:g} seconds"
            )
        time.sleep(max(POLL_SECONDS, connection.pace.until_next))
    if not receipt.succeeded:
        raise TransactionFailed(
            f"a reorganisation has moved transaction 0x{receipt.transaction.hex()} "
            f"to block {receipt.block_number}, where it failed"
        )
    return receipt


def _found(
    connection: Connection, receipt: TransactionReceipt, settling: Settling
) -> tuple[TransactionReceipt | None, bool]:
    """The receipt as it is now, None if the transaction is in no block; and whether it lasts."""
    question, newest = receipt_question(receipt.transaction), NewestBlocks()
    final = Question(answers.block, "eth_getBlockByNumber", "finalized", False)
    beside = [final] if settling == "finalized" else []
    connection.ask_all([question, *newest.all, *beside])
    found = receipt_from(connection, receipt.transaction, question)
    if found is None:
        return None, False
    deepest = _number(final.answer()) if beside else 0
    head, idle = _number(newest.latest(connection)), connection.pace.since_last
    return found, lasts(found.block_number, head, deepest, idle, settling)


def _number(block: answers.Block | None) -> int:
    """A block's number; 0 for none."""
    return 0 if block is None or block.number is None else block.number
