"""`ganchor receipt`: written from a chain, a folder or a bundle, and checked with none of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from commanding import MEMBERS, Ganchor, Live
from planting import PLANTS, Plant

from chain.accounts import address_of
from fl_node.blobs.canonical import canonical_json
from fl_node.cli.workspace import Workspace

ANA = address_of(MEMBERS[0])


def head_of(live: Live) -> str:
    return live.ledger().task_state(live.finished).history_head.hex()


def written(ganchor: Ganchor, live: Live, *more: object) -> dict[str, object]:
    """A receipt of Ana's first update in receipt.json; what the command says of it."""
    words = ("--round", 1, "--member", ANA, "--json", *more)
    done = ganchor("receipt", *words, *live.chain_options)
    assert (done.code, done.err) == (0, "")
    said: dict[str, object] = json.loads(done.out)
    return said


def test_is_checked_where_there_is_no_chain(ganchor: Ganchor, live: Live, tmp_path: Path) -> None:
    head = head_of(live)
    done = ganchor("receipt", "--round", 1, "--member", ANA.lower(), *live.chain_options)
    assert (done.code, done.err) == (0, "")
    first, reason, follow_up = done.out.splitlines()
    assert first.startswith("wrote receipt.json: update ")
    sentence = first.removeprefix("wrote receipt.json: ")
    assert sentence.endswith(f" of member {ANA} is in round 1 of head {head}")
    assert follow_up.endswith(f"receipt --check receipt.json --expect-head {head}")
    checked = ganchor("receipt", "--check", "receipt.json", "--expect-head", head)
    assert (checked.code, checked.err) == (0, "")
    assert checked.out.splitlines()[:2] == [sentence, reason]
    assert "no proof yet" not in checked.out
    assert [*tmp_path.iterdir()] == [tmp_path / "receipt.json"]


def test_without_a_head_it_says_that_this_is_no_proof(ganchor: Ganchor, live: Live) -> None:
    written(ganchor, live)
    checked = ganchor("receipt", "--check", "receipt.json")
    assert checked.code == 0 and "no proof yet: compare the head" in checked.out


def test_says_for_machines_what_it_says_for_people(ganchor: Ganchor, live: Live) -> None:
    said = written(ganchor, live)
    update = next(one.reveal.update_digest.hex() for one in live.reveals() if one.client == ANA)
    assert said == {
        "file": "receipt.json",
        "chain_id": live.ledger().chain_id,
        "contract": live.ledger().contract,
        "task": live.finished,
        "history_head": head_of(live),
        "round": 1,
        "member": ANA,
        "update": update,
        "attempt": 0,
        "outcome": "included",
        "events": len([*live.ledger().history(live.finished)]),
    }
    checked = ganchor("receipt", "--check", "receipt.json", "--json")
    assert json.loads(checked.out) == {**said, "cosigned": [], "findings": []}


def test_that_an_update_is_not_in_a_round(ganchor: Ganchor, live: Live) -> None:
    digest = "AB" * 32
    assert written(ganchor, live, "--update", f"0x{digest}")["outcome"] == "not revealed"
    checked = ganchor("receipt", "--check", "receipt.json", "--expect-head", head_of(live))
    assert checked.code == 0
    assert f"update {digest.lower()} of member {ANA} is not in round 1" in checked.out


def test_a_folder_and_a_bundle_give_the_same_file(
    ganchor: Ganchor, workspace: Workspace, live: Live
) -> None:
    written(ganchor, live)
    assert ganchor("export", "task.zip", *live.options).code == 0
    what = ("--round", 1, "--member", ANA, "--out")
    assert ganchor("receipt", *what, "two.json", "--workspace", workspace.folder).code == 0
    assert ganchor("receipt", *what, "three.json", "--bundle", "task.zip").code == 0
    files = [Path(name).read_bytes() for name in ("receipt.json", "two.json", "three.json")]
    assert len({*files}) == 1


