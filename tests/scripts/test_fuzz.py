"""Hostile input for every decoder: some of it in every run, from seeds of its own; and the script that goes on."""

from __future__ import annotations

from random import Random

import fuzz
import pytest
from fuzzing import trying
from fuzzing.decoders import DECODERS, Decoder
from fuzzing.mutations import MUTATIONS, mutated
from fuzzing.trying import Broke, Tally, try_seed

INPUTS = 400

every_decoder = pytest.mark.parametrize("name", DECODERS)


@every_decoder
def test_genuine_input_is_accepted(name: str) -> None:
    for sample in DECODERS[name].samples:
        DECODERS[name].read(sample)


@every_decoder
def test_hostile_input_is_accepted_or_refused_and_nothing_else(name: str) -> None:
    tally = Tally()
    for seed in range(INPUTS):
        try_seed(DECODERS[name], seed, tally)
    assert tally.tried == INPUTS
    assert tally.accepted > 0
    assert tally.refused or not DECODERS[name].refusals


@pytest.mark.parametrize("mutation", set(MUTATIONS), ids=lambda mutation: mutation.__name__)
def test_a_mutation_changes_something_and_stays_small(mutation) -> None:
    samples = DECODERS["update"].samples
    changed = [mutation(Random(seed), samples[seed % 2], samples) for seed in range(50)]
    assert sum(one not in samples for one in changed) > 25
    assert max(map(len, changed)) < 1 << 20


def test_a_seed_gives_the_same_input_again() -> None:
    samples = DECODERS["manifest"].samples
    assert [mutated(Random(seed), samples) for seed in range(50)] == [
        mutated(Random(seed), samples) for seed in range(50)
    ]


def fails(content: bytes) -> None:
    raise KeyError("a foreign error")


def takes_anything(content: bytes) -> None:
    raise AssertionError("taken, and it was not canonical")


@pytest.mark.parametrize("read", [fails, takes_anything])
def test_another_error_is_reported_with_its_seed(read, monkeypatch, capsys) -> None:
    broken = Decoder([b"[1]"], read, (ValueError,))
    with pytest.raises(Broke, match=r"^seed 17: .*bytes: b'"):
        try_seed(broken, 17, Tally())
    monkeypatch.setitem(fuzz.DECODERS, "json", broken)
    assert fuzz.main(["--decoder", "json", "--seed", "17"]) == 1
    assert "again: --decoder 'json' --seed 17 --inputs 1" in capsys.readouterr().out


def test_a_slow_input_is_reported(monkeypatch) -> None:
    monkeypatch.setattr(trying, "SLOW", -1.0)
    with pytest.raises(Broke, match=r"seed 3: took .* s"):
        try_seed(Decoder([b"[1]"], len, ()), 3, Tally())


def test_the_script_prints_a_row_for_each_decoder(capsys) -> None:
    words = ["--decoder", "json", "--decoder", "update", "--inputs", "30", "--seed", "5"]
    assert fuzz.main(words) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("seeds from 5 on")
    assert [line.split()[:2] for line in lines[2:]] == [["json", "30"], ["update", "30"]]
    assert "BlobMalformed" in lines[3]
