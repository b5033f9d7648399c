"""What a node needs of the store: that it can be read and written, and fast enough for the task's windows."""

from __future__ import annotations

from chain.types import Terms
from fl_node.blobs.store import Speed
from fl_node.cli.check.findings import Found, Verdict
from fl_node.member.uplink import Slow

MEGA = 1_000_000


def speed(measured: Speed) -> Found:
    """What a measurement of the store says."""
    line = f"writes {_rate(measured.up)}, reads {_rate(measured.down)}"
    return Found("speed", Verdict.GOOD, line)


def model(size: int) -> Found:
    """That the model from which the current round starts is there; `size` is its bytes."""
    return Found("model", Verdict.GOOD, f"{size / MEGA:.1f} MB, as the chain names it")


def uplink(update: int, measured: Speed, terms: Terms) -> Found:
    """Judge the way up by the reveal window, in which a member's update must be in the store.

    A sealed update may begin its way in the commit window, while others train.

    Args:
        update: Bytes of the largest update.
        measured: The store's speed.
        terms: The task's.
    """
    window = terms.reveal_window
    late = update / measured.up > window
    way = Slow(update, measured.up, window, early=late)
    advice = (
        "a faster uplink, a codec that makes updates smaller, or longer windows (docs/manifest.md)"
    )
    if way.seconds > window + terms.commit_window:
        return Found("uplink", Verdict.WRONG, str(way), advice)
    if way.seconds > window / 2:
        return Found("uplink", Verdict.DOUBTFUL, str(way), advice)
    return Found("uplink", Verdict.GOOD, str(way))


def downlink(update: int, model: int, members: int, measured: Speed, terms: Terms) -> Found:
    """Judge the way down by the attestation window, in which a member reads the others' updates.

    Args:
        update: Bytes of the largest update.
        model: Bytes of the model.
        members: How many members a round may have.
        measured: The store's speed.
        terms: The task's.
    """
    size, window = update * (members - 1), terms.attest_window
    seconds = size / measured.down + model / measured.up
    line = (
        f"the others' updates, up to {size / MEGA:.1f} MB, and sending the aggregate of {model / MEGA:.1f} MB take "
        f"about {seconds:.0f} s; the attestation window is {window} s"
    )
    advice = "a faster connection, or longer windows"
    if seconds > window:
        return Found("downlink", Verdict.WRONG, line, advice)
    if seconds > window / 2:
        return Found("downlink", Verdict.DOUBTFUL, line, advice)
    return Found("downlink", Verdict.GOOD, line)


def _rate(bytes_per_second: float) -> str:
    mbit = 8 * bytes_per_second / MEGA
    return f"{mbit:.1f} Mbit/s" if mbit < 10 else f"{mbit:,.0f} Mbit/s"
