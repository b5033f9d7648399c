"""From options to concrete parts. Torch is imported only where training is asked for."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import typer

from chain.accounts import Signer, open_keystore, open_plain_key
from chain.deploy import Deployment, read_deployment
from chain.ledger import Ledger
from chain.types import Address
from chain.web3_ledger import Web3Ledger
from fl_node.blobs.digest import digest_of
from fl_node.blobs.global_state import first_state
from fl_node.blobs.model import encode_model, load_model
from fl_node.blobs.store import Store
from fl_node.errors import BadData, Misuse
from fl_node.history import record
from fl_node.manifest.agreement import check_agreement
from fl_node.manifest.manifest import MAX_MANIFEST_BYTES, Manifest, parse_manifest
from fl_node.seeds import derive_seed
from fl_node.strategy.train import EdgeLearner

if TYPE_CHECKING:
    from fl_node.arrays import Arrays
    from fl_node.learner import Learner
    from fl_node.learning import Images

PLAIN_KEY_VARIABLE = "GANCHOR_PRIVATE_KEY"
PASSWORD_VARIABLE = "GANCHOR_PASSWORD"


def open_signer(keystore: Path | None, password_file: Path | None, chain_id: int) -> Signer:
    """Unlock the account that signs.

    A keystore wins; without one, a plain key from the environment is accepted on a dev chain.

    Raises:
        Misuse: Neither is given.
        AccountUnusable: Bad keystore, wrong password, or a plain key on a chain that is no dev chain.
    """
    if keystore is not None:
        return open_keystore(keystore, password(password_file))
    plain = os.environ.get(PLAIN_KEY_VARIABLE)
    if plain is None:
        raise Misuse(
            f"no account: give --keystore FILE (or, on a dev chain only, set {PLAIN_KEY_VARIABLE})"
        )
    return open_plain_key(plain, chain_id)


def password(file: Path | None) -> str:
    """The password of a keystore: from a file, the environment, or a prompt.

    Raises:
        Misuse: The file cannot be read, or nobody answers the prompt.
    """
    given = _given_password(file)
    return _ask("Password of the keystore") if given is None else given


def new_password(file: Path | None) -> str:
    """The password for a new keystore, as `password`, but asked for twice at a prompt."""
    given = _given_password(file)
    return _ask("Password for the new keystore", twice=True) if given is None else given


def _given_password(file: Path | None) -> str | None:
    if file is None:
        return os.environ.get(PASSWORD_VARIABLE)
    try:
        return file.read_text().rstrip("\n")
    except OSError as error:
        raise Misuse(f"password file {file}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise Misuse(f"password file {file}: not UTF-8 text") from None


def _ask(question: str, twice: bool = False) -> str:
    try:
        return str(typer.prompt(question, hide_input=True, confirmation_prompt=twice, err=True))
    except typer.Abort:
        raise Misuse(
            f"no password: give --password-file, set {PASSWORD_VARIABLE}, or answer the prompt"
        ) from None


def open_ledger(rpc_url: str, deployment: Path, signer: Signer | None = None) -> Web3Ledger:
    """The contract of a deployment file, as `connect` does."""
    return connect(rpc_url, read_deployment(deployment), signer)


def connect(rpc_url: str, deployed: Deployment, signer: Signer | None = None) -> Web3Ledger:
    """The contract of a deployment, checked: expected chain, expected code."""
    return Web3Ledger(
        rpc_url,
        deployed.address,
        signer,
        chain_id=deployed.chain_id,
        first_block=deployed.block,
    )


def load_manifest(ledger: Ledger, store: Store, task: int) -> Manifest:
    """The task's manifest, found by the digest on chain.

    Raises:
        TaskUnknown: No such task.
        Misuse: The store does not have the manifest, or the coordinator opened the task with other terms or members.
    """
    state = ledger.task_state(task)
    try:
        manifest = parse_manifest(bytes(store.get(state.manifest_digest, MAX_MANIFEST_BYTES)))
    except BadData as trouble:
        raise Misuse(f"the manifest of task {task}: {trouble}; is this the task's store?") from None
    for difference in check_agreement(manifest, state.terms, members_of(ledger, task)):
        raise Misuse(f"task {task} was not opened with its manifest: {difference}")
    return manifest


def members_of(ledger: Ledger, task: int) -> tuple[Address, ...]:
    """The task's members as it was opened, in ascending order of address.

    Raises:
        TaskUnknown: No such task.
        Misuse: The log does not show the task's opening.
    """
    ledger.task_state(task)  # An unknown task has an empty log, too.
    members = record.members_of(ledger.history(task))
    if not members:
        raise Misuse(
            f"the log of task {task} does not begin with its opening; is the deployment's block right?"
        )
    return members


@dataclass(frozen=True, slots=True)
class Part:
    """What `--partition` and `--part` say together: which part, from 0, of how many."""

    partition: str
    index: int
    count: int


def read_part(partition: str, part: str) -> Part:
    """Read `--part` as I/N, from 1/N to N/N.

    Raises:
        Misuse: It is not of that form.
    """
    index, _, count = part.partition("/")
    if not (index.isdecimal() and count.isdecimal() and 1 <= int(index) <= int(count)):
        raise Misuse(f"--part is {part!r}; allowed is I/N with I from 1 to N, such as 1/3")
    return Part(partition, int(index) - 1, int(count))


def derive_genesis(manifest: Manifest) -> Arrays:
    """The global state that a manifest's task starts from."""
    from fl_node import learning

    model = learning.genesis(learning.learning_options(manifest), manifest.seed)
    shared = learning.shared_part(model, manifest.strategy.share)
    return first_state(shared, manifest.strategy.slots)


