"""Random histories, of members who mostly do what is awaited of them; and the same, told with one thing altered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

from cases.case import Case, Log, case_of, logs_of
from cases.history import History, Sent
from cases.samples import ALICE, BOB, CAROL, STRANGER, history_of, manifest_of, members, moved
from hypothesis import strategies as st

from chain.types import Address, Entry, Phase, RoundFinalised, indices
from fl_node.blobs.digest import digest_of

THREE = {"count": 3}
ROBUST = {**THREE, "min_updates": 3, "cohort_floor": 3}
SPARSE = [{"kind": "top_k", "fraction": "0.25"}, {"kind": "quantise", "bits": 4, "bucket": 8}]
MANIFESTS = [
    manifest_of(rounds=THREE),
    manifest_of("scaffold", rounds=THREE),
    manifest_of({"combine": "momentum"}, rounds=THREE),
    manifest_of({"combine": "median"}, who=members(4), rounds=ROBUST),
    manifest_of(
        {"combine": "krum"}, who=members(6), rounds={**ROBUST, "min_updates": 5, "cohort_floor": 5}
    ),
    manifest_of({"encode": SPARSE}, rounds=THREE),
    manifest_of(who=members(4), rounds={**THREE, "cohort_fraction": "0.5"}),
    manifest_of(who=(ALICE,), rounds={**THREE, "cohort_floor": 1, "min_updates": 1}),
    manifest_of(rounds=THREE, limits={"update_norm": "2", "examples": 1000}),
]
SALT = bytes(range(32))
OFTEN = [True] * 7 + [False]
DEEDS = ["send"] * 8 + ["decline", "miss"]
MANNERS = ["honest"] * 7 + [
    *("copied", "stating", "sealed", "spoilt", "sealed and spoilt", "missing", "tampered", "large"),
]
EXAMPLES = [10, 10, 17, 1, 1001, 2**53 + 1, 2**64 - 1]
STATED: list[dict[str, Any]] = [
    *({"task": 2}, {"round": 9}, {"client": STRANGER}, {"parent_digest": bytes(32)}),
    *({"num_examples": 11}, {"codec": "top_k"}, {"seed": 1}, {"steps": 0}, {"steps": 2**63 - 1}),
]
VIEWED = ["history_head", "parent_digest", "manifest_digest", "genesis_digest", "terms"]


@dataclass(frozen=True)
class Played:
    """A history, and whether every model that a quorum made final in it is the one that the updates come to."""

    history: History
    honest: bool

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """As Hypothesis shows it: the history is in a folder to look at."""
        printer.text(f"{len(self.history.entries)} events, {len(self.history.blobs)} blobs")

    @property
    def case(self) -> Case:
        """The history as it was."""
        return case_of("audit", "played", self.history, {})


@dataclass(frozen=True)
class Altered:
    """A history in which something is not as it was.

    Attributes:
        case: The history as it is told.
        how: What was altered.
        lost: Whether the contract's head must give it away: it is the played history's, and the events are others.
    """

    case: Case
    how: str
    lost: bool = False

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(self.how)


# ------------------------------------------------------------------------------------ playing


@st.composite
def played(draw: st.DrawFn) -> Played:
    """A task from its opening on, for a few attempts, of which the last may be unfinished."""
    history = history_of(draw(st.sampled_from(MANIFESTS)))
    honest = True
    for _ in range(draw(st.integers(0, 4))):
        honest &= _attempt(draw, history)
        if history.state.phase is not Phase.COMMIT or history.state.awaited != history.state.cohort:
            break
        _come_back(draw, history)
    return Played(history, honest)


def _attempt(draw: st.DrawFn, history: History) -> bool:
    """Play until the attempt ends, or somebody loses interest; False if a quorum made something else final."""
    deeds = {member: draw(st.sampled_from(DEEDS)) for member in history.cohort()}
    missing = [member for member, deed in deeds.items() if deed == "miss"]
    sending = [member for member, deed in deeds.items() if deed == "send"]
    sent = {one: _update(draw, history, one) for one in draw(st.permutations(sending))}
    history.commit(sent, missing)
    _go_on(draw, history, Phase.COMMIT, missing)
    if history.state.phase is not Phase.REVEAL:
        return True
    revealed = {one: update for one, update in sent.items() if draw(st.sampled_from(OFTEN))}
    history.reveal(revealed)
    _go_on(draw, history, Phase.REVEAL, sent.keys() - revealed.keys())
    return history.state.phase is not Phase.ATTEST or _votes(draw, history)


def _go_on(draw: st.DrawFn, history: History, phase: Phase, awaited: Any) -> None:
    """Without those who are awaited, if the phase waits for them."""
    if awaited and history.state.phase is phase and draw(st.sampled_from(OFTEN)):
        history.pass_deadline()


def _votes(draw: st.DrawFn, history: History) -> bool:
    """Let everybody vote, mostly for what the round comes to."""
    result, state = history.aggregate(), history.state
    right = history.put(result.blob), result.included
    fewer = state.revealed & (state.revealed - 1) or state.revealed
    others = [(state.parent_digest, state.revealed), (right[0], fewer), right]
    agreed = right if draw(st.sampled_from(OFTEN)) else draw(st.sampled_from(others))
    for voter in indices(state.awaited):
        pair = agreed if draw(st.sampled_from(OFTEN)) else draw(st.sampled_from(others))
        history.attest(*pair, [history.manifest.addresses[voter]])
    finals = [one.event for one in history.entries if isinstance(one.event, RoundFinalised)]
    if len(finals) == state.round:
        return (finals[-1].aggregate_digest, finals[-1].included) == right
    _go_on(draw, history, Phase.ATTEST, [*indices(history.state.awaited)])
    return True


def _come_back(draw: st.DrawFn, history: History) -> None:
    for absent in indices(history.state.absent):
        if history.state.phase is not Phase.FINISHED and draw(st.booleans()):
            history.rejoin(history.manifest.addresses[absent])


def _update(draw: st.DrawFn, history: History, client: Address) -> Sent:
    """A member's update, which need not be valid."""
    examples = draw(st.sampled_from(EXAMPLES))
    honest = history.update(client, moved(history, client), examples)
    match draw(st.sampled_from(MANNERS)):
        case "copied":
            other = draw(st.sampled_from(history.cohort()))
            return history.update(client, moved(history, other), examples)
        case "stating":
            stated = {"examples": examples, **draw(st.sampled_from(STATED))}
            other = stated.pop("client", client)
            return replace(
                history.update(other, moved(history, client), **stated), examples=examples
            )
        case "sealed":
            return history.sealed(honest, SALT)
        case "spoilt":
            return replace(honest, blob=_spoilt(draw, honest.blob))
        case "sealed and spoilt":
            sealed = history.sealed(honest, SALT)
            return replace(sealed, blob=_spoilt(draw, sealed.blob))
        case "missing":
            return replace(honest, lies=None)
        case "tampered":
            return replace(honest, lies=_spoilt(draw, honest.blob))
        case "large":
            size = 2.0 ** draw(st.integers(1, 127))
            return history.update(client, moved(history, client, size), examples)
        case _:
            return honest


