"""`ganchor provenance`: signed beside the weights, checked by us and by the public tool, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from commanding import Ganchor, Live
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from model_signing import verifying

from fl_node.cli.workspace import Workspace

MODEL = "model.safetensors"


def write_keys(name: str, key: ec.EllipticCurvePrivateKey, password: bytes | None = b"pw") -> None:
    """Write NAME.pem and NAME.pub."""
    encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if password:
        encryption = serialization.BestAvailableEncryption(password)
    pem = serialization.Encoding.PEM
    Path(f"{name}.pem").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, encryption)
    )
    Path(f"{name}.pub").write_bytes(
        key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo)
    )


@pytest.fixture
def bundle(ganchor: Ganchor, live: Live, monkeypatch: pytest.MonkeyPatch) -> str:
    """A bundle, its last model's file, and keys with a password, in the folder."""
    monkeypatch.setenv("GANCHOR_PASSWORD", "pw")
    write_keys("key", ec.generate_private_key(ec.SECP256R1()))
    assert ganchor("export", "task.zip", *live.options).code == 0
    assert ganchor("weights", "--out", MODEL, *live.options).code == 0
    return "task.zip"


@pytest.fixture
def signed(ganchor: Ganchor, bundle: str) -> str:
    """The same, and model.sig."""
    outcome = ganchor("provenance", MODEL, "--key", "key.pem", "--bundle", bundle)
    assert (outcome.code, outcome.err) == (0, "")
    return bundle


def test_a_model_is_signed_from_chain_workspace_or_bundle(
    ganchor: Ganchor, live: Live, workspace: Workspace, bundle: str
) -> None:
    state = live.ledger().task_state(live.finished)
    places = (live.options, ["--workspace", workspace.folder], ["--bundle", bundle])
    for place in places:
        said = ganchor("provenance", MODEL, "--key", "key.pem", "--json", *place)
        assert (said.code, said.err) == (0, "")
        facts = json.loads(said.out)
        assert facts["history_head"] == state.history_head.hex()
        assert facts["model_digest"] == facts["file_digest"] == state.parent_digest.hex()
        assert (facts["round"], facts["signature"]) == (2, "model.sig")


def test_it_is_checked_with_nothing_but_the_public_key(ganchor: Ganchor, signed: str) -> None:
    outcome = ganchor("provenance", MODEL, "--check", "--public-key", "key.pub")
    assert (outcome.code, outcome.err) == (0, "")
    assert "true of this file" in outcome.out
    assert "not checked: whether there is such a history" in outcome.out


def test_it_is_checked_against_a_head_and_a_bundle(
    ganchor: Ganchor, live: Live, signed: str
) -> None:
    head = live.ledger().task_state(live.finished).history_head.hex()
    known = ["--expect-head", head, "--bundle", signed]
    outcome = ganchor("provenance", MODEL, "--check", "--public-key", "key.pub", *known)
    assert (outcome.code, outcome.err) == (0, "")
    assert "not checked" not in outcome.out
    other = ganchor(
        "provenance", MODEL, "--check", "--public-key", "key.pub", "--expect-head", "ab" * 32
    )
    assert other.code == 1
    assert f"finding: the history head: expected {'ab' * 32}, got {head}" in other.out


def test_an_earlier_round_is_signed_too(ganchor: Ganchor, live: Live, bundle: str) -> None:
    assert ganchor("weights", "--round", 1, "--out", "first.safetensors", *live.options).code == 0
    refused = ganchor(
        "provenance", "first.safetensors", "--key", "key.pem", "--bundle", bundle, "--round", "0"
    )
    assert refused.code == 2
    assert "first.safetensors is not the model of round 0" in refused.err
    words = ["--key", "key.pem", "--bundle", bundle, "--round", 1, "--signature", "first.sig"]
    assert ganchor("provenance", "first.safetensors", *words).code == 0


def test_another_file_is_a_finding(ganchor: Ganchor, signed: str) -> None:
    content = bytearray(Path(MODEL).read_bytes())
    content[-1] ^= 1
    Path(MODEL).write_bytes(content)
    words = ["--check", "--public-key", "key.pub", "--bundle", signed, "--json"]
    outcome = ganchor("provenance", MODEL, *words)
    assert outcome.code == 1
    first, second = json.loads(outcome.out)["findings"]
    assert first.startswith("the file's sha256: ")
    assert second == "the file is not the model of round 2 in task.zip"


def test_another_key_is_a_finding(ganchor: Ganchor, signed: str) -> None:
    write_keys("other", ec.generate_private_key(ec.SECP256R1()))
    outcome = ganchor("provenance", MODEL, "--check", "--public-key", "other.pub")
    assert outcome.code == 1
    assert "finding: the signature is not one of the key " in outcome.out
    assert "true of this file" not in outcome.out


def test_a_file_that_is_no_statement_is_2(ganchor: Ganchor, signed: str) -> None:
    Path("model.sig").write_text("{}")
    outcome = ganchor("provenance", MODEL, "--check", "--public-key", "key.pub")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith("error: model.sig: not a signature file")


def test_a_history_that_does_not_reach_the_round_is_2(ganchor: Ganchor, bundle: str) -> None:
    outcome = ganchor("provenance", MODEL, "--key", "key.pem", "--bundle", bundle, "--round", 3)
    assert outcome.code == 2
    assert "round 3 is not final; the last final round is 2" in outcome.err


def test_misuse_is_one_line(ganchor: Ganchor, bundle: str, monkeypatch: pytest.MonkeyPatch) -> None:
    write_keys("plain", ec.generate_private_key(ec.SECP256R1()), None)
    write_keys("large", ec.generate_private_key(ec.SECP384R1()))
    Path("ed.pub").write_bytes(
        ed25519.Ed25519PrivateKey.generate()
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    at = ["--bundle", bundle]
    for words, says in {
        (): "give --key",
        ("--check",): "--check needs --public-key",
        ("--check", "--public-key", "key.pem"): "not a public key in PEM",
        ("--check", "--public-key", "ed.pub"): "expected an elliptic curve key on P-256",
        ("--check", "--public-key", "none.pub"): "none.pub: No such file",
        ("--check", "--public-key", "key.pub"): "model.sig: No such file",
        ("--key", "plain.pem"): "not encrypted",
        ("--key", "large.pem"): "expected an elliptic curve key on P-256",
        ("--key", "key.pub"): "not a private key in PEM, or a wrong password",
        ("--key", "key.pem", "--round", "last"): "--round is 'last'",
    }.items():
        outcome = ganchor("provenance", MODEL, *words, *at)
        assert (outcome.code, outcome.out) == (2, ""), words
        assert says in outcome.err
        assert outcome.err.count("\n") == 1
    monkeypatch.setenv("GANCHOR_PASSWORD", "guess")
    assert "wrong password" in ganchor("provenance", MODEL, "--key", "key.pem", *at).err
    monkeypatch.setenv("GANCHOR_PASSWORD", "")
    assert "the password is empty" in ganchor("provenance", MODEL, "--key", "key.pem", *at).err
    assert not Path("model.sig").exists()


def test_the_public_tool_verifies_it(signed: str) -> None:
    config = verifying.Config().use_elliptic_key_verifier(public_key=Path("key.pub"))
    config.verify(Path(MODEL), Path("model.sig"))
    Path(MODEL).write_bytes(Path(MODEL).read_bytes() + b"\0")
    with pytest.raises(ValueError, match="Hash mismatch"):
        config.verify(Path(MODEL), Path("model.sig"))
