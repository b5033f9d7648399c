"""Asks the page's modules, in one node process that stays."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple
from pathlib import Path
from typing import Any

from eth_abi.abi import encode

from chain.history import ARGUMENTS, SELECTORS
from chain.types import Entry

HERE = Path(__file__).parent
PAGE = HERE.parent.parent / "fl_node" / "explorer" / "page"
NODE = shutil.which("node")
INDEXED = ("task", "coordinator", "round", "client", "member")


class Refused(Exception):
    """The page refuses what it was given; the rule that it names."""


class Page:
    """The page's modules."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def ask(self, name: str, *arguments: Any) -> Any:
        """What a function of `answering.mjs` answers.

        Raises:
            Refused: It found bad data.
        """
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(json.dumps({"ask": name, "of": arguments}) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        if "fault" in answer:
            raise Refused(answer["fault"])
        return answer["value"]


@contextmanager
def opened_page() -> Iterator[Page]:
    assert NODE
    with subprocess.Popen(
        [NODE, str(HERE / "answering.mjs")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield Page(process)
        process.stdin.close()  # type: ignore[union-attr]


def site_of(chain_id: int, contract: str, task: int) -> dict[str, str]:
    return {"chain_id": str(chain_id), "contract": contract, "task": str(task)}


def log_of(contract: str, entry: Entry) -> dict[str, Any]:
    """An entry as an endpoint gives its log."""
    kinds, values = ARGUMENTS[type(entry.event)], astuple(entry.event)
    names = entry.event.__dataclass_fields__
    count = next((i for i, name in enumerate(names) if name not in INDEXED), len(names))
    topics = [SELECTORS[type(entry.event)]]
    topics += [encode([kind], [value]) for kind, value in zip(kinds, values, strict=True)][:count]
    return {
        "address": contract,
        "topics": ["0x" + topic.hex() for topic in topics],
        "data": "0x" + encode(kinds[count:], values[count:]).hex(),
        "block": entry.block_number,
        "logIndex": entry.log_index,
        "timestamp": entry.timestamp,
    }
