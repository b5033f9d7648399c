"""`ganchor node`: join a task and take part until it is finished."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from math import isfinite
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from chain.deploy import read_deployment
from chain.ledger import Ledger
from chain.text import shown
from chain.types import Receipt
from fl_node.blobs.store import Store, open_store
from fl_node.cli import accounts, options, wiring
from fl_node.cli.awaiting import Awaited, noticing
from fl_node.cli.parts import Part, own_part
from fl_node.cli.tables import print_head
from fl_node.cli.words import short
from fl_node.errors import Misuse
from fl_node.learner import Learner
from fl_node.manifest.manifest import Manifest
from fl_node.member.joining import load_manifest, verify_genesis
from fl_node.member.next_action import Action
from fl_node.member.participant import Participant, Step, take_part
from fl_node.member.state import Membership, NodeState
from fl_node.member.waiting import patiently

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


def node(
    task: options.Task = 1,
    data: options.Data = "digits",
    partition: options.Partition = None,
    part: options.Part = None,
    state: StateFolder = Path("node-state"),
    store: options.StoreUrl = options.DEFAULT_STORE,
    keystore: options.Keystore = None,
    password_file: options.PasswordFile = None,
    rpc_url: options.RpcUrl = options.DEFAULT_RPC_URL,
    deployment: options.DeploymentFile = options.DEFAULT_DEPLOYMENT,
    device: options.Device = None,
    threads: options.Threads = 1,
    poll: Poll = 1.0,
    patience: Patience = 600.0,
    as_json: options.Json = False,
) -> None:
    """Join a task and take part until it is finished. You can stop a node at any time; started again, it continues."""
    deployed = read_deployment(deployment)
    signer = accounts.open_signer(keystore, password_file, deployed.chain_id)
    blobs = open_store(store, must_exist=True)
    with JsonDisplay() if as_json else PeopleDisplay() as display:

        def waiting(act: Callable[[], T]) -> T:
            return patiently(act, display.notice, patience, poll)

        ledger = waiting(lambda: wiring.connect(rpc_url, deployed, signer, task))
        manifest = waiting(lambda: load_manifest(ledger, blobs, task))
        if ledger.account not in manifest.addresses:
            raise Misuse(f"{ledger.account} is not a member of task {task}")
        own = own_part(partition, part, ledger.account, manifest.addresses)
        membership = Membership(ledger.chain_id, ledger.contract, task, ledger.account)
        with NodeState(state, membership) as folder:
            display.started(ledger.account, task, data)
            learner = waiting(
                lambda: _learner(ledger, blobs, task, manifest, own, data, device, threads)
            )
            participant = Participant(
                ledger, blobs, learner, task, manifest, folder, progress=display.progress
            )
            notice = noticing(display, manifest.addresses, ledger.account, folder)
            take_part(participant, notice, poll, patience, sleep=_idling(device))


def _learner(
    ledger: Ledger,
    store: Store,
    task: int,
    manifest: Manifest,
    own: Part,
    data: str,
    device: str | None,
    threads: int,
) -> Learner:
    """Check the task's genesis against the manifest's seed, then make the member's learner on its own pictures."""
    from fl_node.learning import task as learning  # Imports torch, which nothing before this needs.

    recorded = ledger.task_state(task).genesis_digest
    verify_genesis(learning.derive_genesis(manifest), recorded)
    whole = learning.load_data(manifest, data)
    images = learning.part_of(manifest, whole, own.rule, own.index, own.count)
    return learning.make_learner(manifest, images, device, threads, store)


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
        self._console.print(f"loading {shown(data)}", markup=False)

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
