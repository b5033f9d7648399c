"""The decoders of everything that others write. A new one is an entry in `DECODERS`."""

from __future__ import annotations

import io
import json
import tempfile
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import partial
from pathlib import Path

import numpy as np

from chain.accounts import dev_account
from chain.acts import read_call, write_call
from chain.answers import logs
from chain.answers import parse_json as parse_answer
from chain.deploy import Deployment, read_deployment, write_deployment
from chain.errors import ActInvalid, CallRejected, DeploymentInvalid, ProofInvalid
from chain.memory_ledger import MemoryLedger
from chain.proofs import follow
from chain.rejections import rejection_from
from chain.relay.health import Health, health_to_json, read_health
from chain.relay.outcome import WAITING, Outcome, Status, outcome_to_json, read_outcome, refused
from chain.relay.submission import read_submission, sign_submission, submission_to_json
from chain.types import Address, Reveal, Terms
from fl_node.audit.reported import Report, ReportedRound, read_report
from fl_node.blobs.canonical import canonical_json, parse_json
from fl_node.blobs.encoding import UpdateHeader, decode_update, encode_update
from fl_node.blobs.model import decode_model, encode_model
from fl_node.blobs.sealed import seal, unseal
from fl_node.blobs.tensors import decode_tensors, encode_tensors, schema_of
from fl_node.bundle.events import events_to_json, read_events
from fl_node.bundle.proof import proof_to_json, read_proof
from fl_node.bundle.reading import BundledBlobs, read_bundle
from fl_node.bundle.state import RecordedState, read_state, state_to_json
from fl_node.bundle.writing import write_bundle
from fl_node.child import replies
from fl_node.child.frames import LENGTH_BYTES, frame_of, message_of
from fl_node.code.blob import read_code
from fl_node.code.consent import read_allowed
from fl_node.errors import (
    BadData,
    BlobMalformed,
    BundleInvalid,
    CodeRefused,
    ManifestInvalid,
    Misuse,
    NoteInvalid,
    ReceiptInvalid,
    StatementInvalid,
    TrainingFailed,
)
from fl_node.fields import Choice
from fl_node.flower.app import parse_project
from fl_node.learner import Assignment, Trained
from fl_node.manifest.manifest import Limits, build_manifest, parse_manifest, read_manifest
from fl_node.provenance.claim import Claim
from fl_node.provenance.envelope import Envelope, envelope_to_json, read_envelope
from fl_node.provenance.statement import Statement, read_statement, statement_to_json
from fl_node.receipt.checking import findings_in
from fl_node.receipt.claim import claim_from
from fl_node.receipt.file import UpdateReceipt, read_receipt, receipt_to_json
from fl_node.round.form import form_of
from fl_node.round.policy import read_policy
from fl_node.round.validity import verify_update
from fl_node.strategy.encode import STAGES, decode_arrays, encode_arrays
from fl_node.strategy.encode.low_rank import LowRank
from fl_node.strategy.encode.quantise import Quantise
from fl_node.strategy.encode.rotate import Rotate
from fl_node.strategy.encode.top_k import TopK
from fl_node.strategy.roles import Roles
from fl_node.strategy.strategy import Encode
from fl_node.witness.cosigning import cosign
from fl_node.witness.keys import read_verifier_key, witness_key
from fl_node.witness.note import Checkpoint, Note, notes_to_bytes, read_notes

VECTORS = Path(__file__).parents[2] / "tests" / "vectors"
SEED = 7
CLIENT = Address("0x" + "12" * 20)
ZEROS = "0" * 64
SALT = bytes(range(32))
HEALTH = Health(1, CLIENT, CLIENT, {1: 5, 7: 0}, 2, 10**9, 5, 2 * 10**8)


@dataclass(frozen=True, slots=True)
class Decoder:
    """What is tried, and what may come of it.

    Attributes:
        samples: Genuine input, which `read` accepts.
        read: Reads input. Raises AssertionError where it took what it should have refused.
        refusals: The errors by which it may refuse.
    """

    samples: Sequence[bytes]
    read: Callable[[bytes], object]
    refusals: tuple[type[Exception], ...]


