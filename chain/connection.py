"""The way to a chain: one connection to its JSON-RPC endpoint, and what its errors mean to us."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import requests
from web3 import HTTPProvider, Web3
from web3.exceptions import ContractLogicError, TimeExhausted, Web3Exception, Web3RPCError
from web3.middleware import ExtraDataToPOAMiddleware
from web3.providers.rpc.utils import ExceptionRetryConfiguration

from chain.errors import ChainMismatch, ChainRefused, ChainUnreachable
from chain.rejections import rejection_from

REQUEST_SECONDS = 10.0
RETRIES = 4
FIRST_WAIT_SECONDS = 0.1

_URL = re.compile(r"(\w+://)(?:[^/\s@]*@)?([^/?#\s]*)\S*")


def connect(rpc_url: str, chain_id: int | None = None) -> Web3:
    """Connect to a chain over HTTP.

    Requests that may be repeated without harm (reads, and sending the same signed transaction) are
    repeated a few times: within about a second when the connection fails, within a minute when it
    holds and no answer comes.

    Args:
        chain_id: The chain that is expected there; None takes any.

    Raises:
        ChainUnreachable: Nothing answers JSON-RPC there.
        ChainMismatch: Another chain does.
    """
    if not rpc_url.startswith(("http://", "https://")):
        raise ChainUnreachable(
            f"expected an http:// or https:// URL of an endpoint, got {_without_key(rpc_url)}"
        )
    retry = ExceptionRetryConfiguration(
        errors=(requests.ConnectionError, requests.Timeout),
        retries=RETRIES,
        backoff_factor=FIRST_WAIT_SECONDS,
    )
    provider = HTTPProvider(
        rpc_url,
        request_kwargs={"timeout": REQUEST_SECONDS},
        exception_retry_configuration=retry,
    )
    w3 = Web3(provider)
    # It asks for the chain's id before every request; ids are checked here, and signed for.
    w3.middleware_onion.remove("validation")
    # Chains run by a consortium (QBFT, IBFT, Clique) put the block's signatures into `extraData`.
    w3.middleware_onion.inject(ExtraDataToPOAMiddleware, layer=0)
    with chain_errors(rpc_url):
        actual = w3.eth.chain_id
    if chain_id not in (None, actual):
        raise ChainMismatch(f"{_without_key(rpc_url)} serves chain {actual}, expected {chain_id}")
    return w3


def chain_id_at(rpc_url: str) -> int:
    """The id of the chain at an endpoint (EIP-155).

    Raises:
        ChainUnreachable: Nothing answers JSON-RPC there.
    """
    w3 = connect(rpc_url)
    with chain_errors(rpc_url):
        return w3.eth.chain_id


@contextmanager
def chain_errors(endpoint: str) -> Iterator[None]:
    """Turn what web3 and requests raise within into this package's errors.

    Raises:
        CallRejected: The contract reverted.
        ChainUnreachable: No answer, or one that is no JSON-RPC.
        ChainRefused: The node refused for another reason, which the message gives.
    """
    endpoint = _without_key(endpoint)
    try:
        yield
    except ContractLogicError as error:
        raise rejection_from(error.data, str(error.message or "")) from None
    except TimeExhausted as error:
        raise ChainUnreachable(f"{endpoint}: {error}") from None
    except Web3RPCError as error:
        raise ChainRefused(f"{endpoint} refused: {rpc_message(error)}") from None
    except requests.HTTPError as error:
        raise ChainRefused(f"{endpoint} refused: HTTP {_status(error)}") from None
    except OSError as error:  # requests' other errors among them
        raise ChainUnreachable(
            f"no chain answers at {endpoint}: {_without_key(_root(error))}"
        ) from None
    except (Web3Exception, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ChainUnreachable(f"{endpoint} does not answer as a chain does: {error!r}") from error


def rpc_message(error: Web3RPCError) -> str:
    """What the node itself said, without what web3 adds."""
    response = error.rpc_response or {}
    details = response.get("error")
    return str(details.get("message", error)) if isinstance(details, dict) else str(error)


def _status(error: requests.HTTPError) -> str:
    response = error.response
    return "error" if response is None else f"{response.status_code} {response.reason}"


def _without_key(text: str) -> str:
    """Cut URLs down to scheme, host and port: what follows may be the key to a paid service."""
    return _URL.sub(r"\1\2", text)


def _root(error: BaseException) -> str:
    """The last line of a chain of causes: "Connection refused" rather than five lines of pools."""
    while error.__context__ is not None or error.__cause__ is not None:
        error = error.__cause__ or error.__context__ or error
    return str(error)
