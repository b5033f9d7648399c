"""The doors between the rooms: who may import whom (CONTRIBUTING.md, "Rooms and doors")."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import Counter
from collections.abc import Collection
from graphlib import TopologicalSorter
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


def test_each_test_file_has_a_name_of_its_own() -> None:
    """pytest imports them by name alone: of two with the same name it runs one."""
    found = (ROOT / "tests").rglob("test_*.py")
    names = Counter(path.name for path in found if "node_modules" not in path.parts)
    assert [name for name, count in names.items() if count > 1] == []


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


MAKES_CONCRETE_PARTS = {
    "fl_node/flower/joining.py",  # Flower's processes call an app; no command of this project starts it
}


@pytest.mark.parametrize("path", modules("fl_node"), ids=str)
def test_only_the_command_line_makes_concrete_parts(path: Path) -> None:
    concrete = {"chain.web3_ledger", "chain.deploy", "chain.devnet"}
    if path.relative_to(ROOT).as_posix() in MAKES_CONCRETE_PARTS:
        return
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


@pytest.mark.parametrize("path", modules("fl_node/strategy"), ids=str)
def test_the_strategy_knows_no_manifest(path: Path) -> None:
    assert not {name for name in imported(path) if name.startswith("fl_node.manifest")}


@pytest.mark.parametrize("path", modules("fl_node/round"), ids=str)
def test_a_round_knows_neither_members_nor_auditors(path: Path) -> None:
    assert not {
        name for name in imported(path) if name.startswith(("fl_node.member", "fl_node.audit"))
    }


GROUND = {"errors", "arrays", "arithmetic", "seeds", "fields", "learner"}


def test_nothing_but_the_ground_stands_loose() -> None:
    assert {path.stem for path in (ROOT / "fl_node").glob("*.py")} == GROUND | {"__init__"}


@pytest.mark.parametrize("room", ["chain", "fl_node"])
def test_no_imports_go_round_in_a_circle(room: str) -> None:
    names = {_dotted(path): path for path in modules(room)}
    graph = {name: _needs(path, names.keys()) for name, path in names.items()}
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


@pytest.mark.parametrize("path", modules("fl_node/blobs"), ids=str)
def test_blobs_know_no_room(path: Path) -> None:
    inside = ("fl_node.blobs", *(f"fl_node.{name}" for name in GROUND))
    own = [name for name in imported(path) if name.startswith("fl_node.")]
    assert not [name for name in own if not name.startswith(inside)]


def _needs(path: Path, names: Collection[str]) -> set[str]:
    """The modules that a file imports: where it takes a module out of a package, the module alone."""
    needs = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                module = f"{node.module}.{alias.name}"
                needs.add(module if module in names else str(node.module))
    return needs & set(names)


def _dotted(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


TABLES = ("fl_node/manifest/learners.py", "fl_node/learning/kinds.py")


@pytest.mark.parametrize("path", modules("fl_node"), ids=str)
def test_a_kind_of_model_is_named_in_its_folder_and_in_the_tables_alone(path: Path) -> None:
    inside = path.relative_to(ROOT).as_posix()
    texts = {node.value for node in ast.walk(ast.parse(path.read_text()))
             if isinstance(node, ast.Constant)}  # fmt: skip
    for kind in ("gan", "flow"):
        if inside in TABLES or inside.startswith(f"fl_node/learning/{kind}/"):
            continue
        assert kind not in texts
        assert f"{kind.title()}Learner" not in path.read_text()
        assert not [name for name in imported(path) if name.startswith(f"fl_node.learning.{kind}")]


READ_THEIR_OWN = {
    "chain/artifact.py",  # the committed artifact
    "chain/compile.py",  # the sources
    "fl_node/cli/deploy.py",  # what it has just written
    "fl_node/cli/demo/watching.py",  # the logs of its own nodes
}


@pytest.mark.parametrize("path", modules("chain") + modules("fl_node"), ids=str)
def test_files_are_read_through_one_door(path: Path) -> None:
    """`chain.files` reads regular files alone, and no more bytes than expected."""
    if path.relative_to(ROOT).as_posix() in READ_THEIR_OWN:
        return
    called = {node.attr for node in ast.walk(ast.parse(path.read_text()))
              if isinstance(node, ast.Attribute)}  # fmt: skip
    assert not called & {"read_text", "read_bytes"}
