"""The whole walk by the commands, on chains that other people made: deploy, task, nodes, status, audit."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import light
import pytest
from chains import Kind, missing, start_chain
from sites import PATIENCE, light_manifest, members, undisturbed

from chain.accounts import Signer, address_of

pytestmark = pytest.mark.slow
TASK = """\
name = "12 numbers"
seed = 3
members = [{members}]
strategy = {{ share = ["generator.*"], work = {{ steps = 1 }} }}
rounds = {{ count = 2, commit_window = 300, reveal_window = 300, attest_window = 300, cohort_floor = 3 }}
limits = {{ update_norm = 1_000_000 }}
"""


@pytest.mark.parametrize(
    ("kind", "block_seconds"), [("anvil", 0), ("anvil", 2), ("edr", 0), ("edr", 2)]
)
def test_three_members_from_the_contract_to_a_clean_audit(
    tmp_path: Path, kind: Kind, block_seconds: int
) -> None:
    if reason := missing(kind):
        pytest.skip(reason)
    signers = members(3)
    addresses = [address_of(signer) for signer in signers]
    (tmp_path / "task.toml").write_text(
        TASK.format(members=", ".join(f'"{address}"' for address in addresses))
    )
    with start_chain(kind, tmp_path, addresses, block_seconds) as chain:
        run = commands(tmp_path, chain.url)
        run("deploy", by=signers[0])
        opened = json.loads(run("task", "open", tmp_path / "task.toml", "--json", by=signers[0]))
        assert opened["task"] == 1
        nodes = [
            light.start(
                *("node", "--rpc-url", chain.url, "--deployment", tmp_path / "deployment.json"),
                *("--store", tmp_path / "store", "--state", tmp_path / f"state-{index}"),
                *("--data", "0", "--partition", "iid", "--poll", "0.2"),
                env=key(signer),
                log=tmp_path / f"node-{index}.log",
            )
            for index, signer in enumerate(signers)
        ]
        for index, node in enumerate(nodes):
            node.join(PATIENCE)
            assert node.exitcode == 0, (tmp_path / f"node-{index}.log").read_text()
        status = json.loads(run("status", "--json"))
        report = json.loads(run("audit", "--derive-genesis", "--json"))
    expected = undisturbed(light_manifest(3, count=2)).hex()
    assert status["phase"] == "finished"
    assert report["verdict"] == "clean"
    assert report["final_digest"] == expected


def key(signer: Signer) -> dict[str, str]:
    return {"GANCHOR_PRIVATE_KEY": "0x" + bytes(signer.key).hex()}


def commands(folder: Path, url: str) -> Callable[..., str]:
    """Runs a command to its end, signed by an account or none. What it printed."""
    count = iter(range(100))

    def run(*words: object, by: Signer | None = None) -> str:
        log = folder / f"command-{next(count)}.log"
        options: list[object] = ["--rpc-url", url, "--deployment", folder / "deployment.json"]
        if words[0] in ("task", "audit"):
            options += ["--store", folder / "store"]
        process = light.start(*words, *options, env=key(by) if by else {}, log=log)
        process.join(PATIENCE)
        assert process.exitcode == 0, log.read_text()
        return log.read_text()

    return run
