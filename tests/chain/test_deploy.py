"""What is deployed is the committed contract, and the file that says where is checked when read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest
from planting import PLANTS, Plant, mutations

from chain.accounts import address_of, dev_account
from chain.answers import quantity
from chain.artifact import load_artifact
from chain.connection import connect
from chain.deploy import (
    Deployment,
    deploy,
    read_deployment,
    verify_contract,
    write_deployment,
)
from chain.devnet import CHAIN_ID, devnet_in_thread
from chain.errors import AccountUnusable, ContractMismatch, DeploymentInvalid
from chain.transactions import send

RICH, POOR = dev_account(2, 0), dev_account(2, 1)
EXAMPLE = Deployment(31337, address_of(RICH), 4, "ab" * 32)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    database = tmp_path_factory.mktemp("devnet") / "chain.db"
    with devnet_in_thread(database, fund=[address_of(RICH)]) as address:
        yield address


class TestDeploy:
    def test_the_chain_then_holds_the_committed_contract(self, url: str) -> None:
        connection = connect(url)
        deployment = deploy(url, RICH)
        verify_contract(connection, deployment.address)
        assert deployment.chain_id == CHAIN_ID
        assert deployment.block == connection.ask(quantity, "eth_blockNumber")
        assert deployment.artifact_digest == load_artifact().digest.hex()

    def test_twice_gives_two_contracts(self, url: str) -> None:
        assert deploy(url, RICH).address != deploy(url, RICH).address

    def test_no_funds(self, url: str) -> None:
        with pytest.raises(AccountUnusable, match=f"account {POOR.address} cannot pay"):
            deploy(url, POOR)


class TestVerify:
    def test_no_contract(self, url: str) -> None:
        with pytest.raises(ContractMismatch, match=f"no contract at {POOR.address}"):
            verify_contract(connect(url), address_of(POOR))

    def test_another_contract(self, url: str) -> None:
        connection = connect(url)
        receipt = send(connection, RICH, bytes.fromhex("60ff60005360016000f3"))
        assert receipt.contract is not None
        with pytest.raises(ContractMismatch, match=r"other code at 0x.*, expected 0x"):
            verify_contract(connection, receipt.contract)


class TestFile:
    def test_what_is_written_is_read_back(self, tmp_path: Path) -> None:
        path = tmp_path / "deployment.json"
        write_deployment(path, EXAMPLE)
        assert read_deployment(path) == EXAMPLE
        assert list(tmp_path.iterdir()) == [path]

    def test_no_file(self, tmp_path: Path) -> None:
        with pytest.raises(DeploymentInvalid, match="No such file"):
            read_deployment(tmp_path / "deployment.json")

    def test_no_folder_to_write_to(self, tmp_path: Path) -> None:
        with pytest.raises(DeploymentInvalid, match="cannot be written"):
            write_deployment(tmp_path / "none" / "deployment.json", EXAMPLE)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"chain_id": "31337"}, "chain_id: expected a whole number from 1, got '31337'"),
            ({"chain_id": 0}, "chain_id: expected a whole number from 1, got 0"),
            ({"chain_id": True}, "chain_id: expected a whole number from 1, got True"),
            ({"block": -1}, "block: expected a whole number from 0, got -1"),
            ({"address": "0x12"}, "address: expected an address"),
            ({"address": None}, "address: expected an address"),
            ({"artifact_digest": "ab"}, "artifact_digest: expected 64 hex digits, got 'ab'"),
            ({"artifact_digest": 7}, "artifact_digest: expected 64 hex digits, got 7"),
            ({"more": 1}, "expected an object with chain_id, address, block, artifact_digest"),
        ],
    )
    def test_a_wrong_field_is_named(
        self, tmp_path: Path, change: dict[str, object], message: str
    ) -> None:
        path = tmp_path / "deployment.json"
        write_deployment(path, EXAMPLE)
        path.write_text(json.dumps(json.loads(path.read_text()) | change))
        with pytest.raises(DeploymentInvalid, match=message):
            read_deployment(path)

    @pytest.mark.parametrize("plant", PLANTS)
    @pytest.mark.timeout(60)
    def test_what_is_no_file(self, tmp_path: Path, plant: Plant) -> None:
        plant(tmp_path / "deployment.json")
        with pytest.raises(DeploymentInvalid, match=r"deployment\.json: "):
            read_deployment(tmp_path / "deployment.json")

    def test_an_altered_file_is_read_or_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "deployment.json"
        write_deployment(path, EXAMPLE)
        for altered in mutations(path.read_bytes(), seed=2, count=1000):
            path.write_bytes(altered)
            try:
                assert isinstance(read_deployment(path), Deployment)
            except DeploymentInvalid as trouble:
                assert str(trouble).isprintable()

    def test_an_error_repeats_little_of_what_it_read(self, tmp_path: Path) -> None:
        path = tmp_path / "deployment.json"
        write_deployment(path, EXAMPLE)
        long = {"address": "0" * 10_000, "artifact_digest": "\x1b" * 1000, "block": 10**3000}
        for name, value in long.items():
            path.write_text(json.dumps(asdict(EXAMPLE) | {name: value}))
            with pytest.raises(DeploymentInvalid, match=name) as caught:
                read_deployment(path)
            assert len(str(caught.value)) < 1000 and str(caught.value).isprintable()

    @pytest.mark.parametrize(
        "content", [b"", b"{", b"\xff", b"[]", b"{}", b"null", b"[" * 60_000, b"1" * 10_000]
    )
    def test_something_else_altogether(self, tmp_path: Path, content: bytes) -> None:
        path = tmp_path / "deployment.json"
        path.write_bytes(content)
        with pytest.raises(DeploymentInvalid, match=r"not JSON|expected an object"):
            read_deployment(path)
