"""Base64 of RFC 4648, section 4, of which each text has one spelling."""

from __future__ import annotations

import base64
import binascii


def to_base64(content: bytes) -> str:
    """Encode bytes."""
    return base64.b64encode(content).decode()


def from_base64(text: str) -> bytes:
    """Decode a text.

    Raises:
        ValueError: It is not the one spelling of any bytes.
    """
    try:
        content = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("not base64") from None
    if to_base64(content) != text:
        raise ValueError("not the one spelling in base64")
    return content
