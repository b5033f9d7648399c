"""The proof that a block holds the head, from real clients: exported, the chain ended, and audited."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from chains import Kind, missing, start_chain
from commanding import Ganchor, clean_environment, runner
from doubles import small_genesis, small_manifest

from chain.accounts import address_of, dev_account
from chain.deploy import deploy, write_deployment
from chain.web3_ledger import Web3Ledger
from fl_node.blobs.global_state import first_state
from fl_node.blobs.store import open_store
from fl_node.member.opening import open_task

OWNER = dev_account(6, 0)


@pytest.fixture
def ganchor(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Ganchor:
    clean_environment(monkeypatch, tmp_path)
    return runner(capsys)


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(kind, marks=pytest.mark.skipif(bool(missing(kind)), reason=missing(kind)))
        for kind in ("anvil", "edr")
    ],
)
def test_who_wrote_down_a_blocks_hash_needs_no_chain_any_more(
    ganchor: Ganchor, tmp_path: Path, kind: Kind
) -> None:
    with start_chain(kind, tmp_path, [address_of(OWNER)]) as chain:
        deployed = deploy(chain.url, OWNER)
        write_deployment(tmp_path / "deployment.json", deployed)
        ledger = Web3Ledger(chain.url, deployed.address, OWNER)
        manifest = small_manifest()
        genesis = first_state(small_genesis(), manifest.strategy.slots)
        opened = open_task(ledger, open_store(tmp_path / "store"), manifest, genesis)
        *_, last = ledger.history(opened.task)
        block = chain.ask("eth_getBlockByNumber", hex(last.block_number), False)["hash"]
        chain.ask("evm_mine")
        told = ganchor("export", "task.zip", "--rpc-url", chain.url, "--json")
        assert (told.code, told.err) == (0, "")
    facts = json.loads(told.out)
    assert ("0x" + facts["block"], facts["unproven"]) == (block, None)
    trusted = ganchor("audit", "--bundle", "task.zip", "--expect-block", block, "--json")
    assert (trusted.code, trusted.err) == (0, "")
    audited = json.loads(trusted.out)
    assert audited["in_block"] == {
        "block": block[2:],
        "number": last.block_number,
        "time": last.timestamp,
        "trusted": True,
    }
    other = ganchor("audit", "--bundle", "task.zip", "--expect-block", "ab" * 32, "--json")
    assert other.code == 1