def verify_genesis(manifest: Manifest, recorded: bytes) -> None:
    """Derive the genesis again, so that nobody trains from a model that somebody else slipped in.

    Raises:
        Misuse: The task was opened with another genesis than its seed gives.
    """
    derived = digest_of(encode_model(derive_genesis(manifest)))
    if derived != recorded:
        raise Misuse(
            f"the task's genesis does not follow from its manifest's seed: "
            f"expected {derived.hex()}, got {recorded.hex()}"
        )


def load_data(manifest: Manifest, data: str) -> Images:
    """The pictures that `--data` names, in the manifest's shape.

    Raises:
        DataUnusable: Unknown or empty data, or a download that failed.
    """
    from fl_node import learning

    return learning.load_images(data, learning.learning_options(manifest))


def part_of(manifest: Manifest, images: Images, part: Part) -> Images:
    """One member's part of a data set that is dealt out; the same for the same manifest seed.

    Raises:
        DataUnusable: It cannot be dealt out as asked.
    """
    parts = deal_out(images, part.partition, part.count, derive_seed(manifest.seed, "partition"))
    return parts[part.index]


def deal_out(images: Images, partition: str, count: int, seed: int) -> list[Images]:
    """A data set in so many parts.

    Args:
        images: The whole.
        partition: As `--partition` takes it.
        count: > 0.
        seed: The same parts come out for the same.

    Raises:
        DataUnusable: It cannot be dealt out as asked.
    """
    from fl_node import learning

    if count == 1:
        return [images]
    rule = learning.parse_partition(partition)
    labels = images.labels_N
    if labels is None:  # Pictures without classes are all of one.
        labels = np.zeros(len(images.pixels_NCHW), np.int64)
    return [images.subset(part) for part in learning.partition(rule, labels, count, seed)]


def extractor_weights(manifest: Manifest, store: Store | None) -> Arrays | None:
    """The stored tensors of the extractor that a GAN's manifest names.

    Args:
        manifest: The task.
        store: The task's; None where the command has none.

    Returns:
        None where none are stored: they follow from the seed, or the learner compares no pictures.

    Raises:
        Misuse: The manifest names a digest, and there is no store, or the store does not have it.
    """
    learner = manifest.learner
    if learner.kind != "gan" or not learner.extractor.digest:
        return None
    digest = learner.extractor.digest
    if store is None:
        raise Misuse(f"the manifest's extractor {digest} is in the task's store: give --store")
    try:
        return load_model(store, bytes.fromhex(digest), manifest.limits.model_bytes).arrays
    except BadData as trouble:
        raise Misuse(f"the manifest's extractor: {trouble}") from None


def make_learner(
    manifest: Manifest,
    images: Images,
    device: str | None,
    threads: int,
    store: Store | None = None,
) -> Learner:
    """The learner of one member, on its own pictures; an edge node with its devices, where the manifest asks for one.

    Raises:
        DataUnusable: Too few pictures.
        DeviceUnusable: No such device.
        Misuse: As `extractor_weights`.
    """
    from fl_node import learning

    chosen = learning.learning_options(manifest, extractor_weights(manifest, store))

    def one(part: Images) -> Learner:
        return learning.make_learner(chosen, manifest.seed, part, device, threads)

    work = manifest.strategy.work
    if work.devices == work.edge_rounds == 1:
        return one(images)
    parts = deal_out(images, "iid", work.devices, derive_seed(manifest.seed, "devices"))
    return EdgeLearner([one(part) for part in parts], work.edge_rounds)
