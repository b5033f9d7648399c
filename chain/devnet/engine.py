"""py-evm's Prague rules, with a clock that suits tests and a time limit for every computation.

Block times follow the clock. Ethereum requires each block to be later than its parent. A chain that mines several
blocks in a second would then run ahead of the clock, and past every deadline. This chain instead lets neighbouring
blocks share a second, as many layer-2 chains do.

Gas does not bound the time of a computation: the same gas pays for a loop of 5 seconds or, in precompiles that py-evm
computes in plain Python, for some minutes. So computations check a deadline.
"""

from __future__ import annotations

from typing import Any

from eth.vm.forks.prague import PragueVM
from eth.vm.forks.prague.computation import PragueComputation
from eth.vm.forks.prague.state import PragueState

from chain.devnet.limits import Deadline, TooMuch

PRECOMPILE_GAS = 500_000
"""The most gas of one precompile call, which cannot be interrupted: 5 seconds in the slowest one, the pairing of
BLS12-381. Enough for 13 pairings of BN254; a Groth16 proof takes 4."""

_GAS_BETWEEN_LOOKS = 10_000


class _DevVM(PragueVM):
    """Prague's rules, except that a block may have its parent's timestamp."""

    @classmethod
    def validate_header(cls, header: Any, parent_header: Any) -> None:
        if header.timestamp == parent_header.timestamp:
            parent_header = parent_header.copy(timestamp=parent_header.timestamp - 1)
        super().validate_header(header, parent_header)


class _DevComputation(PragueComputation):
    """Prague's computation, except that it raises `TooMuch` after the deadline."""

    deadline: Deadline
    _gas_since_look = 0

    def consume_gas(self, amount: int, reason: str) -> None:
        super().consume_gas(amount, reason)
        self._gas_since_look += amount
        if self._gas_since_look > _GAS_BETWEEN_LOOKS:
            self._gas_since_look = 0
            self.deadline.check()
            self._check_precompile(amount)

    def _check_precompile(self, amount: int) -> None:
        # After an error, py-evm charges all remaining gas.
        large = amount > PRECOMPILE_GAS and self._error is None
        if large and self.msg.code_address in self.precompiles:
            raise TooMuch(
                f"execution aborted: the devnet runs a precompile for at most {PRECOMPILE_GAS} gas "
                f"in one call, {amount} asked for"
            )


def engine(deadline: Deadline) -> Any:
    """The VM class whose computations check this deadline."""
    computation = type("DevComputation", (_DevComputation,), {"deadline": deadline})
    state = type("DevState", (PragueState,), {"computation_class": computation})
    return type("DevVM", (_DevVM,), {"_state_class": state})
