"""The page's primitives and rules, against the ones in Python: the same bytes, the same refusals."""

from __future__ import annotations

import hashlib
import hmac
import subprocess
from dataclasses import replace

import pytest
from asking import HERE, NODE, PAGE, Page, Refused, log_of, site_of
from eth_utils.crypto import keccak
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chain.accounts import to_address
from chain.errors import CallRejected
from chain.history import commitment_of, draw, head_of
from chain.memory_ledger import MemoryLedger
from chain.types import Entry, Phase, Reveal, Terms, UpdateRevealed, indices
from fl_node.audit.replay import replay

ENOUGH = settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
COMPILER = HERE / "node_modules" / "typescript" / "bin" / "tsc"
MEMBERS = [to_address(f"0x{number:040x}") for number in (0x11, 0x22, 0x33, 0x44)]


@pytest.mark.slow
def test_the_modules_have_the_types_that_they_say() -> None:
    if NODE is None or not COMPILER.exists():
        pytest.skip(f"npm install --prefix {HERE.relative_to(HERE.parent.parent)}")
    config = PAGE / "tsconfig.json"
    ended = subprocess.run([NODE, COMPILER, "-p", config], capture_output=True, text=True)
    assert ended.stdout == ""
    assert ended.returncode == 0


def test_the_page_needs_nothing_from_anywhere() -> None:
    """And what computes knows no page, so that it runs in a worker and in node."""
    for module in PAGE.rglob("*.js"):
        text = module.read_text()
        imports = [
            line.rpartition('from "')[2] for line in text.splitlines() if line.startswith("import ")
        ]
        assert all(name.startswith(".") for name in imports), module
        shows = module.parent.name == "view" or module.name == "main.js"
        assert shows or "document." not in text, module


class TestHashes:
    @ENOUGH
    @given(st.binary(max_size=500))
    def test_keccak256(self, page: Page, content: bytes) -> None:
        assert page.ask("keccak256", content.hex()) == keccak(content).hex()

    @ENOUGH
    @given(st.lists(st.binary(max_size=200), max_size=6))
    def test_sha256_in_pieces(self, page: Page, pieces: list[bytes]) -> None:
        found = page.ask("sha256", [piece.hex() for piece in pieces])
        assert found == hashlib.sha256(b"".join(pieces)).hexdigest()

    @pytest.mark.parametrize("size", [0, 4095, 4096, 100_000])
    def test_digests_of_blobs(self, page: Page, size: int) -> None:
        content = bytes(i % 256 for i in range(size))
        assert page.ask("digestOf", size) == hashlib.sha256(content).hexdigest()

    @ENOUGH
    @given(st.binary(max_size=150), st.binary(max_size=150))
    def test_hmac(self, page: Page, key: bytes, message: bytes) -> None:
        assert (
            page.ask("hmac", key.hex(), message.hex()) == hmac.digest(key, message, "sha256").hex()
        )

    @ENOUGH
    @given(st.binary(min_size=20, max_size=20))
    def test_checksums_of_addresses(self, page: Page, address: bytes) -> None:
        lower = "0x" + address.hex()
        assert page.ask("checksummed", lower) == to_address(lower)


@ENOUGH
@given(st.data())
def test_work_begun_ahead_gives_its_results_in_order(page: Page, data: st.DataObject) -> None:
    turns = data.draw(st.lists(st.integers(0, 5), max_size=8))
    failing = data.draw(st.sets(st.integers(0, 7), max_size=2)) & set(range(len(turns)))
    most = data.draw(st.integers(1, 4))
    first = min(failing, default=len(turns))
    answer = page.ask("abreast", turns, sorted(failing), most)
    assert answer["given"] == list(range(first))
    assert answer["fault"] == (first if failing else None)
    assert answer["atOnce"] <= most


class Clock:
    now = 1_000

    def __call__(self) -> int:
        return self.now


@st.composite
def histories(draw: st.DrawFn) -> MemoryLedger:
    """A task's log of random calls, by members who mostly do what is awaited of them, and at any time."""
    clock = Clock()
    ledger = MemoryLedger(MEMBERS[0], clock=clock)
    size = draw(st.integers(1, len(MEMBERS)))
    floor = draw(st.integers(1, size))
    terms = Terms(
        rounds=draw(st.integers(1, 3)),
        commit_window=10,
        reveal_window=10,
        attest_window=10,
        cohort_fraction=draw(st.sampled_from([1, 5_000, 10_000])),
        cohort_floor=floor,
        min_updates=draw(st.integers(1, min(2, floor))),
        quorum=draw(st.sampled_from([5_000, 9_999])),
    )
    ledger.open_task(bytes([1]) * 32, bytes([2]) * 32, MEMBERS[:size], terms)
    for _ in range(draw(st.integers(0, 30))):
        clock.now += draw(st.sampled_from([0, 1, 1, 20]))
        state = ledger.task_state(1)
        awaited = list(indices(state.awaited)) or [0]
        member = draw(st.sampled_from(awaited))
        try:
            _act(draw, ledger.acting_as(MEMBERS[member]), member)
        except CallRejected:
            continue
    return ledger


