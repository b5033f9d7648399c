"""Builds code blobs, good ones and others."""

from __future__ import annotations

import io
import stat
import zipfile
from collections.abc import Mapping

LINK = stat.S_IFLNK | 0o777
WHEEL = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\n{}"


def zipped(
    files: Mapping[str, str | bytes], mode: int = 0, method: int = zipfile.ZIP_DEFLATED
) -> bytes:
    """An archive of these files."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", method) as archive:
        for name, text in files.items():
            entry = zipfile.ZipInfo(name)
            entry.compress_type, entry.external_attr = method, mode << 16
            archive.writestr(entry, text)
    return content.getvalue()


def wheel(*tags: str, **files: str) -> bytes:
    """A wheel of the package `chest`, built for these platforms."""
    stated = "".join(f"Tag: {tag}\n" for tag in tags)
    inside = {f"chest/{name}.py": text for name, text in files.items()}
    return zipped(
        {"chest/__init__.py": "", **inside, "chest-1.dist-info/WHEEL": WHEEL.format(stated)}
    )
