"""URLs of servers, split without ever repeating one that is wrong: a key may be anywhere in it."""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit


def http_parts(url: str) -> SplitResult | None:
    """The parts of an http:// or https:// URL; None if it is no such URL."""
    try:
        parts = urlsplit(url)
        if parts.scheme in ("http", "https") and parts.hostname:
            _ = parts.port  # raises if it is no port
            return parts
    except ValueError:
        pass
    return None


def origin_of(parts: SplitResult) -> str:
    """Scheme, host and port: what may be shown, without user, password, path and query."""
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
