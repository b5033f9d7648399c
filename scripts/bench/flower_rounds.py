"""The seconds of a round of one Flower app, under `flwr run` and under `ganchor node --flower`."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from flower_processes import (
    APP,
    CLIENTS,
    ends,
    environment_of,
    flwr_run,
    running,
    superlink,
    supernode,
)

from chain.accounts import Signer, address_of, dev_accounts

PASSWORD = "correct horse battery staple"

GANCHOR = [sys.executable, "-m", "fl_node.cli"]
TASK = """\
name = "resting"
seed = 1
members = [{members}]

[learner]
kind = "flower"
code = "{app}"
genesis = "resting.model:arrays"
losses = {{ training = "train_loss", held_out = "eval_loss" }}

[strategy]
work = {{ epochs = 1 }}

[rounds]
count = {rounds}
cohort_floor = 3
min_updates = 3
"""


def seconds_under_flwr(
    folder: Path, rounds: int, more: Mapping[str, str] | None = None, simulated: bool = True
) -> float:
    """Seconds of a round under `flwr run`, with a SuperLink that is started and ended here.

    Args:
        folder: Empty; everything that Flower writes goes there.
        rounds: At least 2.
        more: Variables of the environment that the app reads.
        simulated: Whether the SuperLink simulates the clients; otherwise each has a SuperNode, a process of its own.
    """
    environment = {**environment_of(folder), **(more or {})}
    words, federation = (), ()
    if simulated:
        words = ("--simulation",)
        # With a ledger members wait for each other, so all must run at once, on however few cores.
        nodes = f"num-supernodes={CLIENTS} init-args-num-cpus={CLIENTS} client-resources-num-cpus=1"
        federation = ("--federation-config", nodes)
    with contextlib.ExitStack() as stack:
        log = stack.enter_context((folder / "log").open("wb"))
        port = stack.enter_context(superlink(folder, log, environment, *words))
        for client in range(0 if simulated else CLIENTS):
            stack.enter_context(running(supernode(client, port), environment, log))
        command = [*flwr_run(rounds), *federation]
        subprocess.run(command, cwd=folder, env=environment, stdout=log, check=True)
    ended = ends(folder)
    return round((ended[rounds] - ended[1]) / (rounds - 1), 3)


def seconds_with_a_ledger(folder: Path, rounds: int) -> float:
    """As `seconds_under_flwr`, with the mod in the app and the wrapped strategy, beside a local chain.

    Args:
        folder: Empty; everything goes there.
        rounds: At least 2.
    """
    signers = dev_accounts(0, CLIENTS)
    with devnet(folder, signers) as rpc_url:
        site = Site(folder, rpc_url)
        site.call(signers[0], "deploy")
        site.open(signers, rounds)
        place = site.settings(signers)
        home = folder / "flower"
        home.mkdir()
        return seconds_under_flwr(home, rounds, {"GANCHOR_FLOWER": place})


def seconds_under_ganchor(folder: Path, rounds: int) -> float:
    """Seconds of a round of three `ganchor node`, which call the app in child processes, beside a local chain.

    Args:
        folder: Empty; chain, store and state go there.
        rounds: At least 2.
    """
    signers = dev_accounts(0, CLIENTS)
    with devnet(folder, signers) as rpc_url:
        site = Site(folder, rpc_url)
        site.call(signers[0], "deploy")
        code = site.open(signers, rounds)
        nodes = [
            [
                *("node", "--log-format", "json", "--poll", "0.05", "--allow-code", code),
                *("--node-config", f"partition-id={index} num-partitions={CLIENTS}"),
                *("--state", str(folder / f"node-{index}")),
            ]
            for index in range(CLIENTS)
        ]
        with ThreadPoolExecutor(CLIENTS) as threads:
            ended = list(threads.map(site.commits, signers, nodes))
    first, last = (max(times[number] for times in ended) for number in (1, rounds))
    return round((last - first) / (rounds - 1), 3)


@contextlib.contextmanager
def devnet(folder: Path, signers: Sequence[Signer]) -> Iterator[str]:
    """A local chain in a process of its own; its URL."""
    funded = [word for signer in signers for word in ("--fund", address_of(signer))]
    words = ["devnet", "--port", "0", "--database", str(folder / "chain.sqlite"), *funded]
    with running([*GANCHOR, *words], dict(os.environ), subprocess.PIPE) as chain:
        assert chain.stdout is not None
        yield json.loads(chain.stdout.readline())["url"]


@dataclass(frozen=True, slots=True)
class Site:
    """Where chain and store are, for the commands that need them."""

    folder: Path
    rpc_url: str

    def environment(self, signer: Signer) -> dict[str, str]:
        """The environment of a command of this account."""
        return {
            **os.environ,
            "ETH_RPC_URL": self.rpc_url,
            "GANCHOR_STORE": str(self.folder / "store"),
            "GANCHOR_PRIVATE_KEY": "0x" + bytes(signer.key).hex(),
        }

    def call(self, signer: Signer, *words: str) -> str:
        """Run a command to its end; what it printed."""
        done = subprocess.run(
            [*GANCHOR, *words],
            cwd=self.folder,
            env=self.environment(signer),
            stdout=subprocess.PIPE,
            check=True,
            text=True,
        )
        return done.stdout

    def open(self, signers: Sequence[Signer], rounds: int) -> str:
        """Open a task that runs the app; the digest of its code."""
        members = ", ".join(f'"{address_of(signer)}"' for signer in signers)
        (self.folder / "task.toml").write_text(TASK.format(members=members, rounds=rounds, app=APP))
        return str(
            json.loads(self.call(signers[0], "task", "open", "task.toml", "--json"))["code_digest"]
        )

    def settings(self, signers: Sequence[Signer]) -> str:
        """Write what the mod and the strategy need to know; the path, in which Flower's nodes put their number."""
        (self.folder / "password").write_text(PASSWORD)
        common = f'rpc = "{self.rpc_url}"\nstore = "store"\n'
        (self.folder / "server.toml").write_text(common)
        for number, signer in enumerate(signers):
            keystore = signer.encrypt(PASSWORD)
            (self.folder / f"{number}.json").write_text(json.dumps(keystore))
            own = f'keystore = "{number}.json"\npassword_file = "password"\nstate = "state-{number}"\n'
            (self.folder / f"{number}.toml").write_text(common + own)
        return str(self.folder / "{partition-id}.toml")

    def commits(self, signer: Signer, words: Sequence[str]) -> dict[int, float]:
        """Run a node to its end; when it committed in each round."""
        lines = _lines([*GANCHOR, *words], self.environment(signer), self.folder)
        said = ((json.loads(line), now) for line, now in lines)
        return {one["round"]: now for one, now in said if one["event"] == "commit"}


def _lines(
    command: Sequence[str], environment: Mapping[str, str], folder: Path
) -> Iterator[tuple[str, float]]:
    """What a command prints, with the time of each line.

    Raises:
        SystemExit: The command failed.
    """
    with subprocess.Popen(
        command, cwd=folder, env=dict(environment), stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            yield line, time.perf_counter()
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed")
