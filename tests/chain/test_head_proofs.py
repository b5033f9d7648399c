"""That a block holds a history head: what real clients answered, what holds for every head, and what proves nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from doubles import GENESIS, MANIFEST, MEMBERS, TERMS
from hypothesis import example, given
from hypothesis import strategies as st
from proving import proof_of
from strange_proofs import INVALID

from chain import answers, proving
from chain.accounts import address_of, dev_account
from chain.artifact import load_artifact
from chain.connection import Connection, connect
from chain.deploy import deploy
from chain.devnet import devnet_in_thread
from chain.errors import ChainRefused, ChainUnreachable, ProofInvalid
from chain.headers import header_from, read_header
from chain.proofs import HeadProof, follow, head_slot
from chain.types import Address
from chain.web3_ledger import Web3Ledger

RECORDED = json.loads(
    (Path(__file__).parents[1] / "vectors" / "endpoint_proofs.json").read_text("utf-8")
)
"""What anvil and hardhat's EDR answered about a block with two tasks, and the head that the contract gave."""

CONTRACT = Address("0x00000000000000000000000000000000000000C0")
HEAD = bytes(range(32))
words = st.binary(min_size=32, max_size=32)


@pytest.fixture(scope="module")
def proof() -> HeadProof:
    return proof_of(CONTRACT, 1, HEAD)


class TestWhatClientsAnswer:
    @pytest.mark.parametrize("client", RECORDED)
    def test_their_proofs_lead_to_the_contracts_head(self, client: str) -> None:
        said = RECORDED[client]
        given = answers.account_proof(said["proof"])
        made = HeadProof(header_from(said["block"]), given.account, given.storage)
        proven = follow(made, said["contract"], said["task"])
        assert proven.head.hex() == said["head"]
        assert "0x" + proven.block.hex() == said["block"]["hash"]
        assert (hex(proven.number), hex(proven.time)) == (
            said["block"]["number"],
            said["block"]["timestamp"],
        )
        assert proven.code == load_artifact().code_hash

    @pytest.mark.parametrize("client", RECORDED)
    @pytest.mark.parametrize("name", ["stateRoot", "number", "extraData", "requestsHash"])
    def test_a_header_is_the_one_that_its_hash_says(self, client: str, name: str) -> None:
        block = RECORDED[client]["block"]
        with pytest.raises(ValueError, match="fields that are not known here"):
            header_from({**block, name: "0x" + "12" * 32})
        with pytest.raises(ValueError):
            header_from({**block, name: None})

    @pytest.mark.parametrize("block", [None, [], "0x", {}, {"hash": "0x" + "12" * 32}])
    def test_what_is_no_block_has_no_header(self, block: object) -> None:
        with pytest.raises(ValueError):
            header_from(block)

    @pytest.mark.parametrize(
        "changed", [{"storageProof": []}, {"accountProof": "0x"}, {"storageProof": [{}]}]
    )
    def test_what_is_no_proof_is_none(self, changed: dict[str, Any]) -> None:
        with pytest.raises(ValueError):
            answers.account_proof({**RECORDED["anvil"]["proof"], **changed})


class TestLaws:
    @given(
        contract=st.binary(min_size=20, max_size=20), task=st.integers(0, 2**256 - 1), head=words
    )
    @example(contract=bytes(20), task=1, head=bytes(31) + b"\1")
    @example(contract=bytes(20), task=2**256 - 1, head=bytes(1) + b"\xff" * 31)
    def test_a_proof_leads_to_its_head(self, contract: bytes, task: int, head: bytes) -> None:
        address = answers.address("0x" + contract.hex())
        if head != bytes(32):
            proven = follow(proof_of(address, task, head, number=7, time=8), address, task)
            assert (proven.head, proven.number, proven.time) == (head, 7, 8)

    @given(place=st.integers(0, 10**6), bit=st.integers(0, 7))
    def test_one_bit_of_a_path_is_enough(self, proof: HeadProof, place: int, bit: int) -> None:
        for name in ("account", "storage"):
            nodes = [bytearray(node) for node in getattr(proof, name)]
            node = nodes[place % len(nodes)]
            node[place % len(node)] ^= 1 << bit
            with pytest.raises(ProofInvalid):
                follow(replace(proof, **{name: tuple(map(bytes, nodes))}), CONTRACT, 1)

    @given(place=st.integers(0, 10**6), bit=st.integers(0, 7))
    def test_one_bit_of_a_header_makes_it_another_block(
        self, proof: HeadProof, place: int, bit: int
    ) -> None:
        header = bytearray(proof.header)
        header[place % len(header)] ^= 1 << bit
        try:
            other = follow(replace(proof, header=bytes(header)), CONTRACT, 1)
        except ProofInvalid:
            return
        assert other.block != follow(proof, CONTRACT, 1).block


