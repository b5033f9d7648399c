"""Members on hosts of their own, over real lines: TCP's own patience with slow ones, lossy ones and cut ones."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from chains import missing, start_chain
from namespaces import Namespace, missing_namespaces, open_namespaces
from promises import broken
from sites import Site, light_manifest, members, open_site, undisturbed
from stores import missing_seaweedfs, start_seaweedfs

from chain.accounts import address_of

LACKING = missing("anvil") or missing_seaweedfs() or missing_namespaces()
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(LACKING), reason=LACKING or "all there"),
]
FUNDED = [address_of(signer) for signer in members(3)]
ROUNDS, NUMBERS = 2, 500_000
UPDATE = 4 * NUMBERS
"""Bytes, 4 s at 4 Mbit/s and 16 s at 1."""
CUT = 20
"""Seconds."""

Opens = Callable[[], AbstractContextManager[tuple[Site, list[Namespace]]]]


@pytest.fixture
def opened(tmp_path: Path) -> Opens:
    """Opens a task for three members on hosts of their own, on anvil and SeaweedFS."""

    @contextmanager
    def open_task() -> Iterator[tuple[Site, list[Namespace]]]:
        manifest = light_manifest(3, NUMBERS, count=ROUNDS)
        with (
            open_namespaces(3) as places,
            start_chain("anvil", tmp_path, FUNDED) as chain,
            start_seaweedfs(tmp_path / "server") as store,
            open_site(tmp_path, chain, manifest, store, places=places) as site,
        ):
            yield site, places

    return open_task


def verify_as_undisturbed(site: Site) -> None:
    """Every update counts, every promise holds, and the digest is that of a plain loop."""
    expected, final = undisturbed(site.manifest), site.state().parent_digest
    report = site.audited()
    said = broken(site.entries(), site.manifest.addresses, report, expected, final)
    assert not said, site.logs()
    assert final == expected, site.logs()
    assert not report.findings


def test_a_slow_line_and_a_lossy_one_change_no_byte(opened: Opens) -> None:
    with opened() as (site, (slow, lossy, _)):
        slow.limit(up=4, down=40)
        lossy.lose(0.02)
        site.start_all()
        site.finish()
        assert slow.sent() > ROUNDS * UPDATE, "its updates went over the line"
        verify_as_undisturbed(site)


def test_an_uplink_that_is_cut_during_an_upload_changes_no_byte(opened: Opens) -> None:
    with opened() as (site, (slow, *_)):
        slow.limit(up=1, down=40)  # The rest takes 12 s, and the cut is there before.
        site.start_all()
        site.wait_for(lambda: slow.sent() > UPDATE / 4, "a quarter of its update", poll=0.02)
        with slow.cut():
            before = slow.sent()
            time.sleep(CUT)
            assert slow.sent() == before < UPDATE
            slow.limit(up=40, down=40)
        site.finish()
        verify_as_undisturbed(site)
