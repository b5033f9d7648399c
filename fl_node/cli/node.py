"""`ganchor node`: join a task and take part until it is finished."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from math import isfinite
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from chain.deploy import read_deployment
from chain.text import shown
from chain.types import Receipt
from fl_node.blobs.digest import digest_of
from fl_node.blobs.metrics import metrics_to_json
from fl_node.blobs.store import Store, open_store
from fl_node.child.learner import ChildLearner
from fl_node.cli import accounts, options, wiring
from fl_node.cli.awaiting import Awaited, noticing
from fl_node.cli.own_code import allowed_code, own_app, told
from fl_node.cli.parts import Part, own_part
from fl_node.cli.subjects import MILLION
from fl_node.cli.tables import print_head
from fl_node.cli.words import short
from fl_node.errors import Misuse
from fl_node.learner import Learner
from fl_node.manifest.code_learners import CodeLearner
from fl_node.manifest.manifest import Manifest
from fl_node.manifest.packing import Draft
from fl_node.member.joining import load_manifest, verify_genesis
from fl_node.member.next_action import Action
from fl_node.member.own_code import TRAINING_SECONDS, own_code
from fl_node.member.participant import Participant, Step, take_part
from fl_node.member.state import Membership, NodeState
from fl_node.member.waiting import patiently
from fl_node.round.dry_run import DryRun
from fl_node.round.policy import OPEN, Policy, read_policy

T = TypeVar("T")

StateFolder = Annotated[
    Path,
    typer.Option("--state", help="This node's own folder; holds what must survive a crash."),
]
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
PolicyFile = Annotated[
    Path | None,
    typer.Option(
        "--policy",
        help="This node's own policy, in TOML, which no task can widen: allow_code, allow_manifests, most_examples, "
        "most_bytes, clip_norm.",
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
    policy_file: PolicyFile = None,
    dry_run: DryRunOnly = False,
    state: StateFolder = Path("node-state"),
    store: options.StoreUrl = options.DEFAULT_STORE,
    keystore: options.Keystore = None,
    password_file: options.PasswordFile = None,
    rpc_url: options.RpcUrl = options.DEFAULT_RPC_URL,
    deployment: options.DeploymentFile = options.DEFAULT_DEPLOYMENT,
    device: options.Device = None,
    threads: options.Threads = 1,
    training_timeout: options.TrainingTimeout = TRAINING_SECONDS,
    poll: Poll = 1.0,
    patience: Patience = 600.0,
    as_json: options.Json = False,
) -> None:
    """Join a task and take part until it is finished. You can stop a node at any time; started again, it continues."""
    policy = policy_of(policy_file, allow_code)
    deployed = read_deployment(deployment)
    signer = accounts.open_signer(keystore, password_file, deployed.chain_id)
    blobs = open_store(store, must_exist=True)
    with JsonDisplay() if as_json else PeopleDisplay() as display, ExitStack() as stack:

        def waiting(act: Callable[[], T]) -> T:
            return patiently(act, display.notice, patience, poll)

        ledger = waiting(lambda: wiring.connect(rpc_url, deployed, signer, task))
        manifest = waiting(lambda: load_manifest(ledger, blobs, task))
        policy.verify_manifest(digest_of(manifest.to_bytes()))
        if ledger.account not in manifest.addresses:
            raise Misuse(f"{ledger.account} is not a member of task {task}")
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
        display.started(ledger.account, task, share.data)
        recorded = ledger.task_state(task).genesis_digest
        if isinstance(manifest.learner, CodeLearner):
            learner: Learner = stack.enter_context(
                _child(manifest, manifest.learner, blobs, recorded, share, policy, training_timeout)
            )
            sleep: Callable[[float], None] = time.sleep
        else:
            learner = waiting(lambda: _learner(manifest, blobs, recorded, share))
            sleep = _idling(device)
        participant = Participant(
            ledger,
            blobs,
            learner,
            task,
            manifest,
            folder,
            progress=display.progress,
            policy=policy,
        )
        if dry_run:
            display.tried(waiting(participant.dry_run))
            return
        notice = noticing(display, manifest.addresses, ledger.account, folder)
        take_part(participant, notice, poll, patience, sleep=sleep)


@dataclass(frozen=True, slots=True)
class Share:
    """What a member trains on, and where: its data, its part of it, and the options of the other names."""

    data: str
    part: Part
    device: str | None
    threads: int


def policy_of(file: Path | None, allow_code: Sequence[str] | None) -> Policy:
    """The node's policy: that of a file, with the code that `--allow-code` names.

    Raises:
        Misuse: The file is wrong, or a digest is none.
    """
    policy = read_policy(file) if file else OPEN
    return replace(policy, allowed_code=policy.allowed_code | allowed_code(allow_code))


def _kept_nowhere(stack: ExitStack, state: Path) -> Path:
    """The state folder of a dry run: what the node has kept, if it has been running, or a folder that goes away."""
    if state.exists():
        return state
    return Path(stack.enter_context(TemporaryDirectory(prefix="ganchor-")))


def _child(
    manifest: Manifest,
    learner: CodeLearner,
    store: Store,
    recorded: bytes,
    share: Share,
    policy: Policy,
    timeout: float,
) -> ChildLearner:
    """Check consent, and the task's genesis against its first model; the learner's process starts after that."""
    own = own_code(Draft(manifest), learner, store, policy.allowed_code)
    verify_genesis(own.genesis, recorded)
    return own.on(
        share.data,
        **asdict(share.part),
        device=share.device,
        threads=share.threads,
        timeout=timeout,
    )


def _learner(manifest: Manifest, store: Store, recorded: bytes, share: Share) -> Learner:
    """Check the task's genesis against the manifest's seed, then make the member's learner on its own pictures."""
    from fl_node.learning import task  # Imports torch, which nothing before this needs.

    verify_genesis(task.derive_genesis(manifest), recorded)
    whole, part = task.load_data(manifest, share.data), share.part
    images = task.part_of(manifest, whole, part.rule, part.index, part.count)
    return task.make_learner(manifest, images, share.device, share.threads, store)


