"""`ganchor node`: join a task and take part until it is finished."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, TypeVar

import typer

from chain.deploy import read_deployment
from chain.ledger import Ledger
from chain.relay.client import Relay
from chain.relay.ledger import SHARE, RelayedLedger
from fl_node.blobs.digest import digest_of
from fl_node.blobs.store import open_store
from fl_node.cli import accounts, options, wiring
from fl_node.cli.exits import Stopped
from fl_node.cli.node.awaiting import noticing
from fl_node.cli.node.display import Serving, Show, Started, Stopping, Training, to_all
from fl_node.cli.node.learners import Share, open_learner
from fl_node.cli.node.machines import MachineDisplay
from fl_node.cli.node.people import PeopleDisplay
from fl_node.cli.node.uplink import EarlyUpload, measured, uploading
from fl_node.cli.own_code import own_app, policy_of, told
from fl_node.cli.parts import own_part
from fl_node.cli.service.serving import serving
from fl_node.cli.service.stopping import stoppable
from fl_node.cli.service.watch import Watch
from fl_node.cli.tracking.opening import tracking_to
from fl_node.errors import Misuse
from fl_node.manifest.code_learners import CodeLearner
from fl_node.member.joining import load_manifest
from fl_node.member.own_code import TRAINING_SECONDS
from fl_node.member.participant import Participant
from fl_node.member.state import Membership, NodeState
from fl_node.member.taking_part import take_part
from fl_node.member.waiting import patiently

T = TypeVar("T")

Poll = Annotated[
    float, typer.Option("--poll", min=0.01, help="Seconds between looks at the chain.")
]
Patience = Annotated[
    float,
    typer.Option(
        "--patience",
        min=0,
        help="Seconds to wait for an unreachable chain or store, at the start as well as later.",
    ),
]

FlowerApp = Annotated[
    str | None,
    typer.Option(
        "--flower",
        help="Your own copy of the Flower app that the task runs, which you thereby allow: its folder or wheel, or "
        "module:app of an installed one.",
    ),
]
MetricsPort = Annotated[
    int | None,
    typer.Option(
        "--metrics-port",
        min=0,
        max=65535,
        help="Serve /metrics for Prometheus and /healthz at this port of 127.0.0.1; 0 picks a free one.",
    ),
]
LogTo = Annotated[
    str | None,
    typer.Option(
        "--log-to",
        metavar="PLACE",
        help="Send each round's losses, metrics, gas, bytes, seconds and samples to a folder for TensorBoard, to "
        "wandb:PROJECT, or to mlflow:URI or the URL of an MLflow server. Needs ganchor[tensorboard], wandb or mlflow.",
    ),
]
RelayShare = Annotated[
    float,
    typer.Option(
        "--relay-share",
        min=0,
        max=1,
        help="The share of the time left in a phase after which an act goes to the contract without the relay.",
    ),
]
DryRunOnly = Annotated[
    bool,
    typer.Option(
        "--dry-run",
        help="Train for one round and show what would leave: its norm, size, examples, losses and metrics. Send and "
        "keep nothing.",
    ),
]


def node(
    task: options.Task = 1,
    data: options.TaskData = None,
    node_config: options.NodeConfig = None,
    partition: options.Partition = None,
    part: options.Part = None,
    allow_code: options.AllowedCode = None,
    flower: FlowerApp = None,
    policy_file: options.PolicyFile = None,
    dry_run: DryRunOnly = False,
    state: options.StateFolder = Path("node-state"),
    store: options.StoreUrl = options.DEFAULT_STORE,
    keystore: options.Keystore = None,
    password_file: options.PasswordFile = None,
    rpc_url: options.RpcUrl = options.DEFAULT_RPC_URL,
    confirm: options.Confirm = False,
    settled: options.Settled = None,
    max_gas_price: options.MaxGasPrice = options.DEFAULT_MAX_GAS_PRICE,
    receipt_timeout: options.ReceiptTimeout = options.DEFAULT_RECEIPT_TIMEOUT,
    deployment: options.DeploymentFile = options.DEFAULT_DEPLOYMENT,
    device: options.Device = None,
    threads: options.Threads = 1,
    training_timeout: options.TrainingTimeout = TRAINING_SECONDS,
    early_upload: EarlyUpload = True,
    relay: options.RelayUrl = None,
    relay_share: RelayShare = SHARE,
    poll: Poll = 1.0,
    patience: Patience = 600.0,
    log_format: options.Log = options.LogFormat.text,
    metrics_port: MetricsPort = None,
    log_to: LogTo = None,
) -> None:
    """Join a task and take part until it is finished. You can stop a node at any time; started again, it continues."""
    policy = policy_of(policy_file, allow_code)
    deployed = read_deployment(deployment)
    manners = wiring.Manners(confirm, settled, max_gas_price, receipt_timeout)
    signer = accounts.open_signer(keystore, password_file, deployed.chain_id)
    blobs = open_store(store, must_exist=True)
    with ExitStack() as stack:
        watch = Watch()
        watch.store = blobs
        show = to_all(_shown(stack, log_format), watch.show)
        stack.enter_context(stoppable())
        stack.enter_context(_stopping(show))

        def waiting(act: Callable[[], T]) -> T:
            return patiently(act, show, patience, poll)

        if metrics_port is not None:
            show(Serving(stack.enter_context(serving(watch, metrics_port))))
        ledger: Ledger = waiting(
            lambda: wiring.connect(rpc_url, deployed, signer, task, patience, manners)
        )
        if relay is not None:
            ledger = RelayedLedger(ledger, Relay(relay), signer, relay_share)
        manifest = waiting(lambda: load_manifest(ledger, blobs, task))
        policy.verify_manifest(digest_of(manifest.to_bytes()))
        if ledger.account not in manifest.addresses:
            raise Misuse(f"{ledger.account} is not a member of task {task}")
        if isinstance(manifest.learner, CodeLearner):
            watch.silence = max(watch.silence, training_timeout)
        share = Share(
            told(manifest.learner, data, node_config),
            own_part(partition, part, ledger.account, manifest.addresses),
            device,
            threads,
        )
        if flower is not None:
            policy = replace(policy, allowed_code=policy.allowed_code | {own_app(manifest, flower)})
        membership = Membership(ledger.chain_id, ledger.contract, task, ledger.account)
        place = _kept_nowhere(stack, state) if dry_run else state
        folder = stack.enter_context(NodeState(place, membership))
        told_too: list[Show] = []
        if log_to is not None and not dry_run:
            tracking = tracking_to(log_to, membership, manifest, folder, blobs, watch, show)
            told_too.append(stack.enter_context(tracking).show)
        show(Started(ledger.account, task, share.data))
        recorded = waiting(lambda: ledger.task_state(task)).genesis_digest
        learner, sleep = open_learner(
            stack, manifest, blobs, recorded, share, policy, training_timeout, waiting
        )
        uploads = stack.enter_context(uploading(blobs))
        participant = Participant(
            ledger,
            blobs,
            learner,
            task,
            manifest,
            folder,
            progress=lambda *step: show(Training(*step)),
            policy=policy,
            uploads=uploads,
            early=early_upload,
        )
        if dry_run:
            show(waiting(participant.dry_run))
            return
        if slow := waiting(lambda: participant.measure_uplink(partial(measured, blobs))):
            show(slow)
        notice = noticing(to_all(show, *told_too), manifest.addresses, ledger.account, folder)
        take_part(participant, notice, poll, patience, sleep=watch.sleeping(sleep))


def _shown(stack: ExitStack, log_format: options.LogFormat) -> Show:
    if log_format is options.LogFormat.json:
        return MachineDisplay().show
    return stack.enter_context(PeopleDisplay()).show


@contextmanager
def _stopping(show: Show) -> Iterator[None]:
    """Say that the node was told to stop, once all that was entered inside has ended."""
    try:
        yield
    except (KeyboardInterrupt, Stopped):
        show(Stopping())
        raise


def _kept_nowhere(stack: ExitStack, state: Path) -> Path:
    """The state folder of a dry run: what the node has kept, if it has been running, or a folder that goes away."""
    if state.exists():
        return state
    return Path(stack.enter_context(TemporaryDirectory(prefix="ganchor-")))
