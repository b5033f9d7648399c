"""A command ends with 0, with 1 for findings and nothing else, or with 2 and one line, whatever happens to it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import typer
from commanding import Ganchor, Live
from proxy import EVERY, Reply, proxy_to, refusal

from chain.errors import ChainRefused, TaskUnknown
from fl_node.cli.app import run
from fl_node.cli.exits import FAILED, INTERRUPTED, WITH_FINDINGS, FindingsReported
from fl_node.errors import BlobMissing, Misuse


def raising(error: BaseException) -> Callable[[], object]:
    def command() -> object:
        raise error

    return command


def code_of(command: Callable[[], object]) -> int:
    with pytest.raises(SystemExit) as ended:
        run(command)
    assert isinstance(ended.value.code, int)
    return ended.value.code


class TestCodes:
    @pytest.mark.parametrize(
        ("error", "line"),
        [
            (TaskUnknown(9), "error: the contract refused: TaskUnknown(task=9)"),
            (Misuse("no"), "error: no"),
            (BlobMissing("gone"), "error: gone"),
            (ChainRefused("\x1b[2Jverdict: clean\n"), r"error: \x1b[2Jverdict: clean"),
            (FileNotFoundError(2, "No such file", "x"), "error: x: No such file"),
            (
                KeyError("x"),
                "error: unexpected KeyError: 'x' (set GANCHOR_TRACEBACK=1 to see where)",
            ),
            (
                MemoryError(),
                "error: unexpected MemoryError:  (set GANCHOR_TRACEBACK=1 to see where)",
            ),
            (RecursionError("deep"), "error: unexpected RecursionError: deep"),
        ],
        ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
    )
    def test_an_error_is_one_line_and_2(
        self, capsys: pytest.CaptureFixture[str], error: Exception, line: str
    ) -> None:
        assert code_of(raising(error)) == FAILED
        said = capsys.readouterr()
        assert said.out == ""
        assert " ".join(said.err.split()).startswith(" ".join(line.split()))
        assert said.err.count("\n") == 1

    def test_an_error_of_any_length_is_cut(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert code_of(raising(Misuse("x" * 10_000_000))) == FAILED
        assert len(capsys.readouterr().err) < 5_000

    def test_whoever_wants_it_sees_where_an_unexpected_error_happened(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("GANCHOR_TRACEBACK", "1")
        assert code_of(raising(KeyError("x"))) == FAILED
        assert "Traceback" in capsys.readouterr().err

    @pytest.mark.parametrize(
        ("error", "code"),
        [
            (FindingsReported(), WITH_FINDINGS),
            (SystemExit(0), 0),
            (SystemExit(None), 0),
            (SystemExit(1), FAILED),  # as typer and rich end when a pipe is closed
            (SystemExit(2), FAILED),
            (SystemExit("words"), FAILED),
            (SystemExit(INTERRUPTED), INTERRUPTED),
            (KeyboardInterrupt(), INTERRUPTED),
        ],
        ids=repr,
    )
    def test_other_ends(self, error: BaseException, code: int) -> None:
        assert code_of(raising(error)) == code

    def test_what_returns_is_0(self) -> None:
        assert code_of(lambda: None) == 0


PRINTS = """
import sys
from fl_node.cli.app import run
from fl_node.cli.exits import FindingsReported

def {name}():
    {body}

run({name})
"""


class TestClosedPipes:
    @pytest.mark.parametrize(
        ("body", "code"),
        [
            ("[print(number) for number in range(100_000)]", FAILED),
            (
                "[__import__('rich.console').console.Console().print(n) for n in range(5_000)]",
                FAILED,
            ),
            ("[__import__('typer').echo(number) for number in range(100_000)]", FAILED),
            ("sys.stdin.readline(); print('late')", FAILED),
            ("sys.stdin.readline(); print('late'); raise FindingsReported", WITH_FINDINGS),
        ],
        ids=["print", "rich", "echo", "buffered", "findings"],
    )
    def test_a_reader_that_leaves_is_no_finding(self, body: str, code: int) -> None:
        program = PRINTS.format(name="command", body=body)
        process = subprocess.Popen(
            [sys.executable, "-c", program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"},
        )
        assert process.stdout is not None
        process.stdout.close()
        _, said = process.communicate(b"go on\n", timeout=60)
        assert process.returncode == code
        assert said == b""


HOSTILE = "\x1b[2J\x1b[H\x9b31m\u202everdict: clean\r\n[green]ok[/green] [/red]" + "x" * 100_000


def options_of(live: Live, command: str) -> list[str]:
    return live.chain_options if command == "status" else live.options


class TestWhatAnEndpointSays:
    @pytest.mark.parametrize("command", ["status", "audit"])
    def test_its_errors_reach_the_terminal_as_text(
        self, ganchor: Ganchor, live: Live, command: str
    ) -> None:
        with proxy_to(live.url) as proxy:
            proxy.on("eth_call", lambda request, ask: refusal(request, HOSTILE))
            outcome = ganchor(command, *options_of(live.through(proxy.url), command))
        assert outcome.code == FAILED
        assert outcome.err.rstrip("\n").isprintable()
        assert r"\x1b[2J\x1b[H\x9b31m\u202everdict: clean [green]ok[/green] [/red]" in outcome.err
        assert len(outcome.err) < 5_000

    @pytest.mark.parametrize("body", [b"[" * 300_000, b"\xff", b"{}", b""])
    @pytest.mark.parametrize("command", ["status", "audit"])
    def test_whatever_it_answers_is_no_finding(
        self, ganchor: Ganchor, live: Live, command: str, body: bytes
    ) -> None:
        def spoil(request: Any, ask: Any) -> Any:
            return Reply(body) if "eth_chainId" in proxy.asked[:-1] else ask()

        with proxy_to(live.url) as proxy:
            proxy.on(EVERY, spoil)
            outcome = ganchor(command, *options_of(live.through(proxy.url), command))
        assert outcome.code == FAILED
        assert outcome.err.startswith("error: http://127.0.0.1:")
        assert outcome.err.count("\n") == 1


def test_a_prompt_that_nobody_answers_is_2() -> None:
    assert code_of(raising(typer.Exit(1))) == FAILED


NONSENSE = {
    "a count out of range": ("eth_call", lambda words: words[:2] + "f" * len(words[2:])),
    "logs backwards": ("eth_getLogs", lambda found: found[::-1]),
    "a block beyond all measure": ("eth_blockNumber", lambda number: "0x7fffffffffffffff"),
    "a time beyond all measure": (
        "eth_getLogs",
        lambda found: [log | {"blockTimestamp": "0x" + "f" * 60} for log in found],
    ),
    "no list": ("eth_getLogs", lambda found: None),
}


@pytest.mark.parametrize("nonsense", NONSENSE)
@pytest.mark.parametrize("command", ["status", "audit", "log", "tasks"])
def test_nonsense_of_an_endpoint_is_no_finding(
    ganchor: Ganchor, live: Live, command: str, nonsense: str
) -> None:
    method, change = NONSENSE[nonsense]
    told = []

    def spoil(genuine: Any) -> Any:
        told.append(change(genuine) != genuine)
        return change(genuine)

    with proxy_to(live.url) as proxy:
        proxy.change(method, spoil)
        there = live.through(proxy.url)
        options = there.options if command in ("audit", "tasks") else there.chain_options
        outcome = ganchor(command, *options)
    assert outcome.code == (FAILED if any(told) else 0), outcome
    assert outcome.err.startswith("error: " if any(told) else "")
