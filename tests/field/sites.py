"""A federation in the field: a chain, a store, and a node for each member behind lines of its own.

with open_site(tmp_path, chain, members(3)) as site:
    site.start_all()
    site.finish()
    site.audited()
"""

from __future__ import annotations

import json
import os
import resource
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import light
from chains import Chain
from fault_proxy import FaultProxy, Proxies
from light import LightLearner, derive_genesis
from namespaces import Namespace
from stores import StoreServer
from weather import Bucket, Link, Weather

from chain.accounts import Signer, address_of, dev_accounts
from chain.deploy import Deployment, deploy, write_deployment
from chain.types import Entry, Phase, RoundFinalised, TaskState, UpdateCommitted
from chain.web3_ledger import Web3Ledger
from fl_node.audit.audit import audit
from fl_node.audit.report import AuditReport
from fl_node.blobs.store import open_store
from fl_node.cli.wiring import connect
from fl_node.manifest.manifest import Manifest, build_manifest
from fl_node.member.opening import open_task
from fl_node.member.simulation import simulate

PATIENCE = 120.0
PAGE = 32 << 10
ROUND = {"commit_window": 300, "reveal_window": 300, "attest_window": 300}
"""Longer than a test: nobody is left out, however slow the machine is."""


def members(count: int) -> list[Signer]:
    """Accounts in ascending order of address: position = index on chain."""
    return dev_accounts(11, count)


def light_manifest(size: int, numbers: int = 12, **rounds: Any) -> Manifest:
    """A task of members whose model has so many numbers, and in which everybody counts."""
    everybody = {"cohort_floor": size, "min_updates": min(2, size)}
    return build_manifest(
        {
            "name": f"{numbers} {light.SIZE}",
            "seed": 3,
            "members": [address_of(signer) for signer in members(size)],
            "strategy": {"share": ["generator.*"], "work": {"steps": 1}},
            "rounds": {"count": 3, **ROUND, **everybody, **rounds},
            "limits": {"update_norm": 1_000_000},
        }
    )


def undisturbed(manifest: Manifest, keeps: bool = True) -> bytes:
    """The digest that a task ends with when every update arrives in every round, from a plain loop."""
    learners = {
        member: LightLearner(part, 0.0, keeps) for part, member in enumerate(manifest.addresses)
    }
    return [*simulate(manifest, learners, derive_genesis(manifest))][-1].aggregated.digest


@dataclass
class Member:
    """One member's node: its lines, its folder, its processes and what they said."""

    index: int
    signer: Signer
    folder: Path
    chain: FaultProxy
    store: FaultProxy | None
    link: Link
    place: Namespace | None = None
    processes: list[BaseProcess] = field(default_factory=list)

    @property
    def log(self) -> Path:
        return self.folder / "node.log"

    @property
    def process(self) -> BaseProcess:
        return self.processes[-1]

    def events(self) -> list[dict[str, Any]]:
        """What the node has said so far; what is no JSON is left out."""
        lines = self.log.read_text(errors="replace").splitlines()
        return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]

    def said(self, event: str) -> int:
        """How often the node has said something."""
        return sum(one.get("event") == event for one in self.events())

    def signal(self, number: signal.Signals) -> None:
        """Signal the node's process, unless it has ended: SIGSTOP, SIGCONT, SIGTERM."""
        with suppress(ProcessLookupError):
            os.kill(self._number, number)

    def kill(self) -> None:
        """End the node where it stands."""
        self.process.kill()
        self.process.join()

    def fill_disk(self, full: bool = True) -> None:
        """From now on the node's files grow no more, save for a page of its log; or the disk has room again."""
        with suppress(ProcessLookupError):
            _, hard = resource.prlimit(self._number, resource.RLIMIT_FSIZE)
            most = self.log.stat().st_size + PAGE if full else hard
            resource.prlimit(self._number, resource.RLIMIT_FSIZE, (most, hard))

    @property
    def _number(self) -> int:
        assert self.process.pid is not None
        return self.process.pid


