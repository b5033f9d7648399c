"""What the recorded losses of earlier rounds say."""

from __future__ import annotations

from chain.types import Address, Reveal, UpdateRevealed
from fl_node.history.past import PastRound, last_with_updates, mean_losses, median_loss
from fl_node.history.record import past_round


def reveal(training: int, held_out: int = 0, examples: int = 1) -> Reveal:
    return Reveal(bytes(32), examples, training, held_out, bytes(32))


def past(*rounds: list[Reveal]) -> list[PastRound]:
    return [PastRound(bytes([number]) * 32, tuple(one)) for number, one in enumerate(rounds)]


def test_before_the_first_update_there_is_no_median():
    assert median_loss([], "training") is None
    assert median_loss(past([]), "training") is None
    assert last_with_updates(past([])) is None


def test_the_median_is_the_last_rounds():
    history = past([reveal(1), reveal(2)], [reveal(10), reveal(30), reveal(20)])
    assert median_loss(history, "training") == 20
    assert median_loss(past([reveal(1), reveal(2)]), "training") == 1.5
    assert median_loss(past([reveal(1, held_out=7)]), "held_out") == 7


def test_a_round_that_everybody_declined_says_nothing():
    history = past([reveal(5)], [], [])
    assert median_loss(history, "training") == 5
    assert last_with_updates(history) is history[0]
    assert mean_losses(history, "training") == [5]


def test_means_weigh_by_examples():
    history = past([reveal(10, examples=3), reveal(50, examples=1)], [reveal(4)])
    assert mean_losses(history, "training") == [20, 4]


def test_only_included_updates_count_in_ascending_order_of_client():
    clients = [Address(f"0x{number:040x}") for number in (3, 1, 2)]
    reveals = [UpdateRevealed(1, 1, client, reveal(int(client, 16))) for client in clients]
    one = past_round(bytes(32), reveals, clients[:2])
    assert [kept.training_loss for kept in one.reveals] == [1, 3]
