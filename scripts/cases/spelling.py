"""Update blobs that differ from honest ones in a few bytes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from cases.history import Sent

Edit = Callable[[bytes], bytes]


def respelt(sent: Sent, old: str, new: str) -> Sent:
    """The update with a piece of its header's text replaced."""
    text, data = parts_of(sent.blob)
    assert text.count(old.encode()) >= 1, f"{old} is not in {text!r}"
    return replace(sent, blob=file_of(text.replace(old.encode(), new.encode(), 1), data))


def parts_of(blob: bytes) -> tuple[bytes, bytes]:
    """The text of a blob's header, without its padding, and the bytes of its tensors."""
    end = 8 + int.from_bytes(blob[:8], "little")
    return blob[8:end].rstrip(b" "), blob[end:]


def file_of(text: bytes, data: bytes, padding: bytes = b" ") -> bytes:
    """A blob with a header of this text."""
    text += padding * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + data


def noted(text: str) -> str:
    """A piece of an update's metadata as the header's text spells it: with its quotes escaped."""
    return text.replace("\\", "\\\\").replace('"', '\\"')