@dataclass
class Site:
    """A task on a chain, with members' nodes."""

    folder: Path
    chain: Chain
    store: StoreServer | None
    manifest: Manifest
    deployment: Deployment
    task: int
    members: list[Member]
    proxies: Proxies

    def weather(self, weather: Weather) -> None:
        """The same weather on every line, to the chain and to the store. A rate is what all members share."""
        for proxies in zip(*((one.chain, one.store) for one in self.members), strict=True):
            bucket = Bucket(weather.rate) if weather.rate else None
            for proxy in filter(None, proxies):
                proxy.weather, proxy.bucket = weather, bucket

    def start(
        self,
        index: int,
        *words: object,
        data: str = "0",
        state: str = "state",
        prepare: light.Prepare | None = None,
    ) -> BaseProcess:
        """Start a member's node, with options of its own behind the usual ones."""
        member = self.members[index]
        env = {
            **(self._reached(member).env if self.store else {}),
            "GANCHOR_PRIVATE_KEY": "0x" + bytes(member.signer.key).hex(),
        }
        location = self.store.location if self.store else str(self.folder / "store")
        process = light.start(
            *("node", "--log-format", "json", "--rpc-url", member.chain.url, "--task", self.task),
            *("--deployment", self.folder / "deployment.json", "--store", location),
            *("--state", member.folder / state, "--data", data),
            *("--partition", "iid", "--part", f"{index + 1}/{len(self.members)}"),
            *("--patience", PATIENCE),
            *(words or ("--poll", "0.2")),
            env=env,
            log=member.log,
            prepare=prepare or (member.place and member.place.enter),
        )
        member.processes.append(process)
        return process

    def start_all(self, *words: object, data: str = "0") -> None:
        """Start every member's node."""
        for member in self.members:
            self.start(member.index, *words, data=data)

    def ledger(self) -> Web3Ledger:
        """The chain itself, past every proxy."""
        return connect(self.chain.url, self.deployment)

    def state(self) -> TaskState:
        return self.ledger().task_state(self.task)

    def entries(self) -> list[Entry]:
        return [*self.ledger().history(self.task)]

    def wait_for(
        self, condition: Callable[[], bool], what: str, seconds: float = PATIENCE, poll: float = 0.1
    ) -> None:
        """Wait until something is so.

        Raises:
            AssertionError: It did not happen in time; with the ends of the logs.
        """
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"not in {seconds:.0f} s: {what}\n{self.logs()}"
            time.sleep(poll)

    def wait_for_round(self, number: int, seconds: float = PATIENCE) -> None:
        """Wait until a round, or the end, has come."""
        ledger = self.ledger()
        self.wait_for(
            lambda: (
                (state := ledger.task_state(self.task)).round >= number
                or state.phase is Phase.FINISHED
            ),
            f"round {number}",
            seconds,
        )

    def finish(self, seconds: float = PATIENCE) -> None:
        """Wait until every node has ended by itself, in good order."""
        for member in self.members:
            member.process.join(seconds)
            assert member.process.exitcode == 0, self.logs()
        assert self.state().phase is Phase.FINISHED, self.logs()

    def logs(self) -> str:
        """The ends of the nodes' logs."""
        ends = [
            f"--- node {member.index}: {member.log.read_text(errors='replace')[-2500:]}"
            for member in self.members
        ]
        return "\n".join(ends)

    def audited(self, url: str | None = None, store: StoreServer | None = None) -> AuditReport:
        """Audit the task, by way of the chain and the store themselves or of others."""
        ledger = partial(connect, url or self.chain.url, self.deployment, task=self.task)
        where = store or self.store
        with variables(where.env if where else {}):
            blobs = open_store(where.location if where else self.folder / "store")
        return audit(ledger, blobs, self.task, derive_genesis)

    def seconds_per_round(self) -> float:
        """By the chain's clock, from the first commitment, when nodes have started, to the last final round."""
        entries = self.entries()
        acted = [one.timestamp for one in entries if isinstance(one.event, UpdateCommitted)]
        final = [one.timestamp for one in entries if isinstance(one.event, RoundFinalised)]
        return (final[-1] - acted[0]) / len(final)

    def stop(self) -> None:
        """End whatever still runs."""
        for member in self.members:
            for process in member.processes:
                process.kill()
                process.join()

    def _reached(self, member: Member) -> StoreServer:
        assert self.store is not None
        return self.store.through(member.store.url) if member.store else self.store


@contextmanager
def open_site(
    folder: Path,
    chain: Chain,
    manifest: Manifest,
    store: StoreServer | None = None,
    links: Mapping[int, Link] | None = None,
    seed: object = 0,
    places: Sequence[Namespace] = (),
) -> Iterator[Site]:
    """Deploy, open a manifest's task, and put a proxy before the chain and the store for each member.

    Args:
        folder: Gets the deployment, the members' folders, and the store if it is one.
        chain: A running chain, on which `members` have ether.
        manifest: The task.
        store: A server; None is a folder, which no proxy can stand before.
        links: The lines of some members, by index.
        seed: Of the weather.
        places: A host for each member; none is this one for all.
    """
    signers = members(len(manifest.members))
    deployment = deploy(chain.url, signers[0])
    write_deployment(folder / "deployment.json", deployment)
    with variables(store.env if store else {}):
        blobs = open_store(store.location if store else folder / "store")
        ledger = connect(chain.url, deployment, signers[0])
        task = open_task(ledger, blobs, manifest, derive_genesis(manifest)).task
    with Proxies(seed) as proxies:
        there = []
        for index, signer in enumerate(signers):
            line = (links or {}).get(index) or Link()
            place = places[index] if places else None
            home = folder / f"member-{index}"
            home.mkdir()
            (home / "node.log").touch()
            door = partial(_door, proxies, line, place)
            doors = door(chain.url), door(store.url) if store else None
            there.append(Member(index, signer, home, *doors, line, place))
        site = Site(folder, chain, store, manifest, deployment, task, there, proxies)
        try:
            yield site
        finally:
            site.stop()


def _door(proxies: Proxies, line: Link, place: Namespace | None, url: str) -> FaultProxy:
    """A proxy that a member on its host can reach; in this one if it has none of its own."""
    return proxies.to(url, line, listening=place.listening() if place else None)


@contextmanager
def variables(env: Mapping[str, str]) -> Iterator[None]:
    """These variables in the environment, as long as the block lasts."""
    before = {name: os.environ.get(name) for name in env}
    os.environ.update(env)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name)
            else:
                os.environ[name] = value
