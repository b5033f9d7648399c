"""How a node's blobs get into the store: beside its loop, and measured before it begins."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Annotated

import typer

from fl_node.blobs.store import Store
from fl_node.errors import StoreSlow
from fl_node.member.uploading import Uploads

AT_ONCE = 3
"""Uploads under way at the same time: an update, and the aggregates of the last two rounds."""

MEASURE_SECONDS = 10.0
"""How long a measurement may take."""

EarlyUpload = Annotated[
    bool,
    typer.Option(
        "--early-upload/--no-early-upload",
        help="Upload updates sealed while others still train; the reveal publishes the key. A slow uplink then has "
        "more than the reveal window.",
    ),
]


@contextmanager
def uploading(store: Store) -> Iterator[Uploads]:
    """Uploads in threads; what is under way at the end of the block is given up."""
    with ThreadPoolExecutor(AT_ONCE, "upload") as threads:
        uploads = Uploads(store, threads)
        try:
            yield uploads
        finally:
            uploads.close()


def measured(store: Store, update: int) -> float:
    """The rate towards the store, in bytes per second. Writes, reads and deletes a file there.

    Args:
        store: The task's store.
        update: Bytes of an update. An eighth of it is sent, from 64 KiB to 1 MiB.

    Raises:
        StoreUnusable: The store cannot be written or read.
    """
    size = min(max(update // 8, 1 << 16), 1 << 20)
    try:
        return store.measure(size, time.monotonic() + MEASURE_SECONDS).up
    except StoreSlow as slow:
        return size / max(slow.seconds, 1e-6)  # It is even slower than that.
