"""What a node costs its endpoint: one HTTP request for a look and two for an act, which is at most 12 a round."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from pathlib import Path

import pytest
from commanding import state_folder
from doubles import DriftingLearner, small_genesis, small_manifest
from proxy import proxy_to

from chain.accounts import Signer, address_of, dev_account
from chain.deploy import deploy
from chain.devnet import devnet_in_thread
from chain.web3_ledger import Web3Ledger
from fl_node.blobs.store import Store, open_store
from fl_node.manifest.manifest import Manifest
from fl_node.member.opening import open_task
from fl_node.member.participant import Participant, Step
from fl_node.member.taking_part import Notice, take_part

pytestmark = pytest.mark.slow

ROUNDS = 5
ASKED_BY_AN_ACT = 2
"""What the transaction needs to know, and the transaction with its receipt; three acts make a round."""
ASKED_BY_A_LOG = 2
ASKED_ONCE_MORE = 1
"""A round: on a busy machine a receipt may not be there at once."""
MEMBERS: list[Signer] = sorted(
    (dev_account(8, index) for index in range(3)), key=lambda signer: int(signer.address, 16)
)


def test_a_node_asks_its_endpoint_once_for_a_look_and_twice_for_an_act(tmp_path: Path) -> None:
    members = tuple(address_of(signer) for signer in MEMBERS)
    manifest = small_manifest(members, rounds={"count": ROUNDS})
    store = open_store(tmp_path / "store")
    with ExitStack() as stack:
        url = stack.enter_context(devnet_in_thread(tmp_path / "chain.db", fund=members))
        proxies = [stack.enter_context(proxy_to(url)) for _ in members]
        contract = deploy(url, MEMBERS[0]).address
        ledgers = [
            Web3Ledger(proxy.url, contract, signer)
            for proxy, signer in zip(proxies, MEMBERS, strict=True)
        ]
        task = open_task(ledgers[0], store, manifest, small_genesis()).task
        for proxy in proxies:
            proxy.headers.clear()
        looked = run(tmp_path, ledgers, store, manifest, task)
        asked = [len(proxy.headers) for proxy in proxies]
    acted = ROUNDS * (3 * ASKED_BY_AN_ACT + ASKED_BY_A_LOG + ASKED_ONCE_MORE)
    assert all(count <= acted + looks for count, looks in zip(asked, looked, strict=True))


def run(
    folder: Path, ledgers: list[Web3Ledger], store: Store, manifest: Manifest, task: int
) -> list[int]:
    """All nodes at once, as long as the task lasts; how often each looked at it."""
    looked = [0 for _ in ledgers]

    def noticing(index: int) -> Notice:
        def notice(what: Step | Exception) -> None:
            if isinstance(what, Exception):
                raise what
            looked[index] += 1

        return notice

    nodes = [
        Participant(
            ledger,
            store,
            DriftingLearner(index + 1),
            task,
            manifest,
            state_folder(folder / str(index), ledger, task, ledger.account),
        )
        for index, ledger in enumerate(ledgers)
    ]
    threads = [
        threading.Thread(target=take_part, args=(node, noticing(index), 1.0))
        for index, node in enumerate(nodes)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return looked
