"""`ganchor witness`, and what `ganchor audit` and `ganchor export` make of its file."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from commanding import Ganchor, Live

from chain import answers
from chain.connection import connect
from chain.errors import ChainUnreachable, TaskUnknown
from chain.history import head_of
from chain.types import Phase
from chain.web3_ledger import Web3Ledger
from fl_node.cli import wiring
from fl_node.cli import witness as command
from fl_node.errors import ExtensionRefused


def witness(ganchor: Ganchor, live: Live, *more: object, task: int = 1) -> tuple[int, str, str]:
    words = ("--task", task, "--key", "key", "--once", *live.chain_options, *more)
    done = ganchor("witness", *words)
    return done.code, done.out, done.err


def test_what_a_witness_signs_shows_in_the_audit(ganchor: Ganchor, live: Live, alice: str) -> None:
    code, out, err = witness(ganchor, live)
    assert (code, err) == (0, "")
    head = live.ledger().task_state(live.finished).history_head.hex()
    assert out.startswith("cosigned ganchor/") and head in out
    assert witness(ganchor, live) == (0, "", "")  # It is signed already.
    words = ["audit", "--cosigned", "cosigned.txt", *live.options]
    clean = ganchor(*words, "--witness", alice)
    assert clean.code == 0
    assert "cosigned by alice.example/witness at " in clean.out and f"head {head}" in clean.out
    assert "not checked" not in clean.out
    said = ganchor(*words)
    assert said.code == 0
    assert "not checked, give its key with --witness: cosigned by alice" in said.out


def test_a_bundle_carries_it(ganchor: Ganchor, live: Live, alice: str) -> None:
    assert witness(ganchor, live)[0] == 0
    assert ganchor("export", "task.zip", "--cosigned", "cosigned.txt", *live.options).code == 0
    audited = ganchor("audit", "--bundle", "task.zip", "--witness", alice, "--json")
    assert audited.code == 0
    (cosigned,) = json.loads(audited.out)["cosigned"]
    assert cosigned["checked"] and cosigned["witness"] == "alice.example/witness"
    assert cosigned["head"] == json.loads(audited.out)["history_head"]


def test_a_witness_that_signed_nothing_here_is_a_finding(
    ganchor: Ganchor, live: Live, alice: str
) -> None:
    audited = ganchor("audit", "--witness", alice, "--json", *live.options)
    assert audited.code == 1
    (finding,) = json.loads(audited.out)["steps"]["A2"]["findings"]
    assert finding["message"] == "none of the given witnesses has cosigned this history"


def test_notes_of_another_task_do_not_go_into_a_bundle(
    ganchor: Ganchor, live: Live, alice: str
) -> None:
    assert witness(ganchor, live, task=live.open)[0] == 0
    refused = ganchor("export", "task.zip", "--cosigned", "cosigned.txt", *live.options)
    assert refused.code == 2 and "expected cosigned notes of ganchor/" in refused.err
    assert not Path("task.zip").exists()


def test_the_note_of_another_task_is_not_written_over(
    ganchor: Ganchor, live: Live, alice: str
) -> None:
    assert witness(ganchor, live)[0] == 0
    before = Path("cosigned.txt").read_bytes()
    code, out, err = witness(ganchor, live, task=live.open)
    assert (code, out) == (2, "") and "expected a note of ganchor/" in err
    assert Path("cosigned.txt").read_bytes() == before


def test_a_history_that_does_not_extend_is_refused_with_1(
    ganchor: Ganchor, live: Live, alice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "LOOK_SECONDS", 0.0)
    assert witness(ganchor, live)[0] == 0
    before = Path("cosigned.txt").read_bytes()
    ledger = live.ledger()
    shown = [*ledger.history(live.finished)][:4]  # From now on the endpoint hides the rest.
    head = head_of(ledger.chain_id, ledger.contract, live.finished, shown)
    state = replace(ledger.task_state(live.finished), history_head=head)
    monkeypatch.setattr(Web3Ledger, "history", lambda self, task, start=0: iter(shown))
    monkeypatch.setattr(Web3Ledger, "settled_state", lambda self, task: state)
    code, out, err = witness(ganchor, live)
    assert (code, out) == (1, "")
    assert err.startswith("refused: ") and "were signed before; cosigned.txt is as it was" in err
    assert Path("cosigned.txt").read_bytes() == before


@pytest.mark.parametrize("line", ["", "alice", "x+y+z"])
def test_what_is_no_key_of_a_witness_is_said(ganchor: Ganchor, line: str) -> None:
    outcome = ganchor("audit", "--witness", line)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith("error: --witness: expected a witness's key")


def test_a_block_that_is_not_deep_enough_does_not_count(live: Live) -> None:
    """One block deeper than the opening of the second task, there was no such task yet."""
    newest = connect(live.url).ask(answers.quantity, "eth_blockNumber")
    (opening, *_) = live.ledger().history(live.open)
    age = newest - opening.block_number
    ledgers = [
        wiring.open_ledger(live.url, live.place.deployment, manners=wiring.Manners(settled=depth))
        for depth in ("0", str(age + 1))
    ]
    assert ledgers[0].settled_state(live.open) == ledgers[0].task_state(live.open)
    with pytest.raises(TaskUnknown):
        ledgers[1].settled_state(live.open)
    assert ledgers[1].settled_state(live.finished) == ledgers[1].task_state(live.finished)


def test_what_is_no_note_is_said(ganchor: Ganchor, live: Live) -> None:
    Path("strange.txt").write_text("\x1b[2J")
    outcome = ganchor("audit", "--cosigned", "strange.txt", *live.options)
    assert (outcome.code, outcome.out) == (2, "")
    assert "strange.txt: no cosigned notes" in outcome.err and "\x1b" not in outcome.err


class Watching:
    """Answers each look from a list: None for what is signed already, an error, or a note."""

    def __init__(self, *answers: object) -> None:
        self.answers = [*answers]

    def look(self, head: bytes) -> object:
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


class State:
    def __init__(self, phase: Phase) -> None:
        self.phase, self.history_head = phase, bytes(32)


def notes(watching: Watching, phase: Phase = Phase.FINISHED, once: bool = False) -> list[object]:
    return [*command.notes_of(watching, lambda: State(phase), once, 0.0)]  # type: ignore[arg-type]


def test_one_refusal_may_be_an_endpoint_that_lags() -> None:
    assert notes(Watching(*[ExtensionRefused("later")] * 9, "note")) == ["note"]


def test_ten_in_a_row_are_none() -> None:
    with pytest.raises(ExtensionRefused, match="never"):
        notes(Watching(*[ExtensionRefused("never")] * 10))


def test_an_endpoint_that_is_away_is_waited_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert notes(Watching(ChainUnreachable("away"), "note")) == ["note"]
    assert capsys.readouterr().err == "waiting: away\n"


def test_once_does_not_wait() -> None:
    with pytest.raises(ChainUnreachable):
        notes(Watching(ChainUnreachable("away")), once=True)
    assert notes(Watching("note"), Phase.COMMIT, once=True) == ["note"]
