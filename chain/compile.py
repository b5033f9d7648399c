"""Compiles the contract from Solidity to the committed artifact.

py-solc-x drives the compiler. It uses a native solc of the pinned version if it has installed one, and otherwise
the npm package `solc` (the same compiler, built for node). package.json pins that package, and npm installs it into a
cache folder. Compiling again must give the committed artifact byte for byte.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import platformdirs
import solcx
from solcx.exceptions import SolcError, SolcNotInstalled

from chain.artifact import CONTRACT, Artifact
from chain.errors import CompilerUnusable

SETTINGS: dict[str, Any] = {
    # The compiler uses an opcode of this EVM version; py-evm, Besu and L2s all run it.
    "evmVersion": "cancun",
    "optimizer": {"enabled": True, "runs": 10_000},
    "viaIR": True,
    "outputSelection": {
        "*": {CONTRACT: ["abi", "evm.bytecode.object", "evm.deployedBytecode.object", "metadata"]}
    },
}
NPM_SECONDS = 300

# py-solc-x calls this script. The npm package has its own command, but that command mixes other lines into
# its JSON and stops reading at a pipe that is not full yet.
SOLC_SCRIPT = """\
#!/usr/bin/env node
const solc = require("solc");
const input = () => require("fs").readFileSync(0, "utf8");
console.log(process.argv.includes("--version") ? solc.version() : solc.compile(input()));
"""


@dataclass(frozen=True, slots=True)
class Workbench:
    """The inputs of a compilation.

    Attributes:
        sources: The text of each source file, by its import path.
        solc: The compiler: a program that reads standard JSON.
    """

    sources: dict[str, str]
    solc: Path

    def standard_json(self, selection: dict[str, Any]) -> dict[str, Any]:
        """The compiler's input, with the outputs that it is asked for.

        Source: https://docs.soliditylang.org/en/latest/using-the-compiler.html
        """
        return {
            "language": "Solidity",
            "sources": {name: {"content": text} for name, text in self.sources.items()},
            "settings": SETTINGS | {"outputSelection": selection},
        }


def compile_contracts(root: Path) -> Artifact:
    """Compile the contract in a checkout of the project.

    Args:
        root: Folder that holds contracts/ and package.json.

    Raises:
        CompilerUnusable: The sources, npm or the compiler are missing, or the contract does not compile.
    """
    workbench = prepare(root)
    request = workbench.standard_json(SETTINGS["outputSelection"])
    try:
        output = solcx.compile_standard(request, solc_binary=workbench.solc)
    except (OSError, ValueError, SolcError) as error:
        raise CompilerUnusable(f"cannot compile {CONTRACT} in {root}: {error}") from error
    return _artifact(output, workbench.sources)


def prepare(root: Path) -> Workbench:
    """Read the sources in a checkout of the project and install the compiler.

    Args:
        root: Folder that holds contracts/ and package.json.

    Raises:
        CompilerUnusable: The sources, npm or the compiler are missing.
    """
    try:
        packages = _install_packages((root / "package.json").read_bytes())
        return Workbench(_read_sources(root), _solc(packages))
    except (OSError, ValueError) as error:
        raise CompilerUnusable(f"cannot compile {CONTRACT} in {root}: {error}") from error


def _read_sources(root: Path) -> dict[str, str]:
    paths = sorted((root / "contracts").glob("*.sol"))
    return {f"contracts/{path.name}": path.read_text("utf-8") for path in paths}


def _artifact(output: dict[str, Any], sources: dict[str, str]) -> Artifact:
    contract = output["contracts"][f"contracts/{CONTRACT}.sol"][CONTRACT]
    return Artifact(
        abi=contract["abi"],
        bytecode="0x" + contract["evm"]["bytecode"]["object"],
        deployed_bytecode="0x" + contract["evm"]["deployedBytecode"]["object"],
        compiler=json.loads(contract["metadata"])["compiler"]["version"],
        settings=SETTINGS,
        sources={name: hashlib.sha256(text.encode()).hexdigest() for name, text in sources.items()},
    )


def _solc(packages: Path) -> Path:
    version = json.loads((packages / "package.json").read_bytes())["dependencies"]["solc"]
    try:
        return solcx.install.get_executable(version)
    except SolcNotInstalled:
        return packages / "solc"


def _install_packages(package_json: bytes) -> Path:
    """Install the packages of package.json into a cache folder, once, and return the folder."""
    cache = platformdirs.user_cache_path("ganchor") / "solc"
    folder = cache / hashlib.sha256(package_json + SOLC_SCRIPT.encode()).hexdigest()[:16]
    if folder.exists():
        return folder
    cache.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(dir=cache))
    (building / "package.json").write_bytes(package_json)
    script = building / "solc"
    script.write_text(SOLC_SCRIPT)
    script.chmod(0o755)
    try:
        _npm_install(building)
        try:
            building.replace(folder)
        except OSError:
            if not folder.exists():  # Otherwise another process was faster.
                raise
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return folder


def _npm_install(folder: Path) -> None:
    command = ["npm", "install", "--no-audit", "--no-fund", "--no-package-lock"]
    try:
        subprocess.run(
            command, cwd=folder, check=True, capture_output=True, text=True, timeout=NPM_SECONDS
        )
    except FileNotFoundError as error:
        raise CompilerUnusable(
            "npm is not installed; it provides the compiler (see package.json)"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise CompilerUnusable(f"npm gave no answer for {NPM_SECONDS} s") from error
    except subprocess.CalledProcessError as error:
        raise CompilerUnusable(f"npm install failed: {error.stderr.strip()}") from error
