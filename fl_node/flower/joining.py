"""The two lines that an app's author adds: `mods=[anchor_mod]` in the ClientApp, `anchored(FedAvg())` in the ServerApp.

Who the member is stands in a TOML file on the machine of the SuperNode, and not in the app. Its path is the value of
`ganchor` in `--node-config`, or of the environment variable GANCHOR_FLOWER:

    rpc = "https://chain.example:8545"
    deployment = "deployment.json"
    store = "s3://bucket/prefix"
    task = 1
    keystore = "hospital.json"
    password_file = "password.txt"
    state = "state"
    verify = true

Paths are relative to the file. The server's file needs the first four lines only: it reads the chain and signs nothing.
With `state`, it keeps the task's log there from run to run. `rpc` may be a list of endpoints of the same chain, which
stand in for each other. In GANCHOR_FLOWER, `{partition-id}` stands for the node's value of this name, as a simulation
gives it to each node, and for `server` in the ServerApp.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Final

from flwr.app import Context
from flwr.serverapp import Grid
from flwr.serverapp.strategy import Strategy
from pydantic import Field, ValidationError

from chain.accounts import Signer, open_keystore
from chain.deploy import read_deployment
from chain.errors import FileUnusable
from chain.files import read_text
from chain.text import shown
from chain.web3_ledger import Web3Ledger
from fl_node.blobs.store import Store, open_store
from fl_node.errors import Misuse
from fl_node.fields import Section
from fl_node.flower.edge import GridLearner
from fl_node.flower.mod import Seat, anchoring
from fl_node.flower.passing import flower_learner
from fl_node.flower.strategy import LOG, Anchored
from fl_node.manifest.bounds import MAX_TOML_BYTES, parse_toml
from fl_node.manifest.manifest import Manifest
from fl_node.member.joining import load_manifest
from fl_node.member.participant import Participant, Step
from fl_node.member.state import Membership, NodeState
from fl_node.member.taking_part import take_part

VARIABLE: Final = "GANCHOR_FLOWER"
NODE_CONFIG: Final = "ganchor"
MAX_PASSWORD_BYTES = 4096


class Settings(Section):
    """What a SuperNode's file says, or the server's. The module's docstring shows one."""

    rpc: str | Annotated[tuple[str, ...], Field(min_length=1)] = "http://127.0.0.1:8545"
    """JSON-RPC endpoint of the chain, or several that stand in for each other."""
    deployment: Path = Path("deployment.json")
    """What `ganchor deploy` wrote."""
    store: str
    """A folder, or a URL such as s3://bucket/prefix."""
    task: Annotated[int, Field(ge=1)] = 1
    keystore: Path | None = None
    password_file: Path | None = None
    """The member's key, and the file with its password."""
    state: Path | None = None
    """A folder of the member's own: what it has committed to must survive a crash. The server keeps a log there."""
    verify: bool = False
    """Whether to aggregate every round again before attesting to it."""


def read_settings(path: Path) -> Settings:
    """Read a file of settings; relative paths become absolute.

    Raises:
        Misuse: The file cannot be read, is not TOML, or has a wrong field, which the message names.
    """
    try:
        given = Settings.model_validate(parse_toml(read_text(path, MAX_TOML_BYTES)))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(map(str, first["loc"]))
        raise Misuse(f"{path}: {shown(field)}: {shown(first['msg'])}") from None
    except FileUnusable as error:
        raise Misuse(f"settings {error}") from None
    except ValueError as error:
        raise Misuse(f"{path}: {shown(error)}") from None
    home = path.absolute().parent
    names = ("deployment", "keystore", "password_file", "state")
    paths = {name: getattr(given, name) for name in names}
    absolute = {name: home / value for name, value in paths.items() if value is not None}
    store = given.store if "://" in given.store else str(home / given.store)
    return given.model_copy(update={**absolute, "store": store})


