"""A devnet, a SuperLink and three SuperNodes as processes that talk over TLS, and the means to kill each of them."""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from flower_federation import flower_manifest
from ports import free_port

from chain import answers
from chain.accounts import Signer, create_keystore, dev_accounts
from chain.connection import connect as connection_to
from chain.deploy import Deployment, deploy, write_deployment
from chain.devnet import devnet_in_thread
from chain.types import Address, TaskState, address_number
from fl_node.audit import AuditReport, audit
from fl_node.blobs.store import open_store
from fl_node.cli.wiring import connect
from fl_node.manifest.manifest import Manifest
from fl_node.member.opening import open_task

APP = Path(__file__).parent / "flower_app"
PROGRAMS = Path(__file__).parent / "patient_flower.py"
SIMULATION = Path(__file__).parent / "flower_simulation.py"
PATIENCE = 400.0
QUIET = 40.0
GENESIS = {"w": np.arange(6, dtype=np.float32)}
BIN = Path(sys.executable).parent


@dataclass
class FlowerSite:
    """Everything of a federation with a ledger, in one folder."""

    folder: Path
    url: str
    deployment: Deployment
    manifest: Manifest
    coordinator: Signer
    port: int
    task: int = 1
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """Nothing is sent to anybody, and nothing is installed."""
        return {
            **os.environ,
            "FLWR_HOME": str(self.folder / "flower"),
            "FLWR_TELEMETRY_ENABLED": "0",
            "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
            "FLWR_DISABLE_UPDATE_CHECK": "1",
            "GANCHOR_FLOWER": str(self.folder / "{partition-id}.toml"),
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "PYTHONUNBUFFERED": "1",
        }

    def open_task(self) -> None:
        """Open the contract's first task; from now on its windows run."""
        ledger = connect(self.url, self.deployment, self.coordinator)
        opened = open_task(ledger, open_store(self.folder / "store"), self.manifest, GENESIS)
        assert opened.task == self.task

    def start_link(self) -> None:
        """Start the SuperLink, and wait until it listens."""
        self._start(
            "link",
            *("flower-superlink", "--port", str(self.port)),
            *("--ssl-certfile", "server.pem", "--ssl-keyfile", "server.key"),
            *("--ssl-ca-certfile", "ca.pem", "--database", "link.sqlite"),
        )
        self.wait_for("a SuperLink that listens", lambda: _listens(self.port))

    def start_node(self, index: int) -> None:
        self._start(
            f"node-{index}",
            *("flower-supernode", "--superlink", f"127.0.0.1:{self.port}"),
            *("--root-certificates", "ca.pem", "--port", str(free_port())),
            *("--ssl-certfile", "server.pem", "--ssl-keyfile", "server.key"),
            *("--ssl-ca-certfile", "ca.pem"),
            *("--node-config", f"partition-id={index}"),
        )

    def run(self, rounds: int) -> None:
        """`flwr run`: hand the app to the SuperLink, which runs it."""
        finished = subprocess.run(
            [BIN / "flwr", "run", str(APP), "local", "--run-config", f"rounds={rounds}"],
            env=self.environment,
            cwd=self.folder,
            capture_output=True,
            timeout=PATIENCE,
            check=False,
        )
        assert finished.returncode == 0, (finished.stdout + finished.stderr).decode()

    def simulate(self) -> None:
        """The same app in Flower's simulation, whose nodes are Ray's actors."""
        finished = subprocess.run(
            [sys.executable, str(SIMULATION)],
            env={**self.environment, "PYTHONPATH": str(APP), "RAY_USAGE_STATS_ENABLED": "0"},
            cwd=self.folder,
            capture_output=True,
            timeout=PATIENCE,
            check=False,
        )
        assert finished.returncode == 0, finished.stderr.decode()[-4000:]

    def kill(self, name: str) -> None:
        """Kill a process and everything that it started."""
        process = self.processes.pop(name)
        family = [process.pid, *_descendants(process.pid)]
        for member in family:
            with contextlib.suppress(ProcessLookupError):
                os.kill(member, signal.SIGKILL)
        process.wait()

    def state(self) -> TaskState:
        return connect(self.url, self.deployment).task_state(self.task)

    def wait_for(self, what: str, true: Callable[[], bool], after_kill: bool = False) -> None:
        """Wait until something is true.

        Args:
            what: Its name.
            true: Whether it is.
            after_kill: Whoever the phase waits for may be gone: when nothing has happened on the chain for a while, its
                time passes the deadline.
        """
        deadline = time.monotonic() + PATIENCE
        head, since = b"", time.monotonic()
        while not true():
            if after_kill and (now := self.state().history_head) != head:
                head, since = now, time.monotonic()
            elif after_kill and time.monotonic() - since > QUIET:
                self._pass_deadline()
                since = time.monotonic()
            gone = [name for name, process in self.processes.items() if process.poll() is not None]
            assert not gone, f"{gone[0]} ended: {self.said(gone[0])}"
            assert time.monotonic() < deadline, f"no {what}: {self.said('link')}"
            time.sleep(0.2)

    def _pass_deadline(self) -> None:
        look = connect(self.url, self.deployment).look(self.task)
        endpoint = connection_to(self.url)
        seconds = max(0, look.state.deadline - look.now) + 1
        endpoint.ask(answers.anything, "evm_increaseTime", seconds)
        endpoint.ask(answers.anything, "evm_mine")

    def said(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()[-4000:]

    def audited(self) -> AuditReport:
        ledger = connect(self.url, self.deployment)
        return audit(lambda: ledger, open_store(self.folder / "store"), self.task)

    def stop(self) -> None:
        for name in list(self.processes):
            self.kill(name)

    def _start(self, name: str, program: str, *arguments: str) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [sys.executable, str(PROGRAMS), program, *arguments],
                env=self.environment,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )


