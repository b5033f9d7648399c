"""What a command imports before it does anything: a command that trains nothing must not wait for torch."""

from __future__ import annotations

import subprocess
import sys

HEAVY = {"web3", "numpy", "torch", "torchvision", "pydantic", "aiohttp", "matplotlib", "sklearn", "scipy",
         "eth_account", "eth", "obstore", "fl_node.audit"}  # fmt: skip
LEARNING = {"torch", "torchvision", "sklearn", "scipy", "matplotlib"}


def imported_by(statement: str) -> set[str]:
    """The modules in a process of its own after a statement, and the packages that they lie in."""
    program = f"{statement}\nimport sys\nsys.stdout.write('imported: ' + ' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    names = done.stdout.rpartition("imported: ")[2].split()
    return {*names, *(name.partition(".")[0] for name in names)}


def command(words: str) -> str:
    return (
        "import contextlib\nfrom fl_node.cli import main\n"
        f"with contextlib.suppress(SystemExit):\n    main({words.split()!r})"
    )


def test_the_list_of_commands_imports_none() -> None:
    assert not imported_by(command("--help")) & HEAVY


def test_the_address_of_a_keystore_needs_no_chain() -> None:
    """pydantic comes with typer, which reads options by it, and with eth_utils, which knows what an address is."""
    assert not imported_by(command("key address nowhere.json")) & (HEAVY - {"pydantic"})


def test_what_asks_the_chain_alone_needs_no_learning_and_no_audit() -> None:
    light = LEARNING | {"fl_node.audit", "fl_node.manifest", "numpy", "obstore"}
    assert not imported_by("import fl_node.cli.status, fl_node.cli.deploy, fl_node.cli.log") & light


def test_torch_waits_until_something_is_trained() -> None:
    names = ("audit", "node.node", "task", "simulate", "evaluate.evaluate")
    modules = ", ".join(f"fl_node.cli.{name}" for name in names)
    assert not imported_by(f"import {modules}") & LEARNING
