"""What a member without ether needs of its relay: that it serves the task, and can pay for it."""

from __future__ import annotations

from chain.acts import gas_for
from chain.probing import Funds
from chain.relay.health import Health
from chain.types import Address
from fl_node.cli.check.findings import Found, Verdict

GAS_A_MEMBER = 140_685 // 5 + 121_433 // 5 + 116_310 // 4
"""What a relay pays for a member in a round: its share of batches of five commitments, five reveals and four votes.
tests/snapshots/gas.json has these figures; smaller batches are dearer, larger ones cheaper."""

_WHAT, MEGA = "relay", 1_000_000
_ADVICE = "ask who runs the relay, or keep ether in the member's account"


def relay(name: str, health: Health, chain_id: int, contract: Address, task: int) -> Found:
    """Judge what a relay says of itself.

    Args:
        name: What it is called, such as "the relay at https://relay.example".
        health: What it says.
        chain_id, contract, task: Those of the member.
    """
    if (health.chain_id, health.contract) != (chain_id, contract):
        line = (
            f"{name} serves contract {health.contract} on chain {health.chain_id}; "
            f"the task is at {contract} on chain {chain_id}"
        )
        return Found(_WHAT, Verdict.WRONG, line, "give the --relay of this contract")
    if task not in health.tasks:
        served = ", ".join(map(str, sorted(health.tasks))) or "none"
        line = f"{name} does not serve task {task}; it serves {served}"
        return Found(_WHAT, Verdict.WRONG, line, "give the --relay of this task")
    spent = health.tasks[task]
    line = (
        f"{name} has spent {_mega(spent)} of {_mega(health.gas_per_task)} gas for task {task}, "
        f"and {_mega(health.gas_today)} of {_mega(health.gas_per_day)} for today"
    )
    if spent + gas_for(1) > health.gas_per_task:
        return Found(_WHAT, Verdict.WRONG, f"{line}: nothing is left for the task", _ADVICE)
    if health.gas_today + gas_for(1) > health.gas_per_day:
        return Found(_WHAT, Verdict.DOUBTFUL, f"{line}: it pays again after midnight UTC", _ADVICE)
    return Found(_WHAT, Verdict.GOOD, line)


def payer(health: Health, funds: Funds, members: int, rounds: int) -> Found:
    """Judge what the relay's account can pay for.

    Args:
        health: What the relay says.
        funds: What its account has, and what gas costs.
        members: How many members the task has.
        rounds: How many rounds the task has left.
    """
    held = f"the relay's account {health.account} has {funds.balance / 10**18:.6g} ether"
    a_round = members * GAS_A_MEMBER * funds.gas_price
    if a_round == 0:
        return Found("payer", Verdict.GOOD, f"{held}; gas costs nothing here")
    paid = max(0, funds.balance - gas_for(members) * funds.gas_price) // a_round
    line = (
        f"{held}, enough for about {paid} rounds of {members} members; the task has {rounds} left"
    )
    if paid >= rounds:
        return Found("payer", Verdict.GOOD, line)
    return Found("payer", Verdict.DOUBTFUL, line, _ADVICE)


def _mega(gas: int) -> str:
    return f"{gas / MEGA:,.1f} M"
