"""`ganchor check`: look at everything that a node depends on, and say what would go wrong."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import typer
from rich.console import Console

from chain.accounts import Signer, address_of
from chain.deploy import Deployment, read_deployment
from chain.errors import LedgerError
from chain.probing import Probe, funds_of, probe
from chain.relay.client import Relay
from chain.relay.health import Health
from chain.text import shown
from chain.web3_ledger import Web3Ledger
from fl_node.blobs.digest import digest_of
from fl_node.blobs.model import load_model
from fl_node.blobs.store import Speed, Store, open_store
from fl_node.blobs.tensors import schema_of, size_of
from fl_node.cli import accounts, options, wiring
from fl_node.cli.check import chain, machine, storage
from fl_node.cli.check import relay as relaying
from fl_node.cli.check.findings import Findings, Found, Verdict, findings_table, to_json
from fl_node.cli.exits import FindingsReported
from fl_node.cli.own_code import policy_of
from fl_node.manifest.code_learners import CodeLearner
from fl_node.manifest.manifest import Manifest
from fl_node.manifest.packing import Draft
from fl_node.member.joining import load_manifest
from fl_node.member.own_code import own_code
from fl_node.member.state import Membership
from fl_node.member.uplink import largest_of
from fl_node.round.policy import Policy

_STORE_ADVICE = "see --store; docs/stores.md says what each kind of store needs"

MEASURED_BYTES = 1 << 20
MEASURE_SECONDS = 60.0
"""How long measuring the store may take: 1 MiB there and back at 0.3 Mbit/s."""


@dataclass(frozen=True, slots=True)
class Given:
    """What the options say."""

    task: int
    rpc_urls: Sequence[str]
    deployed: Deployment
    store: str
    keystore: Path | None
    password_file: Path | None
    state: Path
    device: str | None
    policy: Policy
    manners: wiring.Manners
    relay: str | None


def check(
    task: options.Task = 1,
    allow_code: options.AllowedCode = None,
    policy_file: options.PolicyFile = None,
    state: options.StateFolder = Path("node-state"),
    store: options.StoreUrl = options.DEFAULT_STORE,
    keystore: options.Keystore = None,
    password_file: options.PasswordFile = None,
    rpc_url: options.RpcUrl = options.DEFAULT_RPC_URL,
    confirm: options.Confirm = False,
    settled: options.Settled = None,
    max_gas_price: options.MaxGasPrice = options.DEFAULT_MAX_GAS_PRICE,
    deployment: options.DeploymentFile = options.DEFAULT_DEPLOYMENT,
    device: options.Device = None,
    relay: options.RelayUrl = None,
    as_json: options.Json = False,
) -> None:
    """Look at everything that a node with these options depends on, and say what would go wrong.

    It writes 1 MiB into the store, reads it and deletes it, and sends no transaction. It exits with 1 if something is
    wrong.
    """
    policy = policy_of(policy_file, allow_code)
    deployed = read_deployment(deployment)
    manners = wiring.Manners(confirm, settled, max_gas_price)
    wiring.settling_of(settled)  # What cannot be meant is said before anything is looked at.
    given = Given(
        task,
        rpc_url,
        deployed,
        store,
        keystore,
        password_file,
        state,
        device,
        policy,
        manners,
        relay,
    )
    findings = Findings()
    _look(given, findings)
    if as_json:
        typer.echo(json.dumps(to_json(findings.all)))
    else:
        Console().print(findings_table(findings.all))
    if findings.anything_wrong:
        raise FindingsReported


def _look(given: Given, findings: Findings) -> None:
    signer = findings.tried(
        "key",
        lambda: accounts.open_signer(given.keystore, given.password_file, given.deployed.chain_id),
        lambda signer: Found("key", Verdict.GOOD, f"opens account {address_of(signer)}"),
        "see --keystore and --password-file",
    )
    _endpoints(given, findings)
    ledger = findings.tried(
        "contract",
        lambda: wiring.connect(
            given.rpc_urls, given.deployed, signer, given.task, manners=given.manners
        ),
        lambda ledger: chain.contract(given.task, ledger.contract, ledger.task_state(given.task)),
        "see --rpc-url, --deployment and --task",
    )
    if given.relay is not None:
        _relay(given, given.relay, ledger, findings)
    blobs = findings.tried(
        "store",
        lambda: open_store(given.store, must_exist=True),
        lambda blobs: Found("store", Verdict.GOOD, f"{blobs} is there"),
        _STORE_ADVICE,
    )
    speed = None if blobs is None else _speed(blobs, findings)
    if ledger is not None and signer is not None:
        _balance(given, ledger, signer, findings)
    if ledger is None or blobs is None:
        findings.unknown("manifest", "contract and store")
        manifest = None
    else:
        manifest = findings.tried(
            "manifest",
            lambda: load_manifest(ledger, blobs, given.task),
            lambda manifest: Found(
                "manifest", Verdict.GOOD, f"{shown(manifest.name)}, as on chain"
            ),
            "see --store and --task",
        )
    size = 0
    if ledger is not None and blobs is not None and manifest is not None:
        size = _task(given, Joined(ledger, blobs, manifest, signer), speed, findings)
    _machine(given, ledger, signer, size, findings)


def _endpoints(given: Given, findings: Findings) -> None:
    chain_id, now = given.deployed.chain_id, time.time()
    looked = [_probed(url) for url in given.rpc_urls]
    ours = [one for one in looked if isinstance(one, Probe) and one.chain_id == chain_id]
    newest = max((one.block for one in ours), default=0)
    suffice = len(ours) >= (2 if given.manners.confirm else 1)
    for one in looked:
        if isinstance(one, Probe):
            findings.add(chain.endpoint(one, chain_id, newest, now))
        else:
            findings.add(chain.silent(one, suffice))
    if ours:
        findings.add(chain.clock(max(one.block_time for one in ours), chain_id, now))
    else:
        findings.unknown("clock", "an endpoint")


def _probed(url: str) -> Probe | LedgerError:
    try:
        return probe(url)
    except LedgerError as error:
        return error


def _relay(given: Given, url: str, ledger: Web3Ledger | None, findings: Findings) -> None:
    def asked() -> tuple[Relay, Health]:
        found = Relay(url)
        return found, found.health()

    answer = findings.tried(
        "relay",
        asked,
        lambda found: relaying.relay(
            str(found[0]),
            found[1],
            given.deployed.chain_id,
            given.deployed.address,
            given.task,
        ),
        "see --relay; a relay that is down, or another address",
    )
    if answer is None or ledger is None or findings.all[-1].verdict is Verdict.WRONG:
        return
    health, state = answer[1], ledger.task_state(given.task)
    findings.tried(
        "payer",
        lambda: funds_of(given.rpc_urls, health.account),
        lambda funds: relaying.payer(health, funds, state.member_count, chain.rounds_left(state)),
        "see --rpc-url",
    )


def _balance(given: Given, ledger: Web3Ledger, signer: Signer, findings: Findings) -> None:
    account, state = address_of(signer), ledger.task_state(given.task)
    findings.tried(
        "balance",
        lambda: funds_of(given.rpc_urls, account),
        lambda funds: chain.balance(
            account,
            funds,
            chain.rounds_left(state),
            wiring.wei_of(given.manners.max_gas_price),
            relayed=given.relay is not None,
        ),
        "see --rpc-url",
    )


def _speed(blobs: Store, findings: Findings) -> Speed | None:
    return findings.tried(
        "speed",
        lambda: blobs.measure(MEASURED_BYTES, time.monotonic() + MEASURE_SECONDS),
        storage.speed,
        _STORE_ADVICE,
    )


@dataclass(frozen=True, slots=True)
class Joined:
    """A task that was found, with all that a member needs of it."""

    ledger: Web3Ledger
    blobs: Store
    manifest: Manifest
    signer: Signer | None


def _task(given: Given, joined: Joined, speed: Speed | None, findings: Findings) -> int:
    """What depends on the task. Returns the bytes of its model; 0 if that cannot be read."""
    manifest, learner = joined.manifest, joined.manifest.learner
    if joined.signer is not None:
        findings.add(chain.member(address_of(joined.signer), manifest.addresses))
    findings.tried(
        "policy",
        lambda: given.policy.verify_manifest(digest_of(manifest.to_bytes())),
        lambda _: Found("policy", Verdict.GOOD, "allows this manifest"),
        "see --policy",
    )
    if isinstance(learner, CodeLearner):
        findings.tried(
            "code",
            lambda: own_code(Draft(manifest), learner, joined.blobs, given.policy.allowed_code),
            lambda own: machine.code(learner.code, own.versions),
            f"read it with ganchor code show {learner.code}, then see --allow-code",
        )
    state = joined.ledger.task_state(given.task)
    parent = findings.tried(
        "model",
        lambda: load_model(joined.blobs, state.parent_digest, manifest.limits.model_bytes),
        lambda model: storage.model(size_of(schema_of(model.arrays))),
        "the store lacks what the chain names: ask the other members",
    )
    if parent is None or speed is None:
        findings.unknown("uplink", "the task's model, and a store that was measured")
        return 0
    update = largest_of(manifest, parent, manifest.addresses[0])
    size = size_of(schema_of(parent.arrays))
    findings.add(storage.uplink(update, speed, state.terms))
    findings.add(storage.downlink(update, size, state.member_count, speed, state.terms))
    return size


def _machine(
    given: Given,
    ledger: Web3Ledger | None,
    signer: Signer | None,
    size: int,
    findings: Findings,
) -> None:
    findings.tried("device", lambda: machine.device(given.device), _as_it_is, "see --device")
    membership = None
    if ledger is not None and signer is not None:
        membership = Membership(ledger.chain_id, ledger.contract, given.task, address_of(signer))
    findings.tried(
        "state",
        lambda: machine.state(given.state, membership, size),
        _as_it_is,
        "see --state; if a node is running on it, all is well",
    )


def _as_it_is(found: Found) -> Found:
    return found
