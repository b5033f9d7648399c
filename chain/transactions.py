"""Sends transactions: every call and the deployment go through `send`."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from eth_utils.crypto import keccak

from chain import answers
from chain.accounts import Signer
from chain.answers import TransactionReceipt
from chain.connection import Connection
from chain.endpoint import Question
from chain.errors import AccountUnusable, ChainRefused, ChainUnreachable, TransactionFailed
from chain.types import Address

RECEIPT_SECONDS = 120.0
POLL_SECONDS = 0.2
ATTEMPTS = 5
GAS_MARGIN = 300_000
"""Gas above the estimate: the member that acts last in a phase also pays for ending it, and the block decides who that
is. The most expensive end draws 95 of 96 members and costs about 130 000. Unused gas is not paid for."""

MAX_WEI_PER_GAS = 10**13
"""The highest price of a unit of gas that is signed: 10 000 gwei, more than mainnet has ever asked for. Without a
limit, an endpoint that names its own price could make the account spend everything."""

_NONCE_TAKEN = ("nonce too low", "underpriced", "already known", "already imported")

Fields = dict[str, Any]
"""A call or transaction with JSON-RPC's field names; its numbers and bytes are not yet in hex."""


def send(
    connection: Connection,
    signer: Signer,
    data: bytes,
    to: Address | None = None,
    seconds: float = RECEIPT_SECONDS,
) -> TransactionReceipt:
    """Sign a message locally, send it, and wait until it is in a block.

    The message is first tried on the pending block, so a call that the contract would refuse is not sent. After a
    `ChainUnreachable` the transaction may or may not have been sent: look at the contract, or call again. If the
    first call went through, the contract refuses the second.

    Args:
        data: The call, or the code of a contract to create.
        to: The contract; None creates one.
        seconds: How long to wait for the block.

    Raises:
        CallRejected: The contract refused. Nothing was sent, or it reverted in its block.
        TransactionFailed: It failed in its block, but would succeed now.
        AccountUnusable: The signer cannot pay.
        ChainUnreachable: No answer came, or the transaction was in no block in time.
        ChainRefused: The node refused for another reason.
    """
    message: Fields = {"data": "0x" + data.hex(), **({"to": to} if to else {})}
    call = {"from": signer.address, **message}
    prepared = _prepare(connection, signer, call)
    priced = _price(connection, prepared, message)
    sent, receipt = _broadcast(connection, signer, priced, prepared.nonce)
    if receipt is None:
        receipt = _wait_for_receipt(connection, sent, seconds)
    if not receipt.succeeded:
        # This raises the reason, if it still holds.
        connection.ask(answers.anything, "eth_call", call, hex(receipt.block_number))
        raise TransactionFailed(
            f"transaction 0x{sent.hex()} failed in block {receipt.block_number}, but would succeed now"
        )
    return receipt


@dataclass(frozen=True, slots=True)
class _Prepared:
    """What a transaction needs to know of the chain; `tip` is None where there are no tips."""

    gas: int
    nonce: int
    block: answers.Block
    tip: int | None


