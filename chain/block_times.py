"""When blocks were made: logs of older nodes do not tell."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from chain import answers
from chain.answers import Log
from chain.connection import Connection
from chain.endpoint import Question
from chain.errors import HistoryInvalid

TOGETHER = 50
"""So many blocks are asked for in one request; public endpoints allow batches of 100 and more."""

KEPT = 1_000
"""The times of so many blocks are remembered: a receipt's block is the log's a moment later."""


class BlockTimes:
    """The timestamps of blocks, asked for once.

    Blocks are identified by hash: after a reorganisation another block can have the same number.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._kept: dict[bytes, int] = {}

    def of(self, logs: Sequence[Log]) -> Iterator[tuple[Log, int]]:
        """Each log with the time of its block, in seconds since 1970; newer nodes give it with the log.

        Raises:
            HistoryInvalid: The node does not have one of the blocks.
        """
        for start in range(0, len(logs), TOGETHER):
            some = logs[start : start + TOGETHER]
            self._learn({log.block_hash for log in some if log.timestamp is None})
            for log in some:
                known = self._kept[log.block_hash] if log.timestamp is None else log.timestamp
                yield log, known

    def _learn(self, blocks: Iterable[bytes]) -> None:
        if len(self._kept) > KEPT:
            self._kept.clear()
        questions = {
            block: Question(answers.block, "eth_getBlockByHash", "0x" + block.hex(), False)
            for block in blocks
            if block not in self._kept
        }
        self._connection.ask_all([*questions.values()])
        for block, question in questions.items():
            found = question.answer()
            if found is None:
                raise HistoryInvalid(f"the node does not have block 0x{block.hex()}")
            self._kept[block] = found.timestamp
