"""What a node needs of the chain: endpoints, the clock, the contract, and money."""

from __future__ import annotations

from collections.abc import Sequence

from chain.accounts import DEV_CHAIN_IDS
from chain.probing import REQUESTS, Funds, Probe
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

GAS_A_ROUND = 160_000
"""What a member pays for in a round, with a margin: it commits, reveals and attests, and now and then ends a phase."""

GAS_A_CALL = 450_000
"""The gas that one transaction may use at the most; an account must be able to pay for it, though less is used."""

ETHER = 10**18


def endpoint(probe: Probe, chain_id: int, now: float) -> Found:
    """Judge an endpoint.

    Args:
        probe: What was found there.
        chain_id: The deployment's chain.
        now: This machine's time, in seconds since 1970.
    """
    what = "endpoint"
    client = probe.client or "its client gives no name"
    line = (
        f"{probe.endpoint}: {client}, chain {probe.chain_id}, "
        f"{REQUESTS} requests in {probe.seconds:.2f} s"
    )
    if probe.chain_id != chain_id:
        return Found(
            what,
            Verdict.WRONG,
            f"{line}; the contract is on chain {chain_id}",
            "give the --rpc-url of that chain, or the right --deployment",
        )
    age = now - probe.block_time
    if age > OLD_SECONDS and chain_id not in DEV_CHAIN_IDS:
        line += f"; its newest block is {age:.0f} s old"
        return Found(
            what,
            Verdict.DOUBTFUL,
            line,
            "it lags behind the chain, or this machine's clock is fast",
        )
    if probe.seconds > SLOW_SECONDS:
        advice = "that is a round's worth: use an endpoint that is nearer, or that allows more"
        return Found(what, Verdict.DOUBTFUL, line, advice)
    return Found(what, Verdict.GOOD, line)


def lagging(probes: Sequence[Probe]) -> list[Found]:
    """A finding for each endpoint that is behind the best one."""
    best = max((probe.block for probe in probes), default=0)
    return [
        Found(
            "endpoint",
            Verdict.DOUBTFUL,
            f"{probe.endpoint}: {best - probe.block} blocks behind another endpoint",
            "leave it out, or give it time to catch up",
        )
        for probe in probes
        if best - probe.block > LAG_BLOCKS
    ]


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


def balance(account: Address, funds: Funds, rounds: int) -> Found:
    """Judge what an account can pay for.

    Args:
        account: It.
        funds: What it has, and what gas costs.
        rounds: How many rounds the task has left.
    """
    a_call, a_round = GAS_A_CALL * 2 * funds.gas_price, GAS_A_ROUND * funds.gas_price
    held = f"{funds.balance / ETHER:.6g} ether"
    if a_round == 0:
        return Found("balance", Verdict.GOOD, f"{held}; gas costs nothing here")
    paid = max(0, funds.balance - a_call) // a_round
    price = f"at {funds.gas_price / 10**9:.3g} gwei"
    needed = (a_call + rounds * a_round - funds.balance) / ETHER
    line = f"{held}, enough for about {paid} rounds {price}; the task has {rounds} left"
    if paid >= rounds:
        return Found("balance", Verdict.GOOD, line)
    advice = f"send {account} {needed:.6g} ether"
    return Found("balance", Verdict.DOUBTFUL if paid else Verdict.WRONG, line, advice)
