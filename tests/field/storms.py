"""A storm: from a seed, one mishap after the other, until the task is finished; then the promises are read again.

`scripts/hammer.py` runs storms for as long as you like; tests/field/test_storms.py runs one with a fixed seed.
"""

from __future__ import annotations

import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from promises import broken, everybody_counted
from sites import PATIENCE, Member, Site, undisturbed
from weather import FINE, Weather

from chain.types import Phase

WEATHERS = {
    "fine": FINE,
    "slow": Weather(latency=0.3),
    "refusals": Weather(refused=0.25),
    "cuts": Weather(cut_before=0.1, cut_after=0.1),
    "drips": Weather(drips=0.2, drip_seconds=0.5),
    "lies": Weather(lies=0.1),
    "rate limit": Weather(rate=5),
    "everything": Weather(
        latency=0.1, refused=0.1, cut_before=0.05, cut_after=0.05, drips=0.05, lies=0.05
    ),
    "nobody there": Weather(down=True),
}


@dataclass
class Report:
    """How a storm ended.

    Attributes:
        seconds: How long it took.
        rounds: How many became final.
        mishaps: What happened how often.
        gave_up: What nodes said that ended by themselves before the task did; they were started again.
        whole: Whether every update counts, so that the digest had to be the undisturbed one.
        broken: The promises that were broken; empty if it went as it should.
    """

    seconds: float
    rounds: int
    mishaps: Counter[str]
    gave_up: list[str]
    whole: bool
    broken: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        happened = ", ".join(f"{name} {times}" for name, times in sorted(self.mishaps.items()))
        said = "; ".join(self.broken) or "all promises kept"
        share = "every update counts" if self.whole else "some updates came too late"
        ended = "".join(f"\n  a node gave up: {why}" for why in self.gave_up)
        return f"{self.rounds} rounds in {self.seconds:.0f} s, {share}: {said} ({happened}){ended}"


class Storm:
    """Mishaps on a running site, in an order that a seed fixes. After the last, everything heals."""

    def __init__(self, site: Site, seed: object, pause: float = 2.0) -> None:
        self._site, self._random, self._pause = site, random.Random(str(seed)), pause
        self.mishaps: Counter[str] = Counter()
        self._gave_up: list[str] = []
        self._kinds: list[Callable[[], None]] = [
            *(self._change_weather,) * 4,
            *(self._kill,) * 2,
            self._hold,
            self._fill_disk,
            self._second_node,
            self._end_gently,
        ]
        if site.chain.kind == "devnet":
            self._kinds.append(self._restart_chain)
        if site.chain.kind == "anvil":
            self._kinds.append(self._reorganise)

    def rage(self, seconds: float) -> Report:
        """Let one mishap follow the other for so long, then wait for the end of the task."""
        site, began = self._site, time.monotonic()
        ledger = site.ledger()
        while time.monotonic() - began < seconds:
            self._random.choice(self._kinds)()
            self._start_again()
            time.sleep(self._pause * self._random.random())
            if self._answers() and ledger.task_state(site.task).phase is Phase.FINISHED:
                break
        site.weather(FINE)
        site.wait_for(self._all_ended, "every node's end", 2 * PATIENCE)
        site.finish()
        return self._report(time.monotonic() - began)

    def _all_ended(self) -> bool:
        """Whether every node has ended in good order; one that ends late of the last mishap is started again."""
        self._start_again()
        return all(member.process.exitcode == 0 for member in self._site.members)

    def _start_again(self) -> None:
        """As a service's supervisor does with a node that gave up."""
        for member in self._site.members:
            if member.process.exitcode not in (None, 0):
                self._gave_up.append(member.log.read_text(errors="replace").splitlines()[-1])
                self._site.start(member.index)

    def _report(self, seconds: float) -> Report:
        site = self._site
        entries, members = site.entries(), site.manifest.addresses
        audit = site.audited()
        final = site.state().parent_digest
        return Report(
            seconds,
            len(audit.rounds),
            self.mishaps,
            self._gave_up,
            everybody_counted([entry.event for entry in entries], members),
            broken(entries, members, audit, undisturbed(site.manifest), final),
        )

    def _answers(self) -> bool:
        try:
            return bool(self._site.chain.ask("eth_chainId"))
        except OSError:
            return False

    def _any(self) -> Member:
        return self._random.choice(self._site.members)

    def _running(self) -> Member | None:
        there = [one for one in self._site.members if one.process.is_alive()]
        return self._random.choice(there) if there else None

    def _change_weather(self) -> None:
        name = self._random.choice([*WEATHERS])
        self.mishaps[name] += 1
        if self._random.random() < 0.5:
            self._site.weather(WEATHERS[name])
            return
        member = self._any()
        for proxy in filter(None, (member.chain, member.store)):
            proxy.weather, proxy.bucket = WEATHERS[name], None

    def _kill(self) -> None:
        if member := self._running():
            self.mishaps["killed"] += 1
            member.kill()
            self._site.start(member.index)

    def _end_gently(self) -> None:
        if member := self._running():
            self.mishaps["SIGTERM"] += 1
            member.signal(signal.SIGTERM)
            member.process.join(30)
            if member.process.exitcode is None:
                member.kill()
                self.mishaps["SIGTERM unheard"] += 1
            self._site.start(member.index)

    def _hold(self) -> None:
        if member := self._running():
            self.mishaps["held"] += 1
            member.signal(signal.SIGSTOP)
            time.sleep(3 * self._random.random())
            member.signal(signal.SIGCONT)

    def _fill_disk(self) -> None:
        if member := self._running():
            self.mishaps["disk full"] += 1
            member.fill_disk()
            time.sleep(2 * self._random.random())
            member.fill_disk(False)

    def _second_node(self) -> None:
        """A second node with the same folder, which can only leave again."""
        if member := self._running():
            self.mishaps["second node"] += 1
            second = self._site.start(member.index)
            member.processes.remove(second)
            second.join(5)
            second.kill()
            second.join()

    def _restart_chain(self) -> None:
        self.mishaps["chain killed"] += 1
        self._site.chain.kill()
        time.sleep(self._random.random())
        self._site.chain.start()

    def _reorganise(self) -> None:
        """The last blocks never happened."""
        depth = self._random.randint(1, 3)
        self.mishaps["reorganised"] += 1
        if int(self._site.chain.ask("eth_blockNumber"), 16) > depth + 20:
            self._site.chain.ask("anvil_reorg", depth, [])
