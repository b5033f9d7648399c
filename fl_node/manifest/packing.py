"""Reads a manifest that a person wrote, whose learner names code and a first model by paths on this machine.

For example `code = "chest.py"` becomes the sha256 of that file, which goes into the store. What has to be run for
it, such as the function that makes the first model, is only named here; `fl_node.member.own_code` runs it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from safetensors import SafetensorError
from safetensors.numpy import load

from chain.errors import FileUnusable
from chain.files import read_file
from chain.text import shown
from fl_node.arrays import Arrays
from fl_node.blobs.digest import digest_of
from fl_node.blobs.model import encode_model
from fl_node.code.blob import Code, read_code
from fl_node.code.packing import pack
from fl_node.errors import CodeRefused, ManifestInvalid, Misuse
from fl_node.flower.app import PROJECT_FILE, parse_project
from fl_node.manifest.bounds import verify_bounds
from fl_node.manifest.code_learners import ENTRY, FlowerLearner, ModuleLearner, is_digest
from fl_node.manifest.manifest import Manifest, build_manifest, read_values
from fl_node.strategy.roles import Roles

TO_BE_MADE: Final = "0" * 64
"""Stands for the digest of a first model that has yet to be made."""

MEAN, VARIANCE = "running_mean", "running_var"
"""How PyTorch's norms call what they measure."""

_KINDS = (ModuleLearner.name(), FlowerLearner.name())


@dataclass(frozen=True, slots=True)
class Draft:
    """A manifest as a person wrote it, and what it names on this machine.

    Attributes:
        manifest: With the digests of what it names. If the first model is yet to be made, 64 zeros are its digest.
        code: The packed code; None if the manifest names a digest, or a learner of this package.
        model: The blob of the first model; None if the manifest names a digest, or if it is yet to be made.
        maker: What makes the first model: `module:name`, or empty for the learner's own `build`; None if nothing does.
    """

    manifest: Manifest
    code: Code | None = None
    model: bytes | None = None
    maker: str | None = None

    @property
    def blobs(self) -> tuple[bytes, ...]:
        """What the task's store needs besides manifest and genesis."""
        code = [] if self.code is None else [self.code.blob]
        return (*code, *([] if self.model is None else [self.model]))

    def with_model(self, model: Arrays) -> Draft:
        """The draft with its first model, and nothing left to make.

        Without any `learner.roles`, what batch norm measures becomes statistics, by the names that PyTorch gives it.

        Raises:
            ManifestInvalid: A tensor cannot be stored.
        """
        learner = self.manifest.learner
        blob = _model_blob("learner.genesis", model)
        roles = _norm_roles(model) if learner.tensor_roles == Roles() else learner.tensor_roles
        named = learner.model_copy(update={"genesis": digest_of(blob).hex(), "roles": roles})
        manifest = self.manifest.model_copy(update={"learner": named, "roles": roles})
        return replace(self, manifest=manifest, model=blob, maker=None)


def read_draft(path: Path) -> Draft:
    """Read a manifest in TOML; paths in it are relative to its folder.

    Raises:
        ManifestInvalid: The file cannot be read, is not TOML, or has a wrong field, which the message names.
    """
    return draft_of(read_values(path), path.parent)


def draft_of(values: Mapping[str, Any], folder: Path) -> Draft:
    """The draft of a manifest's values. Packs code and reads a first model, and runs neither.

    Raises:
        ManifestInvalid: A field is wrong, names nothing, or could mean two things.
    """
    written = values.get("learner")
    if not isinstance(written, dict) or written.get("kind") not in _KINDS:
        return Draft(build_manifest(dict(values)))
    try:
        verify_bounds(values)
    except ValueError as error:
        raise ManifestInvalid(f"manifest: {error}") from None
    learner = dict(written)
    code = _packed(learner, folder)
    maker, file = _genesis(learner, folder)
    manifest = build_manifest({**values, "learner": learner})
    _verify_maker(maker, code)
    draft = Draft(manifest, code, None, maker)
    return draft if file is None else draft.with_model(_model_in(file, manifest))


def _packed(learner: dict[str, Any], folder: Path) -> Code | None:
    """Pack the code that a path names, and put its digest, and a Flower app's own entry, into the learner."""
    written = learner.get("code")
    if not isinstance(written, str) or not written:
        return None
    path = folder / written
    if is_digest(written):
        if _exists(path):
            raise _unclear("code", written, "a digest and a path")
        return None
    try:
        code = read_code(pack(path))
    except Misuse as error:
        raise ManifestInvalid(f"manifest: learner.code: {error}") from None
    learner["code"] = code.digest.hex()
    if learner["kind"] == FlowerLearner.name() and "entry" not in learner:
        learner["entry"] = _client_app(code, written)
    _verify_entry(learner.get("entry"), code, path)
    return code