class TestWhatProvesNothing:
    def test_the_genuine_one_does(self, proof: HeadProof) -> None:
        assert follow(proof, CONTRACT, 1).head == HEAD

    @pytest.mark.parametrize("name", INVALID)
    def test_it_is_refused_in_one_line(self, proof: HeadProof, name: str) -> None:
        spoil, says = INVALID[name]
        with pytest.raises(ProofInvalid, match=says) as refused:
            follow(spoil(proof), CONTRACT, 1)
        assert str(refused.value).isprintable() and len(str(refused.value)) < 400

    def test_another_contract_is_elsewhere(self, proof: HeadProof) -> None:
        with pytest.raises(ProofInvalid, match="the account's path"):
            follow(proof, Address("0x" + "34" * 20), 1)

    def test_another_task_is_elsewhere(self, proof: HeadProof) -> None:
        with pytest.raises(ProofInvalid, match="the slot's path"):
            follow(proof, CONTRACT, 200)

    def test_a_path_through_another_state_is_none(self, proof: HeadProof) -> None:
        other = proof_of(MEMBERS[0], 1, HEAD)
        with pytest.raises(ProofInvalid, match="the account's path"):
            follow(replace(proof, account=other.account), CONTRACT, 1)


FUNDED = dev_account(9, 0)


@dataclass(frozen=True)
class World:
    """A ledger with two tasks, on a chain that gives no proofs, and a connection to it."""

    ledger: Web3Ledger
    connection: Connection


@pytest.fixture(scope="module")
def devnet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    database = tmp_path_factory.mktemp("devnet") / "chain.db"
    with devnet_in_thread(database, fund=[address_of(FUNDED)]) as url:
        ledger = Web3Ledger(url, deploy(url, FUNDED).address, FUNDED)
        for _ in range(2):
            ledger.open_task(MANIFEST, GENESIS, MEMBERS, TERMS)
        yield World(ledger, connect(url))


class TestTheSlot:
    @pytest.mark.parametrize("task", [1, 2])
    def test_the_contract_keeps_the_head_there(self, devnet: World, task: int) -> None:
        slot = "0x" + head_slot(task).hex()
        word = devnet.connection.ask(
            answers.word, "eth_getStorageAt", devnet.ledger.contract, slot, "latest"
        )
        assert word == devnet.ledger.task_state(task).history_head != bytes(32)


@dataclass
class Node:
    """A node that remembers the state of some blocks, each with the proof of a head."""

    blocks: dict[str, tuple[Any, Any]]
    asked: list[str] = field(default_factory=list)

    def ask(self, decode: Callable[[object], Any], method: str, *params: Any) -> Any:
        block = params[0] if method == "eth_getBlockByNumber" else params[2]
        self.asked.append(f"{method} {block}")
        if block not in self.blocks:
            raise ChainRefused("missing trie node")
        return decode(self.blocks[block][method == "eth_getProof"])


def asked(node: Node, block: int) -> HeadProof:
    said = RECORDED["anvil"]
    head = bytes.fromhex(said["head"])
    return proving.head_proof(node, said["contract"], said["task"], head, block)  # type: ignore[arg-type]


class TestAskingANode:
    HERE = (RECORDED["anvil"]["block"], RECORDED["anvil"]["proof"])
    NUMBER = RECORDED["anvil"]["block"]["number"]

    def test_it_is_asked_for_the_block_of_the_last_event(self) -> None:
        node = Node({self.NUMBER: self.HERE})
        assert follow(asked(node, int(self.NUMBER, 16)), RECORDED["anvil"]["contract"], 2)
        assert node.asked == [f"eth_getBlockByNumber {self.NUMBER}", f"eth_getProof {self.NUMBER}"]

    def test_where_that_state_is_forgotten_for_the_newest(self) -> None:
        node = Node({self.NUMBER: self.HERE, "latest": self.HERE})
        assert asked(node, 1) == asked(node, int(self.NUMBER, 16))

    def test_a_node_without_either_says_why(self) -> None:
        with pytest.raises(ChainRefused, match="missing trie node"):
            asked(Node({}), 1)

    def test_a_proof_of_another_head_is_none(self) -> None:
        said = RECORDED["anvil"]
        node: Any = Node({self.NUMBER: self.HERE})
        with pytest.raises(ProofInvalid, match="holds the history head"):
            proving.head_proof(node, said["contract"], said["task"], HEAD, int(self.NUMBER, 16))

    def test_a_proof_that_does_not_belong_to_the_block_is_none(self) -> None:
        node = Node({self.NUMBER: (self.HERE[0], RECORDED["edr"]["proof"])})
        with pytest.raises(ProofInvalid, match="breaks off"):
            asked(node, int(self.NUMBER, 16))

    def test_a_chain_without_proofs_refuses(self, devnet: World) -> None:
        head = devnet.ledger.task_state(1).history_head
        with pytest.raises(ChainRefused, match="eth_getProof"):
            devnet.ledger.head_proof(1, head, 1)

    def test_a_block_that_is_not_there_is_no_answer_of_a_chain(self, devnet: World) -> None:
        with pytest.raises(ChainUnreachable, match="does not have the block"):
            devnet.connection.ask(header_from, "eth_getBlockByNumber", hex(10**6), False)

    def test_a_devnets_header_is_ethereums(self, devnet: World) -> None:
        """py-evm's blocks have the fields of Prague."""
        header = devnet.connection.ask(header_from, "eth_getBlockByNumber", "latest", False)
        assert read_header(header).number > 0