@contextlib.contextmanager
def flower_site(folder: Path, **rounds: Any) -> Iterator[FlowerSite]:
    """A chain of its own, three members, and all files that a federation for a task of theirs needs."""
    (coordinator,) = dev_accounts(7, 1)
    members = _keystores(folder)
    _write_certificates(folder)
    with devnet_in_thread(folder / "chain.sqlite", fund=[coordinator.address, *members]) as url:
        deployment = deploy(url, coordinator)
        write_deployment(folder / "deployment.json", deployment)
        manifest = flower_manifest(tuple(members), rounds={"count": 2, "min_updates": 2, **rounds})
        site = FlowerSite(folder, url, deployment, manifest, coordinator, free_port())
        _write_settings(site)
        try:
            yield site
        finally:
            site.stop()


def _keystores(folder: Path) -> list[Address]:
    """Three members' keys, in ascending order of address: 0.json belongs to the first."""
    (folder / "password.txt").write_text("open")
    made = []
    for number in range(3):
        path = folder / f"new-{number}.json"
        made.append((create_keystore(path, "open", scrypt_cost=2), path))
    made.sort(key=lambda one: address_number(one[0]))
    for index, (_, path) in enumerate(made):
        path.rename(folder / f"{index}.json")
    return [address for address, _ in made]


def _write_settings(site: FlowerSite) -> None:
    shared = f'rpc = "{site.url}"\nstore = "store"\ntask = {site.task}\n'
    (site.folder / "server.toml").write_text(shared)
    for index in range(3):
        own = (
            f'keystore = "{index}.json"\npassword_file = "password.txt"\nstate = "state-{index}"\n'
        )
        (site.folder / f"{index}.toml").write_text(f"{shared}{own}verify = true\n")
    home = site.folder / "flower"
    home.mkdir()
    (home / "config.toml").write_text(
        f'[superlink.local]\naddress = "127.0.0.1:{site.port}"\n'
        f'root-certificates = "{site.folder / "ca.pem"}"\n'
    )


def _write_certificates(folder: Path) -> None:
    """An authority, and a certificate for this machine's own address."""
    authority, server = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    own_names = x509.SubjectAlternativeName(
        [x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("localhost")]
    )
    root = (
        _certificate(issuer, issuer, authority.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(authority, hashes.SHA256())
    )
    signed = (
        _certificate(subject, issuer, server.public_key())
        .add_extension(own_names, critical=False)
        .sign(authority, hashes.SHA256())
    )
    for name, certificate in (("ca.pem", root), ("server.pem", signed)):
        (folder / name).write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "server.key").write_bytes(
        server.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )


def _certificate(subject: x509.Name, issuer: x509.Name, key: Any) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
    )


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _descendants(process: int) -> list[int]:
    """The processes that a process started, and those that they did."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(entry.name))
    found, pending = [], [process]
    while pending:
        pending += (own := children.get(pending.pop(), []))
        found += own
    return found
