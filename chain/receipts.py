"""Receipts: what became of a transaction."""

from __future__ import annotations

from chain import answers
from chain.answers import TransactionReceipt
from chain.connection import Connection
from chain.endpoint import Question
from chain.errors import ChainUnreachable


def receipt_of(connection: Connection, transaction: bytes) -> TransactionReceipt | None:
    """The receipt of a transaction; None while the transaction is in no block.

    Args:
        transaction: Its hash, 32 bytes.

    Raises:
        ChainUnreachable, ChainRefused: As for `Connection.ask`.
    """
    question = receipt_question(transaction)
    connection.answer_to(question)
    return receipt_from(connection, transaction, question)


def receipt_question(transaction: bytes) -> Question[TransactionReceipt | None]:
    return Question(answers.receipt, "eth_getTransactionReceipt", "0x" + transaction.hex())


def receipt_from(
    connection: Connection, transaction: bytes, question: Question[TransactionReceipt | None]
) -> TransactionReceipt | None:
    receipt = question.answer()
    if receipt is not None and receipt.transaction != transaction:
        named = "0x" + transaction.hex()
        raise ChainUnreachable(f"{connection} gave another transaction's receipt for {named}")
    return receipt