def _spoilt(draw: st.DrawFn, blob: bytes) -> bytes:
    """The blob with a few other bytes, or with fewer, or more."""
    at = draw(st.integers(0, max(0, len(blob) - 1)))
    match draw(st.sampled_from(["bit", "bit", "byte", "cut", "left out", "again", "longer"])):
        case "bit" if blob:
            return _flipped(draw, blob)
        case "byte":
            return blob[:at] + draw(st.binary(min_size=1, max_size=1)) + blob[at + 1 :]
        case "cut":
            return blob[:at]
        case "left out":
            return blob[:at] + blob[at + 1 :]
        case "again":
            return blob[: at + 8] + blob[at:]
        case _:
            return blob + bytes(draw(st.sampled_from([1, 4, 8, 1000])))


def _flipped(draw: st.DrawFn, content: bytes) -> bytes:
    at = draw(st.integers(0, len(content) - 1))
    return content[:at] + bytes([content[at] ^ 1 << draw(st.integers(0, 7))]) + content[at + 1 :]


# ------------------------------------------------------------------------------------ altering


@st.composite
def altered(draw: st.DrawFn) -> Altered:
    """A history with one thing altered: in its events, in the log as it is spelt, in the state, or in the store."""
    history = draw(played()).history
    return draw(st.sampled_from([_events, _spelling, _view, _store]))(draw, history)