def _client_app(code: Code, written: str) -> str:
    try:
        text = code.text(PROJECT_FILE) if PROJECT_FILE in code.files else ""
        app = parse_project(text).client_app
    except CodeRefused as error:
        raise ManifestInvalid(f"manifest: learner.code: {written}: {error}") from None
    if app is None:
        raise ManifestInvalid(
            f"manifest: learner.entry: give module:name of the ClientApp; {written} has no {PROJECT_FILE} that names it"
        )
    return app


def _verify_entry(entry: object, code: Code, path: Path) -> None:
    """Check that the code has the entry's module; another form is refused with the other fields."""
    if not isinstance(entry, str) or not re.fullmatch(ENTRY, entry):
        return
    module = entry.partition(":")[0]
    top = module.partition(".")[0]
    if code.kind == "file":
        there = [path.stem] if path.stem.isidentifier() else [module]
        found = module in there and "." not in module
    else:
        there = sorted({name.partition("/")[0].partition(".")[0] for name in code.files})
        found = top in there
    if not found:
        raise ManifestInvalid(
            f"manifest: learner.entry: {path.name} has no module {module}; it has {shown(', '.join(there), 200)}"
        )


def _genesis(learner: dict[str, Any], folder: Path) -> tuple[str | None, Path | None]:
    """What makes the first model, or the file that holds it; neither if a digest names it."""
    if "genesis" not in learner and learner["kind"] == ModuleLearner.name():
        learner["genesis"] = TO_BE_MADE
        return "", None
    written = learner.get("genesis")
    if not isinstance(written, str) or not written:
        if learner["kind"] == FlowerLearner.name():
            raise ManifestInvalid(
                "manifest: learner.genesis: name what a Flower app's model starts from: module:name of a function, "
                "such as app.task:Net, or a safetensors file"
            )
        return None, None
    path = folder / written
    callable_ = re.fullmatch(ENTRY, written) is not None
    if _exists(path) and (callable_ or is_digest(written)):
        raise _unclear("genesis", written, "a path and something else")
    if is_digest(written):
        return None, None
    learner["genesis"] = TO_BE_MADE
    if callable_:
        return written, None
    if _exists(path):
        return None, path
    raise ManifestInvalid(
        f"manifest: learner.genesis: {shown(written, 200)} is no safetensors file here, no digest and no module:name"
    )


def _verify_maker(maker: str | None, code: Code | None) -> None:
    if maker is not None and code is None:
        raise ManifestInvalid(
            "manifest: learner.genesis: code that is named by a digest is not run to make a first model: give a "
            "safetensors file or a digest, or name the code by its path"
        )


def _model_in(path: Path, manifest: Manifest) -> Arrays:
    """A safetensors file's tensors. Whatever wrote it, they are stored anew in the one form that a blob has."""
    try:
        content = read_file(path, manifest.limits.model_bytes)
    except FileUnusable as error:
        raise ManifestInvalid(f"manifest: learner.genesis: {error}") from None
    try:
        return load(content)
    except (
        SafetensorError,
        ArithmeticError,
        AttributeError,
        LookupError,
        TypeError,
        ValueError,
    ) as error:
        raise ManifestInvalid(
            f"manifest: learner.genesis: {path}: not a safetensors file of numbers that a model blob can hold: "
            f"{shown(error, 200)}"
        ) from None


def _norm_roles(model: Arrays) -> Roles:
    """Batch norm's means and variances as statistics; an optimiser's step would drive a variance below zero."""
    found = [end for end in (MEAN, VARIANCE) if any(name.endswith(end) for name in model)]
    patterns = tuple(f"*{end}" for end in found)
    return Roles(statistics=patterns, at_least_zero=patterns[-1:] if VARIANCE in found else ())


def _model_blob(field: str, model: Arrays) -> bytes:
    try:
        return encode_model(model)
    except Misuse as error:
        raise ManifestInvalid(f"manifest: {field}: {error}") from None


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # A name that is too long for a path.
        return False


def _unclear(field: str, written: str, both: str) -> ManifestInvalid:
    return ManifestInvalid(
        f"manifest: learner.{field}: {written} is {both} here: write ./{written} for the path"
    )
