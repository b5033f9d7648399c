"""What a node needs of the store: that it can be read and written, and fast enough for the task's windows."""

from __future__ import annotations

from chain.types import Reveal, Terms, UpdateRevealed
from fl_node.blobs.encoding import update_size
from fl_node.blobs.model import Model
from fl_node.blobs.store import Speed
from fl_node.cli.check.findings import Found, Verdict
from fl_node.manifest.manifest import Manifest
from fl_node.round.form import update_form
from fl_node.round.verdicts import expected_header

MEGA = 1_000_000


def speed(measured: Speed) -> Found:
    """What a measurement of the store says."""
    line = f"writes {_rate(measured.up)}, reads {_rate(measured.down)}"
    return Found("speed", Verdict.GOOD, line)


def model(size: int) -> Found:
    """That the model from which the current round starts is there; `size` is its bytes."""
    return Found("model", Verdict.GOOD, f"{size / MEGA:.1f} MB, as the chain names it")


def largest_update(manifest: Manifest, parent: Model) -> int:
    """The most bytes that an update may have, before it is made."""
    reveal = Reveal(bytes(32), manifest.limits.examples, 0, 0, bytes(32))
    revealed = UpdateRevealed(1, 1, manifest.addresses[0], reveal)
    header = expected_header(manifest, parent.digest, revealed)
    form = update_form(manifest, parent.arrays)
    return update_size(header, form.encoded(manifest.strategy.encode.stages))


def uplink(update: int, measured: Speed, terms: Terms) -> Found:
    """Judge the way up by the reveal window, in which a member's update must be in the store.

    Args:
        update: Bytes of the largest update.
        measured: The store's speed.
        terms: The task's.
    """
    seconds, window = update / measured.up, terms.reveal_window
    line = (
        f"an update of up to {update / MEGA:.1f} MB takes about {seconds:.0f} s at {_rate(measured.up)}; "
        f"the reveal window is {window} s"
    )
    advice = (
        "a faster uplink, a codec that makes updates smaller, or longer windows (docs/manifest.md)"
    )
    return _in_time("uplink", line, seconds, window, advice)


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
    return _in_time("downlink", line, seconds, window, "a faster connection, or longer windows")


def _in_time(what: str, line: str, seconds: float, window: int, advice: str) -> Found:
    """In order is what leaves half of the window for the rest."""
    if seconds > window:
        return Found(what, Verdict.WRONG, line, advice)
    if seconds > window / 2:
        return Found(what, Verdict.DOUBTFUL, line, advice)
    return Found(what, Verdict.GOOD, line)


def _rate(bytes_per_second: float) -> str:
    return f"{8 * bytes_per_second / MEGA:.3g} Mbit/s"
