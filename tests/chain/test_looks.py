"""A look at a task: what counts where a chain may reorganise, and where two endpoints must agree."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from proxy import EVERY, Proxy, Reply, changed, proxy_to

from chain.accounts import Signer, address_of, dev_account
from chain.deploy import Deployment, deploy
from chain.devnet import devnet_in_thread
from chain.errors import ChainUnreachable, HistoryInvalid
from chain.looking import DEPTH, is_settled, settling_on
from chain.types import Phase, TaskState, Terms
from chain.web3_ledger import Web3Ledger

TERMS = Terms(2, 600, 600, 600, 10_000, 2, 2, 5_000)
MEMBERS: list[Signer] = sorted(
    (dev_account(9, index) for index in range(2)), key=lambda signer: int(signer.address, 16)
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Deployment]]:
    funded = [address_of(signer) for signer in MEMBERS]
    database = tmp_path_factory.mktemp("devnet") / "chain.db"
    with devnet_in_thread(database, fund=funded) as url:
        deployment = deploy(url, MEMBERS[0])
        ledger = Web3Ledger(url, deployment.address, MEMBERS[0])
        ledger.open_task(b"\1" * 32, b"\2" * 32, funded, TERMS)
        yield url, deployment


@pytest.fixture
def proxies(site: tuple[str, Deployment]) -> Iterator[list[Proxy]]:
    """Three endpoints of the chain."""
    with proxy_to(site[0]) as one, proxy_to(site[0]) as two, proxy_to(site[0]) as three:
        yield [one, two, three]


def ledger_at(site: tuple[str, Deployment], proxies: list[Proxy], **options: Any) -> Web3Ledger:
    return Web3Ledger([proxy.url for proxy in proxies], site[1].address, MEMBERS[0], **options)


def lag(proxy: Proxy, blocks: int) -> None:
    """Let an endpoint know fewer blocks than there are."""

    def behind(request: Any, ask: Any) -> Any:
        return changed(
            ask(), lambda block: block | {"number": hex(int(block["number"], 16) - blocks)}
        )

    proxy.on("eth_getBlockByNumber", behind)


def contradict(proxy: Proxy) -> None:
    """Let an endpoint show another history head."""
    proxy.change("eth_call", lambda words: words[:-64] + "ab" * 32)


class TestSettled:
    @pytest.fixture
    def state(self, site: tuple[str, Deployment]) -> TaskState:
        return Web3Ledger(site[0], site[1].address).task_state(1)

    def test_by_a_deep_block_that_shows_the_same_phase(self, state: TaskState) -> None:
        now = state.deadline - 600
        assert is_settled(state, state, now)
        assert is_settled(state, replace(state, awaited=0), now)

    @pytest.mark.parametrize(
        "other",
        [{"phase": Phase.ATTEST}, {"round": 2}, {"attempt": 2}],
        ids=lambda o: next(iter(o)),
    )
    def test_not_by_one_that_shows_another(self, state: TaskState, other: dict[str, Any]) -> None:
        assert not is_settled(state, replace(state, **other), state.deadline - 600)
        assert not is_settled(state, None, state.deadline - 600)

    def test_in_the_second_half_of_a_window_no_matter_what(self, state: TaskState) -> None:
        assert not is_settled(state, None, state.deadline - 300)
        assert is_settled(state, None, state.deadline - 299)

    def test_never_so_at_the_end(self, state: TaskState) -> None:
        finished = replace(state, phase=Phase.FINISHED)
        assert not is_settled(finished, state, state.deadline + 1)
        assert is_settled(finished, finished, state.deadline + 1)

    @pytest.mark.parametrize(("chain", "depth"), [(31337, 0), (1337, 0), (1, DEPTH)])
    def test_at_once_on_a_test_chain(self, chain: int, depth: int) -> None:
        assert settling_on(chain) == depth


class TestDepth:
    def test_a_phase_that_has_just_opened_is_not_settled(
        self, site: tuple[str, Deployment], proxies: list[Proxy]
    ) -> None:
        ledger = ledger_at(site, proxies[:1], settling=2)
        ledger.open_task(b"\1" * 32, b"\2" * 32, [address_of(one) for one in MEMBERS], TERMS)
        task = ledger.task_count()
        ledger.look(task)  # learns of the newest block
        assert not ledger.look(task).settled
        for _ in range(2):  # two more blocks
            ledger.open_task(b"\1" * 32, b"\2" * 32, [address_of(one) for one in MEMBERS], TERMS)
        ledger.look(task)
        assert ledger.look(task).settled

    def test_at_once_unless_told_otherwise_here(
        self, site: tuple[str, Deployment], proxies: list[Proxy]
    ) -> None:
        before = len(proxies[0].headers)
        ledger = ledger_at(site, proxies[:1])
        after = len(proxies[0].headers)
        assert ledger.look(1).settled
        assert len(proxies[0].headers) == after + 1 > before


class TestConfirmed:
    def test_by_two_that_agree(self, site: tuple[str, Deployment], proxies: list[Proxy]) -> None:
        ledger = ledger_at(site, proxies[:2], confirm=True)
        assert ledger.look(1).state == ledger.task_state(1)

    def test_a_lagging_one_is_waited_for(
        self, site: tuple[str, Deployment], proxies: list[Proxy]
    ) -> None:
        ledger = ledger_at(site, proxies[:2], confirm=True)
        lag(proxies[1], 1)
        before = ledger.task_state(1)
        ledger.open_task(b"\1" * 32, b"\2" * 32, [address_of(one) for one in MEMBERS], TERMS)
        assert ledger.look(1).state == before

    def test_two_that_contradict_each_other_are_named(
        self, site: tuple[str, Deployment], proxies: list[Proxy]
    ) -> None:
        ledger = ledger_at(site, proxies[:2], confirm=True)
        contradict(proxies[1])
        with pytest.raises(
            HistoryInvalid, match=rf"{proxies[0].url} says .*{proxies[1].url} says abab"
        ):
            ledger.look(1)

    def test_a_third_settles_it(self, site: tuple[str, Deployment], proxies: list[Proxy]) -> None:
        ledger = ledger_at(site, proxies, confirm=True)
        contradict(proxies[0])
        assert ledger.look(1).state.history_head != b"\xab" * 32

    def test_one_that_is_away_is_not_enough(
        self, site: tuple[str, Deployment], proxies: list[Proxy]
    ) -> None:
        ledger = ledger_at(site, proxies[:2], confirm=True)
        proxies[1].reply(EVERY, Reply(b"", 401))
        with pytest.raises(ChainUnreachable, match="two endpoints must agree, but only 1 answers"):
            ledger.look(1)
