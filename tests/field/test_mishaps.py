"""What befalls nodes, one mishap at a time: the promises of docs/reliability.md by name."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from chains import missing, start_chain
from promises import broken
from sites import Site, light_manifest, members, open_site, undisturbed

from chain.accounts import address_of
from chain.types import RoundFinalised
from fl_node.manifest.manifest import Manifest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(missing("anvil")), reason=missing("anvil") or "anvil is there"),
]
FUNDED = [address_of(signer) for signer in members(3)]
HOUR = 3600

Opens = Callable[[Manifest], AbstractContextManager[Site]]


@pytest.fixture
def opened(tmp_path: Path) -> Opens:
    """Opens a manifest's task on anvil, with a folder as the store."""

    @contextmanager
    def open_task(manifest: Manifest, *words: str) -> Iterator[Site]:
        with (
            start_chain("anvil", tmp_path, FUNDED, words=words) as chain,
            open_site(tmp_path, chain, manifest) as site,
        ):
            yield site

    return open_task


def verify_promises(site: Site, whole: bool = True, keeps: bool = True, **ways: Any) -> None:
    """Every promise holds; and, if `whole`, the digest is the undisturbed one."""
    expected, final = undisturbed(site.manifest, keeps), site.state().parent_digest
    said = broken(site.entries(), site.manifest.addresses, site.audited(), expected, final, **ways)
    assert not said, site.logs()
    assert not whole or final == expected


def included(site: Site) -> list[int]:
    """The members of each final round, as a bitmap."""
    events = (entry.event for entry in site.entries())
    return [event.included for event in events if isinstance(event, RoundFinalised)]


def test_a_member_held_beyond_a_window_is_left_out_and_comes_back(
    opened: Opens, tmp_path: Path
) -> None:
    """The others train in the second round until it has committed."""
    gate = tmp_path / "gate"
    gate.write_bytes(b"1")
    with opened(light_manifest(3, reveal_window=15)) as site:
        late = site.members[2]
        site.start(2)
        site.wait_for(lambda: late.said("commit") >= 1, "its first commit")
        late.signal(signal.SIGSTOP)  # It cannot have revealed: the others have not committed.
        for index in (0, 1):
            site.start(index, data=f"until {gate}")
        site.wait_for_round(2)
        late.signal(signal.SIGCONT)
        site.wait_for(lambda: late.said("commit") >= 2, "its second commit")
        gate.write_bytes(b"123")
        site.finish()
        counted = included(site)
        verify_promises(site, whole=False)
    assert counted == [0b011, 0b111, 0b111]


def test_a_second_node_of_a_member_does_no_harm(opened: Opens) -> None:
    """With the first one's folder it ends at once; with a folder of its own it leaves each act to whoever is faster."""
    with opened(light_manifest(3)) as site:
        site.start_all(data="1 forgets")
        member = site.members[1]
        site.wait_for(lambda: member.said("started") >= 1, "its start")
        same = site.start(1, data="1 forgets")
        same.join(60)
        assert same.exitcode == 2, site.logs()
        assert member.log.read_text().count("error: ") == 1
        other = site.start(1, data="1 forgets", state="other")
        member.processes.remove(same)
        first = member.processes[0]
        first.join(120)
        assert first.exitcode == 0, site.logs()
        site.finish()
        assert other.exitcode == 0
        verify_promises(site, keeps=False, one_folder=False)


def test_a_full_disk_is_waited_for_or_told(opened: Opens) -> None:
    with opened(light_manifest(3, 50_000)) as site:
        site.start_all(data="0.5")
        member = site.members[0]
        site.wait_for(lambda: member.said("training") >= 1, "its training", poll=0.02)
        member.fill_disk()
        time.sleep(3)
        member.fill_disk(False)
        site.wait_for(
            lambda: member.process.exitcode is not None or member.said("commit") >= 1,
            "its end or its commit",
        )
        if member.process.exitcode is not None:
            assert member.process.exitcode == 2
            site.start(0, data="0.5")
        site.finish()
        verify_promises(site)
        assert "Traceback" not in member.log.read_text()


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_chain_whose_clock_is_wrong(opened: Opens, hours: int) -> None:
    moment = int(time.time()) + hours * HOUR
    with opened(light_manifest(3, count=2), "--timestamp", str(moment)) as site:
        site.start_all()
        site.finish()
        verify_promises(site)