def _idling(device: str | None) -> Callable[[float], None]:
    # Imports torch, which the learner has imported by now.
    from fl_node.learning.device import idling

    return idling(device)


_DONE = {
    Action.COMMIT: "committed",
    Action.SKIP: "declined",
    Action.REVEAL: "revealed",
    Action.ATTEST: "attested",
    Action.ADVANCE: "ended an overdue phase",
    Action.REJOIN: "rejoined",
    Action.FINISHED: "finished",
}


def _facts(run: DryRun) -> dict[str, Any]:
    """What a dry run found, by name, as texts and numbers."""
    facts: dict[str, Any] = {
        "examples": run.num_examples,
        "training_loss": run.training_loss / MILLION,
        "held_out_loss": run.held_out_loss / MILLION,
        "bytes": run.blob_bytes,
        "norm": run.norm,
        "steps": run.steps,
    }
    for stated in (metrics_to_json(run.metrics or {}), run.versions or {}):
        facts |= {shown(name): value and shown(value) for name, value in stated.items()}
    return facts


class PeopleDisplay:
    """Prints a line for each action, and a bar while training."""

    def __init__(self) -> None:
        self._console = Console()
        self._bar = Progress(
            TextColumn("training"),
            BarColumn(),
            TextColumn("{task.completed}/{task.total} steps {task.fields[losses]}"),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        self._training = self._bar.add_task("training", total=None, visible=False, losses="")
        self._last_error = ""

    def __enter__(self) -> PeopleDisplay:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def started(self, account: str, task: int, data: str) -> None:
        self._console.print(f"member {account} of task {task}")
        self._console.print(f"loading {shown(data) or 'its data'}", markup=False)

    def tried(self, run: DryRun) -> None:
        for name, value in _facts(run).items():
            self._console.print(
                f"{name.replace('_', ' '):14} {value}", markup=False, soft_wrap=True
            )
        for objection in run.objections:
            self._console.print(shown(objection), markup=False, soft_wrap=True, style="red")
        self._console.print("this was a dry run: nothing was sent, nothing was kept")

    def awaiting(self, awaited: Awaited) -> None:
        self._console.print(str(awaited), soft_wrap=True, highlight=False, style="dim")

    def progress(self, step: int, steps: int, losses: dict[str, float]) -> None:
        text = " ".join(f"{name} {value:.3f}" for name, value in losses.items())
        self._bar.update(
            self._training, completed=step, total=steps, losses=text, visible=step < steps
        )

    def notice(self, outcome: Step | Exception) -> None:
        if isinstance(outcome, Exception):
            error = shown(outcome)
            if error != self._last_error:
                self._console.print(f"waiting: {error}", style="yellow", markup=False)
            self._last_error = error
            return
        self._last_error = ""
        if outcome.action is Action.FINISHED:
            self._console.print(
                f"[green]task finished[/]: final model {outcome.state.parent_digest.hex()}",
                soft_wrap=True,
            )
            print_head(self._console, outcome.state.history_head.hex())
        elif outcome.receipt is not None:
            self._console.print(
                f"round {outcome.state.round}: {_DONE[outcome.action]}{_because(outcome)} "
                f"(block {outcome.receipt.block_number}, {outcome.receipt.gas_used:,} gas) "
                f"{_transaction(outcome.receipt)}"
            )


def _because(step: Step) -> str:
    return f", {escape(shown(step.reason))}" if step.reason else ""


def _transaction(receipt: Receipt) -> str:
    return short("0x" + receipt.transaction.hex()) if receipt.transaction else ""


class JsonDisplay:
    """Prints the same as JSON lines."""

    def __enter__(self) -> JsonDisplay:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def started(self, account: str, task: int, data: str) -> None:
        self._print(event="started", account=account, task=task, data=data)

    def tried(self, run: DryRun) -> None:
        self._print(
            event="dry run", **_facts(run), objections=[shown(line) for line in run.objections]
        )

    def awaiting(self, awaited: Awaited) -> None:
        self._print(
            event="awaiting",
            round=awaited.round,
            attempt=awaited.attempt,
            phase=awaited.phase.name.lower(),
            missing=awaited.missing,
            deadline=awaited.deadline,
            elsewhere=awaited.elsewhere,
        )

    def progress(self, step: int, steps: int, losses: dict[str, float]) -> None:
        finite = {name: value if isfinite(value) else None for name, value in losses.items()}
        self._print(event="training", step=step, steps=steps, losses=finite)

    def notice(self, outcome: Step | Exception) -> None:
        if isinstance(outcome, Exception):
            self._print(event="waiting", reason=shown(outcome))
        elif outcome.action is Action.FINISHED:
            self._print(
                event="finished",
                final_digest=outcome.state.parent_digest.hex(),
                history_head=outcome.state.history_head.hex(),
            )
        elif outcome.receipt is not None:
            self._print(
                event=outcome.action.name.lower(),
                round=outcome.state.round,
                attempt=outcome.state.attempt,
                block=outcome.receipt.block_number,
                gas=outcome.receipt.gas_used,
                **({"reason": shown(outcome.reason)} if outcome.reason else {}),
            )

    def _print(self, **values: Any) -> None:
        sys.stdout.write(json.dumps(values, allow_nan=False) + "\n")
        sys.stdout.flush()
