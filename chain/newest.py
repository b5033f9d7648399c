"""The newest block, and the one to come, asked for together: what the time is, and what gas will cost."""

from __future__ import annotations

from typing import Any

from chain import answers
from chain.connection import Connection
from chain.endpoint import Question
from chain.errors import ChainRefused, ChainUnreachable


class NewestBlocks:
    """The questions for the newest block and for the pending one, and their answers."""

    def __init__(self) -> None:
        self._latest = Question(answers.block, "eth_getBlockByNumber", "latest", False)
        self._pending = Question(answers.block, "eth_getBlockByNumber", "pending", False)
        self.all: tuple[Question[Any], ...] = self._latest, self._pending

    def seen(self, connection: Connection) -> answers.Block | None:
        """The newest block, which the connection's pace notes; None if the node gives none."""
        block = self._latest.answer()
        if block is not None:
            connection.pace.saw(block)
        return block

    def latest(self, connection: Connection) -> answers.Block:
        """The newest block.

        Raises:
            ChainUnreachable: The node gives none.
        """
        block = self.seen(connection)
        if block is None:
            raise ChainUnreachable(f"{connection} has no latest block")
        return block

    def pending(self) -> answers.Block | None:
        """The block to come; None if the node builds none itself."""
        try:
            return self._pending.answer()
        except ChainRefused:
            return None