def seat_of_node(context: Context) -> Seat:
    """The member that a SuperNode acts for.

    Raises:
        Misuse: There is no file of settings, something in it is missing, or the account is no member.
        LedgerError, StoreUnusable: Chain, keystore or store cannot be opened.
    """
    return _seat(_path_for(context))


def anchored(inner: Strategy, settings: Path | None = None) -> Anchored:
    """Wrap a strategy, so that what it averages is what the members reveal on chain.

    Args:
        inner: Such as `FedAvg()`.
        settings: The server's file; None takes its path from GANCHOR_FLOWER.

    Raises:
        Misuse, LedgerError, StoreUnusable: As `seat_of_node`.
    """
    given = read_settings(_from_variable("server") if settings is None else settings)
    ledger, store, manifest = _task(given, None)
    return Anchored(inner, ledger, store, given.task, manifest, folder=given.state)


def run_edge_node(
    grid: Grid,
    least: int = 1,
    settings: Path | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Take part in a task until it is finished, with the nodes of a Flower federation as the member's devices.

    Args:
        grid: What a ServerApp's main function receives.
        least: So many nodes must answer in a round; with fewer, the member declines it.
        settings: The member's file, with its keystore; None takes its path from GANCHOR_FLOWER.
        sleep: Waits; replaced in tests.

    Raises:
        Misuse, LedgerError, StoreUnusable: As `seat_of_node`, or chain or store did not come back within 10 minutes.
    """
    seat = _seat(_from_variable("server") if settings is None else settings)
    learner = GridLearner(grid, flower_learner(seat.manifest), least)
    ledger = seat.ledger
    membership = Membership(ledger.chain_id, ledger.contract, seat.task, ledger.account)
    with NodeState(seat.folder, membership) as folder:
        participant = Participant(ledger, seat.store, learner, seat.task, seat.manifest, folder)
        take_part(participant, _log, sleep=sleep)


def _log(outcome: Step | Exception) -> None:
    if isinstance(outcome, Exception):
        LOG.warning("waiting: %s", shown(outcome))
    elif outcome.receipt is not None:
        LOG.info("round %d on chain: %s", outcome.state.round, outcome.action.name.lower())


anchor_mod = anchoring(seat_of_node)
"""The mod for `ClientApp(mods=[anchor_mod])`; it belongs first in the list."""


@lru_cache(maxsize=16)
def _seat(path: Path) -> Seat:
    """Opening a keystore takes a second, so a process that answers several messages does it once."""
    given = read_settings(path)
    for name in ("keystore", "password_file", "state"):
        if getattr(given, name) is None:
            raise Misuse(f"{path}: a SuperNode needs {name}")
    assert given.keystore and given.password_file and given.state
    try:
        password = read_text(given.password_file, MAX_PASSWORD_BYTES).rstrip("\n")
    except FileUnusable as error:
        raise Misuse(f"password file {error}") from None
    ledger, store, manifest = _task(given, open_keystore(given.keystore, password))
    if ledger.account not in manifest.addresses:
        raise Misuse(f"{ledger.account} is not a member of task {given.task}")
    return Seat(ledger, store, given.task, manifest, given.state, given.verify)


def _task(given: Settings, signer: Signer | None) -> tuple[Web3Ledger, Store, Manifest]:
    deployed = read_deployment(given.deployment)
    ledger = Web3Ledger(
        given.rpc,
        deployed.address,
        signer,
        chain_id=deployed.chain_id,
        first_block=deployed.block,
    )
    store = open_store(given.store, must_exist=True)
    return ledger, store, load_manifest(ledger, store, given.task)


def _path_for(context: Context) -> Path:
    named = context.node_config.get(NODE_CONFIG)
    if named is not None:
        return Path(str(named))
    return _from_variable(str(context.node_config.get("partition-id", "")))


def _from_variable(own: str) -> Path:
    path = os.environ.get(VARIABLE)
    if path is None:
        raise Misuse(
            f"no settings for the ledger: set {VARIABLE}, or {NODE_CONFIG} in --node-config, "
            "to the path of a TOML file"
        )
    return Path(path.replace("{partition-id}", own))
