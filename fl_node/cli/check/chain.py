"""What a node needs of the chain: endpoints, the clock, the contract, and money."""

from __future__ import annotations

from collections.abc import Sequence

from chain.accounts import DEV_CHAIN_IDS
from chain.errors import LedgerError
from chain.probing import REQUESTS, Funds, Probe
from chain.text import shown
from chain.types import Address, Phase, TaskState
from fl_node.cli.check.findings import Found, Verdict

SLOW_SECONDS = 10.0
"""A round's requests should take less: they are part of each phase."""

OLD_SECONDS = 120
"""A public chain's newest block is younger. Mainnet makes one every 12 s."""

CLOCK_SECONDS = 30
"""How far the clocks of this machine and the chain may differ without a word."""

LAG_BLOCKS = 3
"""How far an endpoint may be behind another."""

UNBATCHED = 3
"""So many times the requests does a node send where an endpoint takes no batches."""

GAS_OF_ACTS = {"commit": 48_989, "reveal": 53_074, "attest": 55_828}
"""What each act of a round takes at the most: if it is its phase's last, and ends it. tests/snapshots/gas.json has
these figures."""

GAS_A_ROUND = sum(GAS_OF_ACTS.values())
"""What a member pays for in a round, at the most."""

GAS_A_CALL = 450_000
"""The gas that one transaction may use at the most; an account must be able to pay for it, though less is used."""

GWEI, ETHER = 10**9, 10**18


def endpoint(probe: Probe, chain_id: int, newest: int, now: float) -> Found:
    """Judge an endpoint that answers.

    Args:
        probe: What was found there.
        chain_id: The deployment's chain.
        newest: The number of the newest block that any endpoint of this chain knows.
        now: This machine's time, in seconds since 1970.
    """
    what = "endpoint"
    client = probe.client or "its client gives no name"
    batches = "takes batches" if probe.batches else "takes no batches"
    line = (
        f"{probe.endpoint}: {client}, chain {probe.chain_id}, "
        f"{REQUESTS} requests in {probe.seconds:.2f} s, {batches}"
    )
    if probe.chain_id != chain_id:
        return Found(
            what,
            Verdict.WRONG,
            f"{line}; the contract is on chain {chain_id}",
            "give the --rpc-url of that chain, or the right --deployment",
        )
    doubt, advice = _doubt(probe, chain_id, newest, now)
    if doubt:
        return Found(what, Verdict.DOUBTFUL, f"{line}; {doubt}", advice)
    return Found(what, Verdict.GOOD, line)


def _doubt(probe: Probe, chain_id: int, newest: int, now: float) -> tuple[str, str]:
    """What may make trouble at an endpoint of the right chain, and what to do about it; empty if nothing does."""
    if newest - probe.block > LAG_BLOCKS:
        behind = f"{newest - probe.block} blocks behind another endpoint"
        return behind, "leave it out, or give it time to catch up"
    age = now - probe.block_time
    if age > OLD_SECONDS and chain_id not in DEV_CHAIN_IDS:
        old = f"its newest block is {age:.0f} s old"
        return old, "it lags behind the chain, or this machine's clock is fast"
    if probe.seconds * (1 if probe.batches else UNBATCHED) > SLOW_SECONDS:
        slow = f"a round's worth of requests takes over {SLOW_SECONDS:g} s"
        return slow, "use an endpoint that is nearer, that allows more, or that takes batches"
    return "", ""


def silent(error: LedgerError, others_suffice: bool) -> Found:
    """Judge an endpoint that gives no answer; `others_suffice` says whether a node can do without it."""
    if others_suffice:
        advice = "a node does without it; nothing stands in if another one fails, too"
        return Found("endpoint", Verdict.DOUBTFUL, shown(error), advice)
    advice = "see --rpc-url; a firewall, or an endpoint that is down"
    return Found("endpoint", Verdict.WRONG, shown(error), advice)


def clock(block_time: int, chain_id: int, now: float) -> Found:
    """Judge this machine's clock by the newest block, which is never from the future.

    Args:
        block_time: The newest block's time.
        chain_id: Its chain's id.
        now: This machine's time. All in seconds since 1970.
    """
    ahead = block_time - now
    if ahead <= CLOCK_SECONDS:
        return Found("clock", Verdict.GOOD, "not behind the chain")
    line = f"{ahead:.0f} s behind the chain's newest block"
    if chain_id in DEV_CHAIN_IDS:
        return Found("clock", Verdict.GOOD, f"{line}, as on a test chain whose time was moved")
    return Found(
        "clock",
        Verdict.DOUBTFUL,
        line,
        "set it (NTP): deadlines look nearer than they are, and stores refuse requests with a wrong time",
    )


def contract(task: int, address: Address, state: TaskState) -> Found:
    """What the contract says of the task."""
    line = f"{address} has the expected code; task {task} is in round {state.round} of {state.terms.rounds}"
    if state.phase is Phase.FINISHED:
        line = f"{address} has the expected code; task {task} is finished"
        return Found("contract", Verdict.DOUBTFUL, line, "there is nothing left to take part in")
    return Found("contract", Verdict.GOOD, f"{line}, {state.phase.name.lower()} phase")


def rounds_left(state: TaskState) -> int:
    """How many rounds are not final yet."""
    if state.phase is Phase.FINISHED:
        return 0
    return state.terms.rounds - state.round + 1


def member(account: Address, members: Sequence[Address]) -> Found:
    """Whether the account is a member of the task."""
    if account in members:
        place = members.index(account) + 1
        return Found("member", Verdict.GOOD, f"{account} is member {place} of {len(members)}")
    advice = "use the key of a member, or ask the coordinator for a task with this one"
    return Found("member", Verdict.WRONG, f"{account} is none of {len(members)} members", advice)


def balance(account: Address, funds: Funds, rounds: int, most: int, relayed: bool = False) -> Found:
    """Judge what a member's account can pay for.

    Args:
        account: It.
        funds: What it has, and what gas costs.
        rounds: How many rounds the task has left.
        most: The most that the node may pay for a unit of gas, in wei.
        relayed: Whether a relay sends the member's acts and pays for them.
    """
    if funds.gas_price > most:
        line = f"gas costs {_gwei(funds.gas_price)}, and --max-gas-price is {_gwei(most)}"
        return Found("balance", Verdict.WRONG, line, "give a higher one, or wait for the price")
    held = f"{funds.balance / ETHER:.6g} ether"
    if funds.gas_price == 0:
        return Found("balance", Verdict.GOOD, f"{held}; gas costs nothing here")
    price = _gwei(funds.gas_price)
    a_call, a_round = 2 * GAS_A_CALL * funds.gas_price, GAS_A_ROUND * funds.gas_price
    paid = max(0, funds.balance - a_call) // a_round
    line = f"{held}, enough for about {paid} rounds at {price}; the task has {rounds} left"
    if paid >= rounds:
        return Found("balance", Verdict.GOOD, line)
    advice = f"send {account} {(a_call + rounds * a_round - funds.balance) / ETHER:.6g} ether"
    if relayed:
        return Found("balance", Verdict.DOUBTFUL, line, f"to do without the relay, {advice}")
    return Found("balance", Verdict.DOUBTFUL if paid else Verdict.WRONG, line, advice)


def _gwei(wei: int) -> str:
    return f"{wei / GWEI:.3g} gwei"
