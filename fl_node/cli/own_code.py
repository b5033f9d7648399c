"""Options for a task's own code: what a member allows to run, and what the code is told of the data."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from fl_node.blobs.digest import digest_of
from fl_node.code.consent import parse_digest
from fl_node.code.packing import pack, pack_installed
from fl_node.errors import CodeRefused, Misuse
from fl_node.manifest.code_learners import ENTRY, CodeLearner, FlowerLearner
from fl_node.manifest.learner_choice import LearnerChoice
from fl_node.manifest.manifest import Manifest
from fl_node.round.policy import OPEN, Policy, read_policy


def allowed_code(given: Sequence[str] | None) -> frozenset[bytes]:
    """The digests that `--allow-code` names.

    Raises:
        Misuse: One is not 64 hex digits.
    """
    try:
        return frozenset(map(parse_digest, given or ()))
    except Misuse as error:
        raise Misuse(f"--allow-code: {error}") from None


def policy_of(file: Path | None, allow_code: Sequence[str] | None) -> Policy:
    """The node's policy: that of a file, with the code that `--allow-code` names.

    Raises:
        Misuse: The file is wrong, or a digest is none.
    """
    policy = read_policy(file) if file else OPEN
    return replace(policy, allowed_code=policy.allowed_code | allowed_code(allow_code))


def own_app(manifest: Manifest, flower: str) -> bytes:
    """The digest of a member's own Flower app, which it thereby allows: the very code that the task runs.

    Args:
        manifest: The task.
        flower: The value of `--flower`: the app's folder or wheel, or `module:app` of an installed one.

    Raises:
        Misuse: The task runs no Flower app, or `flower` is none.
        CodeRefused: The task runs another one.
    """
    learner = manifest.learner
    if not isinstance(learner, FlowerLearner):
        raise Misuse(f"--flower: the task trains a {learner.kind}, and no Flower app")
    digest = digest_of(_packed(flower))
    if digest.hex() != learner.code:
        raise CodeRefused(
            f"--flower: {flower[:200]} is code {digest.hex()}, but the task runs {learner.code}; compare them with "
            f"ganchor code show {learner.code}"
        )
    return digest


def told(learner: LearnerChoice, data: str | None, node_config: str | None) -> str:
    """What a learner is told of a member's data.

    Args:
        learner: The manifest's.
        data: The value of `--data`, or None.
        node_config: The value of `--node-config`, or None.

    Raises:
        Misuse: The learner takes the other of the two.
    """
    flower = isinstance(learner, FlowerLearner)
    if flower and data is not None:
        raise Misuse("--data: a Flower app loads its data itself; --node-config says which")
    if not flower and node_config is not None:
        raise Misuse(
            f"--node-config is for Flower apps, but the task trains a {learner.kind}: use --data"
        )
    if flower:
        return node_config or ""
    if isinstance(learner, CodeLearner):
        return _whole(data or "")
    return "digits" if data is None else data


def _whole(data: str) -> str:
    """A path on this machine as a whole one, since the code works in a folder of its own; any other text as it is."""
    try:
        return str(Path(data).absolute()) if data and Path(data).exists() else data
    except (OSError, ValueError):  # A text that cannot be a path.
        return data


def _packed(flower: str) -> bytes:
    if flower and Path(flower).exists():
        return pack(Path(flower))
    if re.fullmatch(ENTRY, flower):
        return pack_installed(flower.partition(":")[0])
    raise Misuse(f"--flower is {flower[:200]!r}; allowed: an app's folder or wheel, or module:app")
