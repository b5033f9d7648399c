"""Looking for keys where they should not be."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from chain.accounts import open_plain_key
from chain.errors import AccountUnusable

ROOT = Path(__file__).parents[2]
KEY_LIKE = re.compile(r"(?<![0-9a-fA-Fx])(?:0x)?[0-9a-fA-F]{64}(?![0-9a-fA-F])")
SECRET_FILES = re.compile(r"(^|/)(\.env(\..*)?|id_rsa|.*\.pem|UTC--.*|.*keystore.*\.json)$")
SECRET_WORDS = re.compile(
    r"(BEGIN [A-Z ]*PRIVATE KEY|AKIA[0-9A-Z]{16}|gh[pousr]_[0-9A-Za-z]{36}|hf_[0-9A-Za-z]{30})"
)
ASSIGNED_KEY = re.compile(
    r"(?i)(private[_ ]?key|secret|mnemonic|token)\W{1,5}(0x)?[0-9a-f]{64}(?![0-9a-f])"
)


def tracked() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False
    ).stdout.decode()
    names = [name for name in listed.split("\0") if name]
    if not names:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in names if (ROOT / name).is_file()]


def test_keys_in_tracked_files() -> None:
    """14. No file of keys, no token, and nothing that is assigned a key is in the repository."""
    for path in tracked():
        assert not SECRET_FILES.search(path.as_posix()), path
        text = path.read_text(errors="replace")
        assert not SECRET_WORDS.search(text), path
        assert not ASSIGNED_KEY.search(text), path


def test_key_like_text_in_code() -> None:
    """14. Code and scripts hold no 64 hex digits at all: digests and vectors have their own files."""
    data = {"tests", "docs", "artifacts"}
    for path in tracked():
        if path.suffix in (".py", ".sol", ".sh", ".toml", ".yml") and not data & set(path.parts):
            assert not KEY_LIKE.search(path.read_text()), path


@pytest.mark.parametrize("chain_id", [1, 10, 137, 8453, 11155111])
def test_a_plain_key_on_a_chain_where_money_is_real(chain_id: int) -> None:
    """14. A key that lies about in an environment variable opens nothing but a dev chain."""
    key = "ab" * 32
    with pytest.raises(AccountUnusable, match="dev chain only") as caught:
        open_plain_key(key, chain_id)
    assert key not in str(caught.value)
