"""Where commands that look at a task again and again keep its log: in the user's cache folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from chain.ledger import Ledger
from fl_node.history.kept import KeptLog

CACHE_VARIABLE = "GANCHOR_CACHE"


@contextmanager
def cached_log(ledger: Ledger, task: int) -> Iterator[KeptLog]:
    """A task's log, kept until the next look; only for the `with` block if there is no cache folder to write to."""
    with ExitStack() as stack:
        folder = _cache_folder() or Path(stack.enter_context(TemporaryDirectory(prefix="ganchor-")))
        name = f"{ledger.chain_id}-{ledger.contract}-{task}.sqlite"
        yield KeptLog(ledger, task, folder / name)


def _cache_folder() -> Path | None:
    """The folder that GANCHOR_CACHE names, or ~/.cache/ganchor; None if it cannot be written."""
    given = os.environ.get(CACHE_VARIABLE)
    try:
        folder = Path(given) if given else Path.home() / ".cache" / "ganchor"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except (OSError, RuntimeError):
        return None
    return folder if os.access(folder, os.W_OK) else None