def _prepare(connection: Connection, signer: Signer, call: Fields) -> _Prepared:
    gas = Question(answers.quantity, "eth_estimateGas", call, "pending")
    nonce = _nonce(signer)
    block = Question(answers.block, "eth_getBlockByNumber", "latest", False)
    tip = Question(answers.wei, "eth_maxPriorityFeePerGas")
    connection.ask_all([gas, nonce, block, tip])
    estimate, latest = gas.answer(), block.answer()
    if latest is None:
        raise ChainUnreachable(f"{connection} has no latest block")
    return _Prepared(
        min(estimate + estimate // 4 + GAS_MARGIN, latest.gas_limit),
        nonce.answer(),
        latest,
        None if latest.base_fee is None else tip.answer(),
    )


def _nonce(signer: Signer) -> Question[int]:
    return Question(answers.quantity, "eth_getTransactionCount", signer.address, "pending")


def _price(connection: Connection, prepared: _Prepared, message: Fields) -> Fields:
    """Add the chain's fees; twice the base fee is enough for six full blocks (EIP-1559)."""
    priced = {**message, "gas": prepared.gas, "value": 0, "chainId": connection.chain_id}
    base_fee, tip = prepared.block.base_fee, prepared.tip
    if base_fee is None or tip is None:
        price = connection.ask(answers.wei, "eth_gasPrice")
        return {**priced, "gasPrice": _payable(connection, price)}
    most = _payable(connection, 2 * base_fee + tip)
    return {**priced, "maxFeePerGas": most, "maxPriorityFeePerGas": tip}


def _payable(connection: Connection, wei_per_gas: int) -> int:
    if wei_per_gas > MAX_WEI_PER_GAS:
        raise ChainRefused(
            f"{connection} asks for {wei_per_gas} wei for a unit of gas, "
            f"at most {MAX_WEI_PER_GAS} are paid"
        )
    return wei_per_gas


def _broadcast(
    connection: Connection, signer: Signer, transaction: Fields, nonce: int
) -> tuple[bytes, TransactionReceipt | None]:
    """Send with the account's next nonce, or with the one after if another process took that.

    Returns:
        The transaction's hash, 32 bytes, and its receipt if it is in a block already.
    """
    for attempt in range(1, ATTEMPTS + 1):
        raw = bytes(signer.sign_transaction({**transaction, "nonce": nonce}).raw_transaction)
        sent = keccak(raw)
        sending = Question(answers.anything, "eth_sendRawTransaction", "0x" + raw.hex())
        receipt = _receipt_question(sent)
        connection.ask_all([sending, receipt])
        try:
            sending.answer()
            return sent, _receipt(connection, sent, receipt)
        except ChainRefused as error:
            # When an answer is lost, the same bytes are sent again and the node already knows them.
            if _is_known(connection, sent):
                return sent, _receipt(connection, sent, receipt)
            reason = str(error)
            if "insufficient funds" in reason.lower():
                raise AccountUnusable(f"account {signer.address} cannot pay: {reason}") from None
            if attempt == ATTEMPTS or not any(text in reason.lower() for text in _NONCE_TAKEN):
                raise
        again = _nonce(signer)
        connection.ask_all([again])
        nonce = again.answer()
    raise AssertionError("unreachable: the last attempt returns or raises")


def _is_known(connection: Connection, transaction: bytes) -> bool:
    found = connection.ask(answers.anything, "eth_getTransactionByHash", "0x" + transaction.hex())
    return found is not None


def _wait_for_receipt(
    connection: Connection, transaction: bytes, seconds: float
) -> TransactionReceipt:
    ends = time.monotonic() + seconds
    while True:
        receipt = receipt_of(connection, transaction)
        if receipt is not None:
            return receipt
        if time.monotonic() >= ends:
            raise ChainUnreachable(
                f"{connection}: transaction 0x{transaction.hex()} is in no block "
                f"after {seconds:g} seconds"
            )
        time.sleep(POLL_SECONDS)


def receipt_of(connection: Connection, transaction: bytes) -> TransactionReceipt | None:
    """The receipt of a transaction; None while the transaction is in no block.

    Args:
        transaction: Its hash, 32 bytes.

    Raises:
        ChainUnreachable, ChainRefused: As for `Connection.ask`.
    """
    question = _receipt_question(transaction)
    connection.ask_all([question])
    return _receipt(connection, transaction, question)


def _receipt_question(transaction: bytes) -> Question[TransactionReceipt | None]:
    return Question(answers.receipt, "eth_getTransactionReceipt", "0x" + transaction.hex())


def _receipt(
    connection: Connection, transaction: bytes, question: Question[TransactionReceipt | None]
) -> TransactionReceipt | None:
    receipt = question.answer()
    if receipt is not None and receipt.transaction != transaction:
        named = "0x" + transaction.hex()
        raise ChainUnreachable(f"{connection} gave another transaction's receipt for {named}")
    return receipt
