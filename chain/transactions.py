"""Sends transactions: every call and the deployment go through `send`."""

from __future__ import annotations

import time

from chain import answers
from chain.accounts import Signer
from chain.answers import TransactionReceipt
from chain.connection import Connection
from chain.errors import TransactionFailed
from chain.fees import MAX_WEI_PER_GAS
from chain.paying import Account, Fields
from chain.sending import Sending
from chain.types import Address

RECEIPT_SECONDS = 120.0


def send(
    connection: Connection,
    signer: Signer,
    data: bytes,
    to: Address | None = None,
    seconds: float = RECEIPT_SECONDS,
    most_wei_per_gas: int = MAX_WEI_PER_GAS,
    least_gas: int = 0,
) -> TransactionReceipt:
    """Sign a message locally, send it, and wait until it is in a block.

    The message is first tried on the pending block, so a call that the contract would refuse is not sent. While it is
    in no block it is sent again if it was dropped, and replaced by one that pays more if its fees do not suffice. After
    a `ChainUnreachable` the transaction may or may not have been sent: look at the contract, or call again. If the
    first call went through, the contract refuses the second.

    Args:
        data: The call, or the code of a contract to create.
        to: The contract; None creates one.
        seconds: How long to wait for the block.
        most_wei_per_gas: The highest price of a unit of gas that is signed, in wei.
        least_gas: The gas limit is at least this, whatever the estimate.

    Raises:
        CallRejected: The contract refused. Nothing was sent, or it reverted in its block.
        TransactionFailed: It failed in its block, but would succeed now.
        AccountUnusable: The signer cannot pay.
        ChainUnreachable: No answer came, or the transaction was in no block in time.
        ChainRefused: The node refused for another reason, or asks for more than `most_wei_per_gas`.
    """
    account = Account(connection, signer, most_wei_per_gas)
    message: Fields = {"data": "0x" + data.hex(), **({"to": to} if to else {})}
    call = {"from": signer.address, **message}
    ends = time.monotonic() + seconds
    receipt = None
    while receipt is None:  # until it is ours that has the nonce
        prepared = account.prepare(call)
        gas = max(prepared.gas, least_gas)
        sending = Sending(account, {**message, "gas": gas}, prepared)
        receipt = sending.start() or sending.wait(ends, seconds)
    if not receipt.succeeded:
        # This raises the reason, if it still holds.
        connection.ask(answers.anything, "eth_call", call, hex(receipt.block_number))
        raise TransactionFailed(
            f"transaction 0x{receipt.transaction.hex()} failed in block {receipt.block_number}, "
            "but would succeed now"
        )
    return receipt