class TestWitnesses:
    @pytest.fixture(autouse=True)
    def cosigned(self, ganchor: Ganchor, live: Live, alice: str) -> None:
        """Alice has signed the finished task's head, in cosigned.txt."""
        signing = ("--key", "key", "--once", "--task", live.finished)
        assert ganchor("witness", *signing, *live.chain_options).code == 0

    def test_one_takes_the_place_of_a_head(self, ganchor: Ganchor, live: Live, alice: str) -> None:
        written(ganchor, live)
        words = ("receipt", "--check", "receipt.json", "--cosigned", "cosigned.txt")
        checked = ganchor(*words, "--witness", alice)
        assert (checked.code, checked.err) == (0, "")
        assert "no proof yet" not in checked.out
        assert "cosigned by alice.example/witness at " in checked.out
        (cosigned,) = json.loads(ganchor(*words, "--witness", alice, "--json").out)["cosigned"]
        assert cosigned["checked"] and cosigned["head"] == head_of(live)

    def test_whose_key_nobody_gave_proves_nothing(self, ganchor: Ganchor, live: Live) -> None:
        written(ganchor, live)
        checked = ganchor("receipt", "--check", "receipt.json", "--cosigned", "cosigned.txt")
        assert checked.code == 0 and "no proof yet" in checked.out
        assert "not checked, give its key with --witness: cosigned by alice" in checked.out

    def test_one_that_signed_nothing_ends_with_1(
        self, ganchor: Ganchor, live: Live, alice: str
    ) -> None:
        written(ganchor, live)
        checked = ganchor("receipt", "--check", "receipt.json", "--witness", alice)
        assert checked.code == 1
        assert "none of the given witnesses has cosigned this history" in checked.out


class TestWhatIsFalse:
    def test_another_head_ends_with_1(self, ganchor: Ganchor, live: Live) -> None:
        written(ganchor, live)
        checked = ganchor("receipt", "--check", "receipt.json", "--expect-head", "ab" * 32)
        assert (checked.code, checked.err) == (1, "")
        says, because = checked.out.splitlines()
        assert says.startswith("false: update ")
        assert because == f"expected the head {'ab' * 32}, got {head_of(live)}"

    def test_an_altered_claim_ends_with_1(self, ganchor: Ganchor, live: Live) -> None:
        written(ganchor, live)
        value = json.loads(Path("receipt.json").read_bytes())
        value["claim"]["outcome"] = "left out"
        Path("receipt.json").write_bytes(canonical_json(value))
        checked = ganchor("receipt", "--check", "receipt.json", "--json")
        assert (checked.code, checked.err) == (1, "")
        (finding,) = json.loads(checked.out)["findings"]
        assert finding.startswith("the log says: update ") and "is in round 1" in finding

    @pytest.mark.parametrize("plant", PLANTS)
    @pytest.mark.timeout(120)
    def test_what_is_no_file_is_no_receipt(
        self, ganchor: Ganchor, tmp_path: Path, plant: Plant
    ) -> None:
        plant(tmp_path / "receipt.json")
        outcome = ganchor("receipt", "--check", tmp_path / "receipt.json")
        assert (outcome.code, outcome.out) == (2, "")
        assert outcome.err.startswith("error: ") and outcome.err.count("\n") == 1


class TestMisuse:
    @pytest.mark.parametrize(
        ("words", "says"),
        [
            ((), "give --round and --member"),
            (("--round", 1), "give --round and --member"),
            (("--round", 1, "--member", ANA, "--expect-head", "ab" * 32), "belong to --check"),
            (("--round", 1, "--member", ANA, "--cosigned", "x.txt"), "belong to --check"),
            (("--round", 1, "--member", "Ana"), "--member: expected an address"),
            (("--round", 1, "--member", ANA, "--update", "ab"), "--update: expected 64 hex digits"),
            (("--check", "x", "--expect-head", "ab"), "--expect-head: expected 64 hex digits"),
            (("--round", 3, "--member", ANA), "round 3 is not final at this head"),
            (("--round", 1, "--member", "0x" + "12" * 20), "is no member of the task"),
        ],
    )
    def test_is_one_line_and_leaves_no_file(
        self, ganchor: Ganchor, live: Live, words: tuple[object, ...], says: str
    ) -> None:
        outcome = ganchor("receipt", *words, *live.chain_options)
        assert (outcome.code, outcome.out) == (2, "")
        assert says in outcome.err and outcome.err.count("\n") == 1
        assert not Path("receipt.json").exists()

    def test_bundle_and_workspace_are_two_histories(
        self, ganchor: Ganchor, workspace: Workspace
    ) -> None:
        what = ("--round", 1, "--member", ANA, "--bundle", "task.zip")
        outcome = ganchor("receipt", *what, "--workspace", workspace.folder)
        assert (outcome.code, outcome.err) == (2, "error: give either --bundle or --workspace\n")
