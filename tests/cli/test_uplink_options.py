"""How `ganchor node` measures its uplink, and what it says of a slow one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from doubles import state_at

from chain.types import Phase, Receipt
from fl_node.blobs.store import Speed, Store, open_store
from fl_node.cli.node.machines import MachineDisplay
from fl_node.cli.node.people import PeopleDisplay
from fl_node.cli.node.uplink import measured, uploading
from fl_node.errors import StoreSlow
from fl_node.member.next_action import Action
from fl_node.member.participant import Step
from fl_node.member.uplink import Slow

SLOW = Slow(14_300_000, 250_000, 30, early=False)
STATE = state_at(Phase.COMMIT)
COMMITTED = Step(Action.COMMIT, STATE, Receipt(None, 7, 50_000, ()), slow=SLOW)


class Probed:
    """A store that notes what it was measured with."""

    def __init__(self, outcome: Speed | StoreSlow) -> None:
        self.outcome = outcome
        self.sizes: list[int] = []

    def measure(self, size: int, ends: float) -> Speed:
        self.sizes.append(size)
        if isinstance(self.outcome, StoreSlow):
            raise self.outcome
        return self.outcome


@pytest.mark.parametrize(
    ("update", "sent"), [(1000, 1 << 16), (1_400_000, 175_000), (1 << 30, 1 << 20)]
)
def test_an_eighth_of_an_update_is_sent_within_bounds(update: int, sent: int) -> None:
    store = Probed(Speed(up=5.0, down=7.0))
    assert measured(store, update) == 5.0  # type: ignore[arg-type]
    assert store.sizes == [sent]


def test_what_does_not_end_in_time_says_how_slow_it_is_at_best() -> None:
    store = Probed(StoreSlow("given up", 0, 1 << 20, 10.0))
    assert measured(store, 1 << 30) == pytest.approx((1 << 20) / 10)  # type: ignore[arg-type]


def test_a_folder_is_measured_and_left_as_it_was(tmp_path: Path) -> None:
    store: Store = open_store(tmp_path)
    assert measured(store, 1) > 0
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_uploads_end_with_their_block(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    with uploading(store) as uploads:
        uploads.send(b"1" * 32, lambda: b"blob", float("inf"))
        assert uploads.arrived(b"1" * 32, 20)


@pytest.mark.parametrize("said", [SLOW, COMMITTED], ids=["at the start", "with a commitment"])
def test_people_read_the_warning(said: Slow | Step, capsys: pytest.CaptureFixture[str]) -> None:
    with PeopleDisplay() as display:
        display.show(said)
    assert "takes about 57 s at 2.0 Mbit/s; the reveal window is 30 s" in capsys.readouterr().out


def test_machines_read_its_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    display = MachineDisplay()
    display.show(SLOW)
    display.show(COMMITTED)
    alone, beside = map(json.loads, capsys.readouterr().out.splitlines())
    numbers = {"bytes": 14_300_000, "bytes_per_second": 250_000, "seconds": 57, "window": 30}
    assert alone["event"] == "slow uplink"
    assert numbers.items() <= alone.items()
    assert (beside["event"], beside["slow"]) == ("commit", numbers)
