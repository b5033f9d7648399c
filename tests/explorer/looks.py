"""What a page sees of a task when it looks, and what it then says."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from asking import Page, log_of, site_of
from doubles import Federation

from chain.history import head_of
from chain.types import Entry, RoundFinalised, TaskOpened


def blobs_of(played: Federation) -> dict[str, str]:
    """Every blob in hex, by its digest."""
    files = [file for file in (played.folder / "store").rglob("*") if file.is_file()]
    return {file.name: file.read_bytes().hex() for file in files if len(file.name) == 64}


def head_at(played: Federation, entries: list[Entry]) -> bytes:
    """The history head after these entries."""
    return head_of(played.ledger.chain_id, played.ledger.contract, played.task, entries)


def look(
    played: Federation,
    entries: list[Entry],
    blobs: dict[str, str],
    *,
    shown: list[Entry] | None = None,
    insist: bool = False,
) -> dict[str, Any]:
    """What a page sees after these entries.

    Args:
        shown: The log that the endpoint gives; that of the contract if it is honest.
        insist: It was seen at the look before.
    """
    opened = entries[0].event
    assert isinstance(opened, TaskOpened)
    final = [one.event for one in entries if isinstance(one.event, RoundFinalised)]
    parent = final[-1].aggregate_digest if final else opened.genesis_digest
    view = {
        "historyHead": head_at(played, entries).hex(),
        "manifestDigest": opened.manifest_digest.hex(),
        "genesisDigest": opened.genesis_digest.hex(),
        "parentDigest": parent.hex(),
        "terms": {camel(name): value for name, value in asdict(opened.terms).items()},
    }
    logs = [log_of(played.ledger.contract, entry) for entry in shown or entries]
    block = max(entry.block_number for entry in entries)
    return {"view": view, "logs": logs, "block": block, "blobs": blobs, "insist": insist}


def camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def follow(
    page: Page, played: Federation, looks: list[dict[str, Any]], held: int = 1 << 30
) -> list[dict[str, Any]]:
    """What a page says at each look that holds at most so many bytes of a blob."""
    site = site_of(played.ledger.chain_id, played.ledger.contract, played.task)
    answers: list[dict[str, Any]] = page.ask("follow", site, looks, held)
    return answers
