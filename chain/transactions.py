"""Sending a transaction: the one way, for every call and for the deployment."""

from __future__ import annotations

from typing import Any

from hexbytes import HexBytes
from web3 import Web3
from web3.exceptions import TransactionNotFound, Web3RPCError
from web3.types import TxParams, TxReceipt

from chain.accounts import Signer
from chain.connection import chain_errors, rpc_message
from chain.errors import AccountUnusable, UnknownRejection

RECEIPT_SECONDS = 120.0
POLL_SECONDS = 0.2
ATTEMPTS = 5
GAS_MARGIN = 300_000
"""Gas above the estimate: whoever acts last in a phase also pays for its end, and who that will be
is not known before the block. The dearest end draws 95 of 96 members, for about 130 000. Gas that
is not used is not paid for."""

_NONCE_TAKEN = ("nonce too low", "underpriced", "already known", "already imported")


def send(
    w3: Web3, signer: Signer, message: TxParams, seconds: float = RECEIPT_SECONDS
) -> TxReceipt:
    """Sign a message here, send it, and wait until it is in a block.

    The message is tried on the pending block first, so that one the contract would refuse is never
    sent. After a `ChainUnreachable` the transaction may be on its way or not: look at the contract,
    or just call again, for what has happened already is refused then.

    Args:
        message: `to` and `data`; nothing else.
        seconds: How long to wait for the block.

    Raises:
        CallRejected: The contract refused. Nothing was sent, or it reverted in its block.
        AccountUnusable: The signer cannot pay.
        ChainUnreachable: No answer, or no block within the time.
        ChainRefused: The node refused for another reason.
    """
    call: TxParams = {"from": signer.address, **message}
    with chain_errors(str(w3.provider)):
        estimate = w3.eth.estimate_gas(call, "pending")
        priced = _price(w3, {**call, "gas": estimate + estimate // 4 + GAS_MARGIN})
        transaction_hash = _broadcast(w3, signer, priced)
        receipt = w3.eth.wait_for_transaction_receipt(transaction_hash, seconds, POLL_SECONDS)
        if receipt["status"] != 1:
            w3.eth.call(call, receipt["blockNumber"])  # raises the reason, if it is still one
            raise UnknownRejection(f"transaction 0x{transaction_hash.hex()} failed in its block")
    return receipt


def _price(w3: Web3, call: TxParams) -> TxParams:
    """Add what the chain asks for; twice the base fee lasts for six full blocks (EIP-1559)."""
    block = w3.eth.get_block("latest")
    gas = min(call["gas"], block["gasLimit"])
    priced: TxParams = {
        **call,
        "gas": gas,
        "value": w3.to_wei(0, "wei"),
        "chainId": w3.eth.chain_id,
    }
    if "baseFeePerGas" not in block:
        return {**priced, "gasPrice": w3.eth.gas_price}
    tip = w3.eth.max_priority_fee
    most = w3.to_wei(2 * block["baseFeePerGas"] + tip, "wei")
    return {**priced, "maxFeePerGas": most, "maxPriorityFeePerGas": tip}


def _broadcast(w3: Web3, signer: Signer, transaction: TxParams) -> HexBytes:
    """Send under the account's next nonce, or the one after if another process took that."""
    for attempt in range(1, ATTEMPTS + 1):
        nonce = w3.eth.get_transaction_count(signer.address, "pending")
        numbered: dict[str, Any] = {**transaction, "nonce": nonce}
        signed = signer.sign_transaction(numbered)
        try:
            return w3.eth.send_raw_transaction(signed.raw_transaction)
        except Web3RPCError as error:
            # When an answer is lost the same bytes are sent again, and the node then knows them.
            if _is_known(w3, signed.hash):
                return signed.hash
            reason = rpc_message(error)
            if "insufficient funds" in reason.lower():
                raise AccountUnusable(f"account {signer.address} cannot pay: {reason}") from None
            if attempt == ATTEMPTS or not any(text in reason.lower() for text in _NONCE_TAKEN):
                raise
    raise AssertionError("unreachable: the last attempt returns or raises")


def _is_known(w3: Web3, transaction_hash: HexBytes) -> bool:
    try:
        w3.eth.get_transaction(transaction_hash)
    except TransactionNotFound:
        return False
    return True
