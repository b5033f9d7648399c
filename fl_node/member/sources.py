"""What a member reads to take part in a round: the model it starts from, the past, and what the others revealed."""

from __future__ import annotations

from chain.ledger import Ledger
from chain.types import TaskState
from fl_node.blobs.model import Model
from fl_node.blobs.store import Store
from fl_node.history.growing_past import GrowingPast
from fl_node.history.kept import KeptLog
from fl_node.manifest.manifest import Manifest
from fl_node.member.checking import computed_again, round_behind
from fl_node.member.models import Models
from fl_node.member.nearest import Nearest
from fl_node.member.receiving import receive
from fl_node.member.state import NodeState
from fl_node.round.aggregate import Aggregated, aggregate_round
from fl_node.round.contribute import Received


class Sources:
    """Reads ledger, store and state folder for one member in one task. What the node made itself is not downloaded.

    Args:
        ledger: The ledger as this member's account sees it.
        store: The task's store.
        task: The task's number.
        manifest: The task's manifest.
        state: The member's state folder.
        checks: Whether a model that this node did not compute is computed again before it is used.
    """

    def __init__(
        self,
        ledger: Ledger,
        store: Store,
        task: int,
        manifest: Manifest,
        state: NodeState,
        checks: bool,
    ) -> None:
        self._client = ledger.account
        self._manifest = manifest
        self._checks = checks
        self._state = state
        self._store = store
        self._nearest = Nearest(state, store)
        self.models = Models(manifest, state, self._nearest)
        self._log = KeptLog(ledger, task, state.log_file)
        self._past = GrowingPast(manifest.addresses)

    def parent(self, state: TaskState) -> Model:
        """The model that the current round starts from.

        Raises:
            ModelDisputed: A quorum made it final, but the updates of its round do not come to it.
            HistoryInvalid: The log lags behind the state; try again later.
            BadData: The model, or what it is computed from, is missing or damaged; try again later.
            StoreUnusable: The store cannot be read.
        """
        if self._checks and not self.models.made(state.parent_digest):
            self._compute_again(state)
        return self.models.load(state.parent_digest)

    def received(self, state: TaskState) -> Received:
        """The parent, and what the strategy needs of the past; only if it needs something is the log read.

        Raises:
            ModelDisputed, HistoryInvalid, BadData, StoreUnusable: As `parent`.
        """
        parent = self.parent(state).arrays
        if not self._manifest.strategy.needs_past:
            return Received(parent)
        with self._log.read_to(state.history_head) as log:
            return receive(
                self._manifest,
                self._client,
                state.round,
                parent,
                log,
                self._past,
                self._nearest,
                self.models.load,
            )

    def aggregate(self, state: TaskState) -> Aggregated:
        """What the current round's revealed updates come to.

        Raises:
            ModelDisputed, HistoryInvalid, BadData, StoreUnusable: As `parent`.
        """
        with self._log.read_to(state.history_head) as log:
            attempts = log.attempts()
        reader = self._nearest if self._is_seen_by_others(state) else self._store
        parent = self.parent(state)
        return aggregate_round(reader, self._manifest, parent, attempts.reveals, attempts.abandoned)

    def _is_seen_by_others(self, state: TaskState) -> bool:
        """Whether the own update is in the store as others read it, so that it need not be read from there.

        That is looked at here and there only. Whoever flips one bit of it divides the votes once: after an abort the
        node reads what the others read.
        """
        plan = self._state.plan(state.round, state.parent_digest)
        if plan is None or plan.opening is None:
            return True
        own = self._state.update(plan.round, plan.opening.update_digest)
        return state.attempt == 0 and self._store.holds(own)

    def _compute_again(self, state: TaskState) -> None:
        with self._log.read_to(state.history_head) as log:
            recorded = round_behind(state, log)
        if recorded is not None:
            made = computed_again(self._manifest, self._nearest, self.models.load, recorded)
            self.models.keep(state.parent_digest, made.blob, recorded.opened.parent_digest)
