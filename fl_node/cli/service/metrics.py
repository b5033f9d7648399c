"""A node's numbers for Prometheus. docs/operations.md lists them.

Source: https://prometheus.io/docs/practices/naming/
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from chain.types import Phase
from fl_node.cli.service.health import health_of
from fl_node.cli.service.watch import Watch
from fl_node.member.next_action import Action

PHASES = tuple(phase.name.lower() for phase in Phase if phase is not Phase.NONE)
ACTIONS = tuple(action.name.lower() for action in Action if action is not Action.WAIT)


class NodeCollector(Collector):
    """Reads the numbers of a watch whenever Prometheus asks."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch

    def collect(self) -> Iterable[Metric]:
        """All metrics of the node."""
        watch = self._watch
        yield _gauge("healthy", "1 if the node is in order", health_of(watch).healthy)
        member = GaugeMetricFamily(
            "ganchor_member", "The member and its task; always 1", labels=("account", "task")
        )
        member.add_metric((watch.account, str(watch.task)), 1)
        yield member
        yield from _of_task(watch)
        yield _counts("actions", "What the chain recorded of the node", "action", _actions(watch))
        yield _counts("seconds", "How long it has been doing what", "doing", watch.seconds())
        if watch.store is not None:
            moved = {"sent": watch.store.sent, "received": watch.store.received}
            yield _counts("store_bytes", "Bytes of blobs", "direction", moved)
        yield _counts("trouble", "Errors that were waited out", "error", dict(watch.troubles))
        yield CounterMetricFamily("ganchor_gas", "Gas that its transactions used", watch.gas)
        yield _gauge("training_step", "The step of the training", watch.step)
        yield _gauge("training_steps", "How many steps it has", watch.steps)
        yield _gauge("missing_members", "How many members it last waited for", watch.missing)
        yield _gauge(
            "last_action_timestamp_seconds",
            "When the chain last recorded something of it; 0: not yet",
            watch.acted_at,
        )


def registry_of(watch: Watch) -> CollectorRegistry:
    """The node's metrics, and those of its process: CPU, memory, open files."""
    registry = CollectorRegistry()
    registry.register(NodeCollector(watch))
    ProcessCollector(registry=registry)
    return registry


def _of_task(watch: Watch) -> Iterator[Metric]:
    """What the chain says of the task, once the node has looked."""
    state = watch.state
    if state is None:
        return
    yield _gauge("rounds", "How many rounds the task has", state.terms.rounds)
    yield _gauge("round", "The current round", state.round)
    yield _gauge("attempt", "The round's current attempt", state.attempt)
    yield _gauge("deadline_timestamp_seconds", "When the phase ends", state.deadline)
    current = state.phase.name.lower()
    phase = GaugeMetricFamily("ganchor_phase", "1 for the current phase", labels=("phase",))
    for name in PHASES:
        phase.add_metric((name,), name == current)
    yield phase


def _actions(watch: Watch) -> dict[str, float]:
    return {name: watch.actions[name] for name in ACTIONS}


def _gauge(name: str, help: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"ganchor_{name}", help, value=value)


def _counts(name: str, help: str, label: str, counts: Mapping[str, float]) -> CounterMetricFamily:
    family = CounterMetricFamily(f"ganchor_{name}", help, labels=(label,))
    for value, count in counts.items():
        family.add_metric((value,), count)
    return family
