"""Short texts that commands share, for people."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime


def short(text: str) -> str:
    """A digest or address, shortened to its first 6 digits."""
    digits = text.removeprefix("0x")
    prefix = text[: len(text) - len(digits)]
    return f"{prefix}{digits[:6]}…" if len(digits) > 12 else text


def follow_up(words: str) -> str:
    """A command as it can be typed here. `uv run` sets UV; then `ganchor` alone is often not on the PATH."""
    return f"uv run ganchor {words}" if "UV" in os.environ else f"ganchor {words}"


def time_text(seconds: int) -> str:
    """A time as a date in UTC; as a number of seconds if it is beyond all calendars."""
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (ValueError, OverflowError, OSError):
        return f"{seconds} s"


def metrics_line(metrics: Mapping[str, str | None]) -> str:
    """Metrics as `accuracy 0.91, auc –`; the dash is for one that nobody has a value for."""
    return ", ".join(f"{name} {value or '–'}" for name, value in sorted(metrics.items()))


def loss(millionths: int | None) -> str:
    """A recorded loss as a decimal number."""
    return "–" if millionths is None else f"{millionths / 1e6:.4f}"