def _act(draw: st.DrawFn, ledger: MemoryLedger, member: int) -> None:
    state = ledger.task_state(1)
    round = state.round
    examples = draw(st.sampled_from([1, 2**53 + 1, 2**64 - 1]))
    opening = Reveal(bytes([member + 1]) * 32, examples, -(2**63), 2**63 - 1, bytes([9]) * 32)
    if draw(st.integers(0, 9)) == 0:
        ledger.rejoin(1)
    elif state.phase is Phase.COMMIT and draw(st.integers(0, 3)):
        # The number of examples is drawn anew at the reveal, so that some commitments are not opened.
        ledger.commit(
            1, round, commitment_of(1337, ledger.contract, 1, round, MEMBERS[member], opening)
        )
    elif state.phase is Phase.COMMIT:
        ledger.skip(1, round)
    elif state.phase is Phase.REVEAL:
        ledger.reveal(1, round, opening)
    elif state.phase is Phase.ATTEST:
        ledger.attest(
            1, round, draw(st.sampled_from([bytes([3]) * 32, state.parent_digest])), state.revealed
        )
    else:
        ledger.advance(1)
    if draw(st.booleans()):
        ledger.advance(1)


@st.composite
def tampered(draw: st.DrawFn, entries: list[Entry]) -> list[Entry]:
    """The log with one entry lost, repeated, moved, or of another time or round."""
    at = draw(st.integers(0, len(entries) - 1))
    entry = entries[at]
    how = draw(st.sampled_from(["none", "lost", "repeated", "moved", "time", "cut", "round"]))
    changed = list(entries)
    if how == "lost":
        del changed[at]
    elif how == "repeated":
        changed.insert(at, entry)
    elif how == "moved":
        changed.insert(draw(st.integers(0, len(entries) - 1)), changed.pop(at))
    elif how == "time":
        changed[at] = replace(entry, timestamp=entry.timestamp + draw(st.sampled_from([-1, 1, 30])))
    elif how == "cut":
        del changed[at:]
    elif how == "round" and hasattr(entry.event, "round"):
        changed[at] = replace(entry, event=replace(entry.event, round=entry.event.round + 1))
    return [replace(entry, block_number=i) for i, entry in enumerate(changed)]


class TestHistory:
    @ENOUGH
    @given(st.data())
    def test_heads_commitments_and_replays(self, page: Page, data: st.DataObject) -> None:
        ledger = data.draw(histories())
        site = site_of(ledger.chain_id, ledger.contract, 1)
        entries = data.draw(tampered(list(ledger.history(1))))
        logs = [log_of(ledger.contract, entry) for entry in entries]
        head = head_of(ledger.chain_id, ledger.contract, 1, entries)
        assert page.ask("head", site, logs) == head.hex()
        reveals = [entry.event for entry in entries if isinstance(entry.event, UpdateRevealed)]
        assert page.ask("commitments", site, logs) == [
            commitment_of(1337, ledger.contract, 1, one.round, one.client, one.reveal).hex()
            for one in reveals
        ]
        divergence = replay(ledger.chain_id, ledger.contract, 1, entries)
        expected = (
            None
            if divergence is None
            else "the log ends too early"
            if divergence.recorded is None
            else entries.index(divergence.recorded)
        )
        assert page.ask("replay", site, logs) == expected

    @ENOUGH
    @given(st.binary(min_size=32, max_size=32), st.integers(1, 2**96 - 1), st.integers(1, 96))
    def test_cohorts(self, page: Page, seed: bytes, present: int, size: int) -> None:
        size = min(size, present.bit_count())
        found = page.ask("draw", seed.hex(), str(present), size)
        assert int(found) == draw(seed, present, size)

    @pytest.mark.parametrize(
        "spoil",
        [
            {"address": "0x00000000000000000000000000000000000000c1"},
            {"topics": []},
            {"topics": ["0x" + "00" * 32]},
            {"data": "0x"},
        ],
    )
    def test_a_log_that_is_none_of_the_tasks_is_refused(
        self, page: Page, spoil: dict[str, object]
    ) -> None:
        ledger = MemoryLedger(MEMBERS[0])
        terms = Terms(1, 10, 10, 10, 10_000, 1, 1, 5_000)
        ledger.open_task(bytes([1]) * 32, bytes([2]) * 32, MEMBERS, terms)
        logs = [log_of(ledger.contract, entry) for entry in ledger.history(1)]
        site = site_of(ledger.chain_id, ledger.contract, 1)
        page.ask("head", site, logs)
        for one in (
            spoil,
            {"data": logs[0]["data"] + "00"},
            {"topics": [*logs[0]["topics"], "0x" + "00" * 32]},
        ):
            with pytest.raises(Refused, match="log"):
                page.ask("head", site, [{**logs[0], **one}, *logs[1:]])
        with pytest.raises(Refused, match="log"):
            page.ask("head", site, logs[::-1])
        with pytest.raises(Refused, match="log"):
            page.ask("head", {**site, "task": "2"}, logs)