def _values(*shape: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.random.default_rng(SEED).standard_normal(shape, dtype=np.float32)


CALLS = [
    write_call("commit", 1, 2, SALT),
    write_call("skip", 1, 2),
    write_call("reveal", 1, 2, Reveal(SALT, 77, -1, 1, SALT)),
    write_call("attest", 1, 2, SALT, 0b101),
    write_call("rejoin", 1),
]
ARRAYS = {"a.bias": _values(3), "b.weight": _values(40, 5), "scale": _values()}
MODELS = [
    encode_model({**ARRAYS, "steps": np.array([1, 2], np.int64), "half": np.zeros(3, np.float16)}),
    encode_model(ARRAYS),
    encode_model({}),
]
HEADER = UpdateHeader(3, 2, CLIENT, bytes(range(32)), 77, 8, "float32", SEED)
UPDATES = [
    encode_update(HEADER, ARRAYS),
    encode_update(replace(HEADER, codec="top_k+quantise", num_examples=1 << 63), ARRAYS),
    encode_update(
        replace(HEADER, metrics={"auc": Decimal("0.5"), "kid": None}, versions={"torch": "2.6"}),
        ARRAYS,
    ),
]
CHOSEN = {
    "name": "fuzz",
    "seed": 5,
    "members": [f"0x{number:040x}" for number in (1, 2, 3)],
    "rounds": {"count": 2, "min_updates": 2},
}
MANIFESTS = [
    build_manifest({**CHOSEN, **more}).to_bytes()
    for more in (
        {},
        {"learner": "classifier", "strategy": {"train": "scaffold", "work": {"steps": [1, 2, 3]}}},
        {"strategy": {"encode": ["top_k", "rotate", "quantise"], "combine": "yogi"}},
    )
]
TOML = b"""\
name = "fuzz"
seed = 5
members = ["0x0000000000000000000000000000000000000001", "0x0000000000000000000000000000000000000002"]
[learner]
kind = "gan"
beta1 = 0.5
[strategy]
preset = "fedprox"
share = ["generator*"]
work = { steps = [4, 5] }
encode = { stages = [{ kind = "top_k", fraction = 0.01 }, "quantise"], feedback = 1 }
[rounds]
count = 2
"""
FLOWER_APP = b"""
[tool.flwr.app.components]
clientapp = "quickstart.client_app:app"

[tool.flwr.app.config]
local-epochs = 1
optimiser = { name = "sgd", rate = 0.05, nesterov = true }
"""
POLICY = f"""allow_code = ["{ZEROS}"]
most_examples = 5000
clip_norm = 1.5
""".encode()
REPORT = Report(
    audit="clean",
    seconds=1.5,
    workspace="demo-1",
    chain_id=31337,
    contract=CLIENT,
    task=1,
    history_head=ZEROS,
    final_digest=ZEROS,
    rounds=(
        ReportedRound(
            round=1,
            attempts=1,
            parent_digest=ZEROS,
            aggregate_digest=ZEROS,
            updates={CLIENT: ZEROS},
            included=(CLIENT,),
            training_loss=-5,
            held_out_loss=None,
            metrics={"accuracy": "0.5", "auc": None},
            gas=None,
            seconds=3,
        ),
    ),
)
LOG = {
    "address": CLIENT.lower(),
    "topics": ["0x" + ZEROS, "0x" + "1" * 64],
    "data": "0x" + "ff" * 64,
    "blockNumber": "0x10",
    "blockHash": "0x" + "2" * 64,
    "logIndex": "0x0",
    "transactionHash": "0x" + "3" * 64,
    "blockTimestamp": "0x65000000",
}


def _json(content: bytes) -> None:
    value = parse_json(content.decode())
    assert parse_json(canonical_json(value).decode()) == value


def _manifest(content: bytes) -> None:
    assert parse_manifest(content).to_bytes() == content


def _tensors(content: bytes) -> None:
    assert encode_tensors(*decode_tensors(content)) == content


def _model(content: bytes) -> None:
    assert encode_model(decode_model(content)) == content


def _update(content: bytes) -> None:
    update = decode_update(content)
    assert encode_update(update.header, update.arrays) == content


def _sealed(content: bytes) -> None:
    """With the salt that its member reveals, an update may come sealed or plain."""
    _update(bytes(unseal(content, SALT)))


def _validity(content: bytes) -> None:
    """As every attester reads what another member sent."""
    form = form_of(schema_of(ARRAYS), Roles())
    valid = verify_update(decode_update(content), HEADER, Encode(), form, Limits(update_norm=1000))
    assert schema_of(valid.arrays) == schema_of(ARRAYS)
    assert all(np.isfinite(array).all() for array in valid.arrays.values())


def _decoded(stages: Sequence[Choice], content: bytes) -> None:
    arrays = decode_arrays(stages, decode_tensors(content)[0], schema_of(ARRAYS), SEED)
    assert schema_of(arrays) == schema_of(ARRAYS)


def _flower_app(content: bytes) -> None:
    parse_project(content.decode(errors="replace"))


def _code(content: bytes) -> None:
    """As a member reads it before it consents: the names lead nowhere, the sizes are as stated."""
    code = read_code(content)
    for name, text in code.contents():
        assert len(text) == code.files[name]
        assert name.isprintable()
        assert not Path(name).is_absolute()
        assert ".." not in Path(name).parts


def _child(content: bytes) -> None:
    """As a node reads what a child process answers to a training."""
    reply = message_of(content)
    if replies.interim(reply) is None:
        trained = replies.trained_of(reply, ASSIGNMENT, 1 << 20, {})
        assert schema_of(trained.shared) == schema_of(ARRAYS)
        assert all(np.isfinite(array).all() for array in trained.shared.values())


def _events(content: bytes) -> None:
    entries = read_events(content, LEDGER.contract, 1)
    assert events_to_json(entries, LEDGER.contract) == content


def _state(content: bytes) -> None:
    assert state_to_json(read_state(content)) == content


def _signature_file(content: bytes) -> None:
    """As somebody who trusts a key reads what lies beside a model."""
    envelope = read_envelope(content)
    assert envelope_to_json(envelope) == content
    read_statement(envelope.payload)


def _statement(content: bytes) -> None:
    assert statement_to_json(read_statement(content)) == content


def _proof(content: bytes) -> None:
    """As an audit reads what is said to prove a head: under one block's hash there is one head."""
    proof = read_proof(content)
    assert proof_to_json(proof) == content
    proven = follow(proof, PROVEN_IN, 2)
    assert proven.block != PROVEN.block or proven == PROVEN


def _bundle(path: Path) -> None:
    """As an audit opens what a stranger handed over."""
    bundle = read_bundle(path)
    assert bundle.state.view.member_count
    assert all(entry.event.task == bundle.state.task for entry in bundle.entries)


def _receipt(content: bytes) -> None:
    """As somebody checks what they were handed."""
    receipt = read_receipt(content)
    assert receipt_to_json(receipt) == content
    findings = findings_in(receipt)
    assert not findings or all(findings)


def _notes(content: bytes) -> None:
    """As an audit reads what is said to be signed by witnesses."""
    notes = read_notes(content)
    assert "\n".join(map(str, notes)).encode() == content
    assert read_notes(notes_to_bytes(notes))


def _witness(content: bytes) -> None:
    line = content.decode(errors="replace")
    assert str(read_verifier_key(line)) == line.strip()


def _cosigned(events: int) -> Note:
    point = Checkpoint(1337, CLIENT, 1, events, SALT)
    return Note(point, (cosign(point, WITNESS, 5), cosign(point, WITNESS, 6)))


def _answer(content: bytes) -> None:
    logs(parse_answer(content))


def _submission(content: bytes) -> None:
    """As a relay reads what anybody sends it."""
    submission = read_submission(content)
    assert read_submission(submission_to_json(submission)) == submission


def _outcome(content: bytes) -> None:
    """As a node reads what a relay answers."""
    assert read_outcome(content).reason.isprintable()


def _rejection(content: bytes) -> None:
    said = rejection_from(content)
    assert isinstance(said, CallRejected)
    assert str(said).isprintable()


def _through_a_file(read: Callable[[Path], object], content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "input"
        path.write_bytes(content)
        read(path)


def _deployment() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "deployment.json"
        write_deployment(path, Deployment(31337, CLIENT, 5, ZEROS))
        return path.read_bytes()


def _ledger() -> MemoryLedger:
    ledger = MemoryLedger(clock=lambda: 1_000)
    members = [Address(f"0x{number:040x}") for number in (1, 2, 3)]
    ledger.open_task(SALT, SALT, members, Terms(2, 100, 100, 100, 10_000, 2, 2, 5_000))
    ledger.acting_as(members[0]).commit(1, 1, SALT)
    return ledger


def _bundled() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "task.zip"
        write_bundle(path, LEDGER, BundledBlobs("no store", {}), 1)
        return path.read_bytes()


def _codec(*stages: Choice) -> Decoder:
    sent = encode_tensors(encode_arrays(stages, ARRAYS, SEED))
    return Decoder([sent], partial(_decoded, stages), (BadData,))


def _file(sample: bytes, read: Callable[[Path], object], refusal: type[Exception]) -> Decoder:
    return Decoder([sample], partial(_through_a_file, read), (refusal,))


def _rejections() -> list[bytes]:
    word = (5).to_bytes(32, "big")
    text = (32).to_bytes(32, "big") + word + b"no no".ljust(32, b"\0")
    return [
        bytes.fromhex("08c379a0") + text,  # Error(string)
        bytes.fromhex("4e487b71") + word,  # Panic(uint256)
        bytes(36),
    ]


def _zip(**files: str) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return content.getvalue()


CODE = [
    b"class Chest:\n    pass\n",
    _zip(**{"app/__init__.py": "", "app/task.py": "x = 1\n" * 50, "pyproject.toml": "[project]"}),
    _zip(**{"chest.py": "x = 1", "chest-1.dist-info/WHEEL": "Tag: py3-none-any\n"}),
]
ASSIGNMENT = Assignment(ARRAYS, None, SEED, 8)
TRAINED = Trained(ARRAYS, {"step": np.array(7)}, 12, 8, 0.5, metrics={"accuracy": 0.25})
REPLIES = [
    b"".join(frame_of(message))[LENGTH_BYTES:]
    for message in (
        replies.trained_reply(TRAINED),
        replies.progress_reply(1, 8, {"loss": 0.5}),
        replies.failed_reply("TrainingDiverged", "no longer finite"),
    )
]
SUBMISSION = sign_submission(
    dev_account(SEED, 0), 31337, CLIENT, (1, 2, 0), "commit", 2, bytes(range(32))
)
WITNESS = witness_key("alice.example/witness", SALT)
LEDGER = _ledger()
STATE = RecordedState(LEDGER.chain_id, LEDGER.contract, 1, LEDGER.task_state(1))
STATEMENT = statement_to_json(
    Statement("a", SALT, Claim(LEDGER.chain_id, LEDGER.contract, 1, 0, SALT, SALT))
)
RECEIPT = UpdateReceipt(
    STATE.chain_id,
    STATE.contract,
    STATE.task,
    STATE.view.history_head,
    claim_from(LEDGER.history(1), 1, CLIENT, SALT),
    list(LEDGER.history(1)),
)
ALLOWED = f"# reviewed\n{ZEROS}  # chest.py\n".encode()

CHAIN = (LowRank(rank=2), TopK(), Rotate(block=64), Quantise(bits=4, bucket=64))

RECORDED = json.loads((VECTORS / "endpoint_proofs.json").read_text("utf-8"))["anvil"]
PROVEN_IN = Address(RECORDED["contract"])
PROOF = (VECTORS / "proof.json").read_bytes()
PROVEN = follow(read_proof(PROOF), PROVEN_IN, 2)

DECODERS: Mapping[str, Decoder] = {
    "json": Decoder([*MANIFESTS, b'{"a":["\\u0001",-5,null]}'], _json, (ValueError,)),
    "manifest": Decoder(MANIFESTS, _manifest, (BlobMalformed,)),
    "manifest.toml": _file(TOML, read_manifest, ManifestInvalid),
    "policy.toml": _file(POLICY, read_policy, Misuse),
    "tensors": Decoder([*MODELS, *UPDATES], _tensors, (BlobMalformed,)),
    "model": Decoder(MODELS, _model, (BlobMalformed,)),
    "update": Decoder(UPDATES, _update, (BlobMalformed,)),
    "sealed update": Decoder(
        [*(seal(blob, SALT) for blob in UPDATES), UPDATES[0]], _sealed, (BlobMalformed,)
    ),
    "validity": Decoder(UPDATES[:1], _validity, (BadData,)),
    **{f"codec {kind.name()}": _codec(kind()) for kind in STAGES},  # type: ignore[call-arg]
    "codecs together": _codec(*CHAIN),
    "deployment.json": _file(_deployment(), read_deployment, DeploymentInvalid),
    "report.json": _file(REPORT.model_dump_json(indent=1).encode(), read_report, Misuse),
    "Flower app's pyproject.toml": Decoder([FLOWER_APP], _flower_app, (CodeRefused,)),
    "code": Decoder(CODE, _code, (BlobMalformed,)),
    "child's answers": Decoder(REPLIES, _child, (BlobMalformed, TrainingFailed)),
    "allowed code": _file(ALLOWED, read_allowed, Misuse),
    "bundle": _file(_bundled(), _bundle, BundleInvalid),
    "bundle's events": Decoder(
        [events_to_json(LEDGER.history(1), LEDGER.contract)], _events, (BundleInvalid,)
    ),
    "bundle's state": Decoder([state_to_json(STATE)], _state, (BundleInvalid,)),
    "bundle's proof": Decoder([PROOF], _proof, (BundleInvalid, ProofInvalid)),
    "receipt": Decoder([receipt_to_json(RECEIPT)], _receipt, (ReceiptInvalid,)),
    "cosigned notes": Decoder(
        [notes_to_bytes([_cosigned(1)]), notes_to_bytes([_cosigned(1), _cosigned(12)])],
        _notes,
        (NoteInvalid,),
    ),
    "witness's key": Decoder([str(WITNESS.verifier).encode()], _witness, (NoteInvalid,)),
    "signature file": Decoder(
        [envelope_to_json(Envelope(STATEMENT, SALT, ZEROS))], _signature_file, (StatementInvalid,)
    ),
    "statement": Decoder([STATEMENT], _statement, (StatementInvalid,)),
    "endpoint's logs": Decoder([json.dumps([LOG, LOG]).encode()], _answer, (ValueError,)),
    "relay's acts": Decoder([submission_to_json(SUBMISSION)], _submission, (ActInvalid,)),
    "relay's answers": Decoder(
        [
            outcome_to_json(bytes(32), outcome)
            for outcome in (WAITING, Outcome(Status.POSTED, bytes(32)), refused("no"))
        ],
        _outcome,
        (ValueError,),
    ),
    "relay's health": Decoder([health_to_json(HEALTH)], read_health, (ValueError,)),
    "endpoint's reverts": Decoder(_rejections(), _rejection, ()),
    "a member's call": Decoder(CALLS, read_call, (ActInvalid,)),
}
