"""Options that several commands have, each defined once."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

RpcUrl = Annotated[
    list[str],
    typer.Option(
        "--rpc-url",
        envvar="ETH_RPC_URL",
        help="JSON-RPC endpoint of the chain. Repeat for several, which stand in for each other; the variable takes "
        "them with spaces between.",
    ),
]
DEVNET_PORT = 8545
DEVNET_CHAIN_ID = 31337
DEFAULT_RPC_URL = [f"http://127.0.0.1:{DEVNET_PORT}"]

Confirm = Annotated[
    bool,
    typer.Option(
        "--confirm",
        help="Believe a task's state only if two of the endpoints agree on it; needs --rpc-url twice at least.",
    ),
]
Settled = Annotated[
    str | None,
    typer.Option(
        "--settled",
        help="Which blocks count: those so many blocks deep, finalized ones, or latest for all. A node reveals and "
        "attests when such a block shows the phase; other commands wait until one has their transaction. Default: 2, "
        "and latest on the dev chains 1337 and 31337.",
    ),
]
MaxGasPrice = Annotated[
    float,
    typer.Option(
        "--max-gas-price",
        min=0,
        help="The most gwei to pay for a unit of gas, also where a transaction must be replaced by one that pays more.",
    ),
]
DEFAULT_MAX_GAS_PRICE = 10_000.0
DEFAULT_RECEIPT_TIMEOUT = 120.0
ReceiptTimeout = Annotated[
    float,
    typer.Option(
        "--receipt-timeout",
        min=1,
        help="Seconds to wait for a block that has the transaction; then a node looks at the task again, and other "
        "commands give up.",
    ),
]

RelayUrl = Annotated[
    str | None,
    typer.Option(
        "--relay",
        metavar="URL",
        envvar="GANCHOR_RELAY",
        help="A relay that sends this member's signed acts and pays for them; the member needs no ether.",
    ),
]

DeploymentFile = Annotated[
    Path,
    typer.Option("--deployment", help="The deployment.json that `ganchor deploy` wrote."),
]
DEFAULT_DEPLOYMENT = Path("deployment.json")

Witness = Annotated[
    list[str] | None,
    typer.Option(
        "--witness",
        help="The key of a witness that you trust, NAME+ID+KEY; what it has signed is checked. Repeat for several, of "
        "which one is enough.",
    ),
]
Cosigned = Annotated[
    list[Path] | None,
    typer.Option("--cosigned", help="A file of `ganchor witness`. Repeat for several."),
]

Task = Annotated[int, typer.Option("--task", min=1, help="The task's number.")]

STORE_VARIABLE = "GANCHOR_STORE"
StoreUrl = Annotated[
    str,
    typer.Option(
        "--store",
        envvar=STORE_VARIABLE,
        help="The store of blobs: a folder, or a URL such as s3://bucket/prefix.",
    ),
]
DEFAULT_STORE = "store"

WorkspaceFolder = Annotated[
    Path | None,
    typer.Option(
        "--workspace",
        help="A folder of `ganchor demo`: uses its chain, deployment and store. No chain needs to run.",
    ),
]

Rounds = Annotated[
    str,
    typer.Option("--rounds", help="final, all, or rounds such as 1,5,10; 0 is the genesis model."),
]
ModelsManifest = Annotated[
    Path | None,
    typer.Option(
        "--manifest", help="With --model: the models' manifest, in TOML. No chain is used."
    ),
]
ModelFiles = Annotated[
    list[Path] | None,
    typer.Option(
        "--model", help="With --manifest: a model's file from a store; repeat for several."
    ),
]

StateFolder = Annotated[
    Path,
    typer.Option("--state", help="This node's own folder; holds what must survive a crash."),
]
PolicyFile = Annotated[
    Path | None,
    typer.Option(
        "--policy",
        help="This node's own policy, in TOML, which no task can widen: allow_code, allow_manifests, most_examples, "
        "most_bytes, clip_norm.",
    ),
]

Keystore = Annotated[
    Path | None,
    typer.Option("--keystore", help="Encrypted JSON keystore of the signing account."),
]
PasswordFile = Annotated[
    Path | None,
    typer.Option(
        "--password-file",
        help="File with the keystore's password. Without it: GANCHOR_PASSWORD, or a prompt.",
    ),
]


class LogFormat(StrEnum):
    """How a command that runs on and on says what it does."""

    text = "text"
    json = "json"


Log = Annotated[
    LogFormat,
    typer.Option("--log-format", help="text for people, or json: an object a line for machines."),
]

Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]

Device = Annotated[
    str | None,
    typer.Option("--device", help="cuda, cuda:1, mps or cpu. Default: the fastest of them."),
]
RepeatableDevice = Annotated[
    str,
    typer.Option(
        "--device",
        help="cpu, cuda, cuda:1 or mps. Only on a CPU does training repeat, byte by byte.",
    ),
]
Threads = Annotated[
    int,
    typer.Option(
        "--threads",
        min=1,
        help="CPU threads for training. Another number can give other bytes.",
    ),
]

Data = Annotated[
    str,
    typer.Option(
        "--data",
        help="digits, cifar10, mnist, fashion-mnist, or folder:PATH with your own pictures.",
    ),
]
TaskData = Annotated[
    str | None,
    typer.Option(
        "--data",
        help="digits (the default), cifar10, mnist, fashion-mnist, or folder:PATH with your own pictures. For a task's "
        "own code: the text that its data() gets.",
    ),
]
AllowedCode = Annotated[
    list[str] | None,
    typer.Option(
        "--allow-code",
        metavar="SHA256",
        help="Code of the task's that may run here; read it first with `ganchor code show`. Repeat for several.",
    ),
]
NodeConfig = Annotated[
    str | None,
    typer.Option(
        "--node-config",
        help='What a Flower app finds in context.node_config, such as "partition-id=0 num-partitions=3". With '
        "--partition, these two follow from it.",
    ),
]
TrainingTimeout = Annotated[
    float,
    typer.Option(
        "--training-timeout",
        min=1,
        help="Seconds that a task's own code may take for one answer; then its process is ended.",
    ),
]
Partition = Annotated[
    str | None,
    typer.Option(
        "--partition",
        help="For experiments: partition --data among the members as iid, dirichlet:ALPHA, dirichlet:ALPHA:MIN "
        "or classes:K. With dirichlet every part has at least MIN pictures, 10 unless given. "
        "Default: a member trains on all of --data.",
    ),
]
Part = Annotated[
    str | None,
    typer.Option(
        "--part",
        help="This member's part of the partition, such as 1/3. Default: its position in the manifest.",
    ),
]
