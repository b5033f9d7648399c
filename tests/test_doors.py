"""The doors between the rooms: who may import whom (CONTRIBUTING.md, "Rooms and doors")."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CHAIN_LIBRARIES = {"web3", "eth", "eth_abi", "eth_account", "eth_hash", "eth_keyfile", "eth_keys",
                   "eth_tester", "eth_typing", "eth_utils", "hexbytes", "rlp", "solcx", "trie"}  # fmt: skip
TORCH = {"torch", "torchvision"}
NUMBERS = {"numpy", "sklearn"}


def modules(room: str) -> list[Path]:
    return sorted((ROOT / room).rglob("*.py"))


def imported(path: Path) -> set[str]:
    """Every module that a file imports, dotted, at the top or inside a function."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            names.add(str(node.module))
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def tops(path: Path) -> set[str]:
    return {name.partition(".")[0] for name in imported(path)}


def test_the_walk_sees_the_rooms() -> None:
    assert len(modules("chain")) > 8
    assert len(modules("fl_node")) > 20


@pytest.mark.parametrize("path", modules("chain"), ids=str)
def test_the_chain_knows_nothing_of_learning(path: Path) -> None:
    assert not tops(path) & ({"fl_node"} | TORCH | NUMBERS)


@pytest.mark.parametrize("path", modules("fl_node"), ids=str)
def test_the_node_meets_the_chain_only_through_its_room(path: Path) -> None:
    assert not tops(path) & CHAIN_LIBRARIES


@pytest.mark.parametrize("path", modules("fl_node"), ids=str)
def test_torch_stays_in_the_learning_room(path: Path) -> None:
    if "learning" not in path.relative_to(ROOT / "fl_node").parts:
        assert not tops(path) & TORCH


@pytest.mark.parametrize("path", modules("fl_node"), ids=str)
def test_only_the_command_line_makes_concrete_parts(path: Path) -> None:
    concrete = {"chain.web3_ledger", "chain.deploy", "chain.devnet"}
    if "cli" not in path.relative_to(ROOT / "fl_node").parts:
        assert not imported(path) & concrete


@pytest.mark.parametrize("path", modules("fl_node/learning"), ids=str)
def test_learning_knows_no_chain(path: Path) -> None:
    assert "chain" not in tops(path)


@pytest.mark.slow
def test_the_audit_needs_no_torch() -> None:
    program = (
        "import sys; sys.modules['torch'] = sys.modules['torchvision'] = None; "
        "import fl_node.audit, fl_node.member.participant, fl_node.member.simulation, fl_node.cli"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT)