def _events(draw: st.DrawFn, history: History) -> Altered:
    """Other events, under the contract's head or under the one that they lead to."""
    entries = list(history.entries)
    at = draw(st.integers(0, len(entries) - 1))
    how = draw(st.sampled_from(["lost", "repeated", "moved", "cut", "time", *["field"] * 4]))
    match how:
        case "lost":
            del entries[at]
        case "repeated":
            entries.insert(draw(st.integers(0, len(entries))), entries[at])
        case "moved":
            entries.insert(draw(st.integers(0, len(entries) - 1)), entries.pop(at))
        case "cut":
            del entries[at:]
        case "time":
            later = draw(st.sampled_from([-1_000_000, -1, 1, 600, 1_000_000]))
            entries[at] = replace(entries[at], timestamp=entries[at].timestamp + later)
        case _:
            event = _other(draw, entries[at].event, but="task")
            entries[at] = replace(entries[at], event=event)
    kept = draw(st.booleans())
    head = {"history_head": history.state.history_head} if kept else {}
    case = case_of("audit", "events", history, {}, entries=_in_line(entries), **head)
    others = [one.event for one in entries] != [one.event for one in history.entries]
    under = "the contract's head" if kept else "its own head"
    return Altered(case, f"event {at}: {how}, under {under}", lost=kept and others)


def _in_line(entries: Sequence[Entry]) -> list[Entry]:
    """The entries at places that follow one another."""
    return [replace(one, block_number=1 + at, log_index=0) for at, one in enumerate(entries)]


def _other(draw: st.DrawFn, value: Any, but: str = "") -> Any:
    """Another value of the same type and range."""
    if is_dataclass(value):
        names = [one.name for one in fields(value) if one.name != but]
        name = draw(st.sampled_from(names))
        return replace(value, **{name: _other(draw, getattr(value, name))})  # type: ignore[type-var]
    if isinstance(value, Phase):
        return draw(st.sampled_from(Phase))
    if isinstance(value, int):
        return value ^ 1 << draw(st.integers(0, 7))
    if isinstance(value, bytes):
        return _flipped(draw, value)
    if isinstance(value, tuple):
        return draw(st.sampled_from([value[1:], value[::-1], (*value, STRANGER), (*value, ALICE)]))
    return draw(st.sampled_from([ALICE, BOB, CAROL, STRANGER]))


def _spelling(draw: st.DrawFn, history: History) -> Altered:
    """One log that is written otherwise than the contract writes it."""
    logs = list(logs_of(history.contract, history.entries))
    at = draw(st.integers(0, len(logs) - 1))
    log = logs[at]
    how = draw(st.sampled_from(["data", "data", "topic", "length", "topics", "address", "place"]))
    logs[at] = {**log, **_respelt(draw, log, how)}
    case = case_of("audit", "spelling", history, {}, logs=logs)
    return Altered(case, f"log {at}: another {how}")


def _respelt(draw: st.DrawFn, log: Log, how: str) -> Log:
    data, topics = bytes.fromhex(log["data"][2:]), list(log["topics"])
    match how:
        case "data" if data:
            return {"data": "0x" + _flipped(draw, data).hex()}
        case "length":
            longer = [data + bytes(32), data + b"\0", data[:-1], data[:-32], data[32:]]
            return {"data": "0x" + draw(st.sampled_from(longer)).hex()}
        case "topics":
            word = "0x" + draw(st.sampled_from([bytes(32), bytes([255]) * 32])).hex()
            return {"topics": draw(st.sampled_from([[], topics[:-1], [*topics[:3], word], [word]]))}
        case "address":
            return {"address": STRANGER}
        case "place":
            return {draw(st.sampled_from(["block", "log_index"])): draw(st.integers(0, 40))}
        case _:
            one = draw(st.integers(0, len(topics) - 1))
            topics[one] = "0x" + _flipped(draw, bytes.fromhex(topics[one][2:])).hex()
            return {"topics": topics}


def _view(draw: st.DrawFn, history: History) -> Altered:
    """A contract that says something else of the task."""
    name = draw(st.sampled_from(VIEWED))
    value = getattr(history.state, name)
    stored = [bytes.fromhex(digest) for digest in history.blobs]
    other = _other(draw, value)
    if name != "terms" and draw(st.booleans()):
        other = draw(st.sampled_from(stored))
    return Altered(case_of("audit", "view", history, {}, **{name: other}), f"state: {name}")


def _store(draw: st.DrawFn, history: History) -> Altered:
    """A blob that is lost, altered, or another."""
    names = sorted(history.blobs)
    name = draw(st.sampled_from(names))
    how = draw(st.sampled_from(["lost", "spoilt", "another"]))
    blobs = dict(history.blobs)
    blob = blobs.pop(name)
    if how != "lost":
        another = blobs.get(draw(st.sampled_from(names)), b"")
        blobs[name] = another if how == "another" else _spoilt(draw, blob)
    case = replace(case_of("audit", "store", history, {}), blobs=blobs)
    kept = digest_of(blobs.get(name, b"")).hex() == name
    return Altered(case, f"blob {name}: {'as it was' if kept else how}")
