"""A ClientApp as a learner: what the app receives, and what becomes of its replies."""

from __future__ import annotations

import random
import sys
from typing import Any

import numpy as np
import pytest

pytest.importorskip("flwr")

from flower_apps import MODEL, adds_one, app_with, assignment, learner_of, received, reply_to
from flwr.app import ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from fl_node.errors import CodeRefused, TrainingDiverged, TrainingFailed
from fl_node.flower.learner import in_order
from fl_node.learner import Measured


def test_the_reply_s_arrays_are_the_trained_model() -> None:
    trained = learner_of(app_with()).train(assignment())

    assert trained.shared["w"].tobytes() == np.ones((2, 3), np.float32).tobytes()
    assert (trained.num_examples, trained.steps, trained.training_loss) == (10, 1, 0.0)
    assert trained.private == {}


def test_the_app_sees_what_a_server_would_send_and_its_own_configuration() -> None:
    seen: list[Any] = []

    def train(message: Message, context: Context) -> Message:
        seen.append((message, context))
        return adds_one(message, context)

    learner = learner_of(
        app_with(train), run={"local-epochs": 2, "lr": 0.1}, node={"site": "north"}
    )
    learner.train(assignment(round=3))

    message, context = seen[0]
    assert message.metadata.message_type == "train"
    assert (message.metadata.src_node_id, message.metadata.dst_node_id) == (1, context.node_id)
    assert dict(message.content["config"]) == {"local-epochs": 2, "lr": 0.1, "server-round": 3}
    assert context.run_config == {"local-epochs": 2, "lr": 0.1}
    assert context.node_config == {"site": "north"}
    assert received(message)["w"].tobytes() == MODEL["w"].tobytes()


def test_an_app_may_make_messages_of_its_own() -> None:
    def train(message: Message, context: Context) -> Message:
        own = Message(RecordDict(), dst_node_id=1, message_type="query")
        assert own.metadata.src_node_id == context.node_id
        return adds_one(message, context)

    learner_of(app_with(train)).train(assignment())


def test_the_app_s_mods_run_around_it() -> None:
    def doubling(message: Message, context: Context, call_next: Any) -> Message:
        reply = call_next(message, context)
        doubled = {name: array.numpy() * 2 for name, array in reply.content["arrays"].items()}
        return reply_to(message, doubled, num_examples=10)

    app = ClientApp(mods=[doubling])
    app.train()(adds_one)

    assert (learner_of(app).train(assignment()).shared["w"] == 2).all()


def test_metrics_and_losses_are_taken_by_name() -> None:
    app = app_with(
        lambda m, _: reply_to(m, received(m), num_examples=1, train_loss=0.5, seconds=9.0),
        lambda m, _: reply_to(m, num_examples=1, eval_loss=0.25, accuracy=0.75),
    )
    learner = learner_of(
        app,
        metrics=("accuracy", "seconds", "auc"),
        losses={"training": "train-loss", "held_out": "eval-loss"},
    )
    trained = learner.train(assignment())

    assert (trained.training_loss, trained.metrics) == (0.5, {"seconds": 9.0})
    assert learner.measure(MODEL, None) == Measured(0.25, {"accuracy": 0.75})


def test_without_evaluate_the_held_out_loss_is_0_and_there_are_no_metrics() -> None:
    assert learner_of(app_with(), metrics=("accuracy",)).measure(MODEL, None) == Measured(0.0)


def test_a_loss_that_no_reply_has_is_0() -> None:
    assert (
        learner_of(app_with(), losses={"training": "loss"}).train(assignment()).training_loss == 0
    )


@pytest.mark.parametrize("loss", [float("nan"), float("inf"), 10**400])
def test_a_loss_that_is_not_finite_is_a_divergence(loss: float) -> None:
    app = app_with(lambda m, _: reply_to(m, received(m), num_examples=1, loss=loss))

    with pytest.raises(TrainingDiverged, match="the Flower app's loss is"):
        learner_of(app, losses={"training": "loss"}).train(assignment())


def test_a_metric_may_be_nan() -> None:
    app = app_with(lambda m, _: reply_to(m, received(m), num_examples=1, auc=float("nan")))

    assert np.isnan(learner_of(app, metrics=("auc",)).train(assignment()).metrics["auc"])


def counts(message: Message, context: Context) -> Message:
    """Adds to every weight how often it was called before, which it keeps in its state."""
    if "calls" not in context.state:
        context.state["calls"] = MetricRecord({"number": 0})
    calls = context.state["calls"]
    calls["number"] += 1
    moved = {name: array + calls["number"] for name, array in received(message).items()}
    return reply_to(message, moved, num_examples=1)


def test_the_state_survives_rounds_and_restarts() -> None:
    first = learner_of(app_with(counts)).train(assignment())
    second = learner_of(app_with(counts)).train(assignment(private=first.private))

    assert (first.shared["w"] == 1).all() and (second.shared["w"] == 2).all()
    assert first.private["context"].dtype == np.uint8


def test_the_evaluation_sees_the_state_and_leaves_no_trace_in_it() -> None:
    seen = []

    def evaluate(message: Message, context: Context) -> Message:
        seen.append(context.state["calls"]["number"])
        context.state["calls"]["number"] = 100
        return reply_to(message, num_examples=1)

    learner = learner_of(app_with(counts, evaluate))
    first = learner.train(assignment())
    learner.measure(first.shared, first.private)
    learner.measure(first.shared, first.private)

    assert seen == [1, 1]
    assert (learner.train(assignment(private=first.private)).shared["w"] == 2).all()


def noise(message: Message, context: Context) -> Message:
    drawn = np.random.rand(2, 3) + random.random()
    if "torch" in sys.modules:
        drawn += sys.modules["torch"].rand(2, 3).numpy()
    return reply_to(message, {"w": drawn.astype(np.float32)}, num_examples=1)


def same_chance() -> None:
    learner = learner_of(app_with(noise))
    one, again, other = (learner.train(assignment(seed=seed)).shared["w"] for seed in (1, 1, 2**62))
    assert one.tobytes() == again.tobytes() != other.tobytes()


def test_the_seed_of_the_assignment_determines_an_app_s_chance() -> None:
    same_chance()


@pytest.mark.slow
def test_the_seed_of_the_assignment_determines_torch_s_chance() -> None:
    pytest.importorskip("torch")
    same_chance()


# What an app knows as batch norm's counter: int64, without dimensions.
COUNTED = {"count": np.array(3, np.int64), "w": np.zeros(2, np.float32)}


def test_tensors_of_integers_are_constants_whatever_the_app_does_to_them() -> None:
    trained = learner_of(app_with(), COUNTED).train(assignment(COUNTED))

    assert trained.shared["count"].tobytes() == np.array(3, np.int64).tobytes()
    assert trained.shared["count"].shape == ()
    assert (trained.shared["w"] == 1).all()


def test_the_app_receives_the_genesis_tensors_that_do_not_travel() -> None:
    trained = learner_of(app_with(), COUNTED, share=("w",)).train(
        assignment({"w": np.ones(2, np.float32)})
    )

    assert list(trained.shared) == ["w"]
    assert (trained.shared["w"] == 2).all()


def test_weights_without_dimensions_and_of_every_width_travel() -> None:
    model = {
        "scale": np.array(1.5, np.float32),
        "half": np.ones(3, np.float16),
        "wide": np.ones((1, 2), np.float64),
    }
    shared = learner_of(app_with(), model).train(assignment(model)).shared

    assert {name: (array.shape, array.dtype) for name, array in shared.items()} == {
        name: (array.shape, array.dtype) for name, array in model.items()
    }
    assert shared["scale"] == 2.5


def test_an_array_in_fortran_s_order_comes_out_in_c_s() -> None:
    turned = np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3))
    app = app_with(lambda m, _: reply_to(m, {"w": turned}, num_examples=1))
    shared = learner_of(app).train(assignment()).shared

    assert shared["w"].flags.c_contiguous
    assert shared["w"].tobytes() == turned.tobytes()


def test_an_app_that_cannot_train_is_refused_at_opening() -> None:
    app = app_with(None, adds_one)
    app.train("elsewhere")(adds_one)

    with pytest.raises(CodeRefused, match=r"no function to train with.*train\.elsewhere"):
        learner_of(app)
    with pytest.raises(CodeRefused, match="it has none at all"):
        learner_of(ClientApp())


def test_names_that_are_numbers_are_sent_in_their_order() -> None:
    arrays = {str(n): np.zeros(1, np.float32) for n in (0, 1, 10, 11, 2, 3, 4, 5, 6, 7, 8, 9)}

    assert list(in_order(arrays)) == [str(n) for n in range(12)]


BAD_REPLIES: dict[str, tuple[Any, str]] = {
    "nothing": (lambda m: None, "returned NoneType, not a Message"),
    "text": (lambda m: "done", "returned str, not a Message"),
    "no arrays": (lambda m: reply_to(m, num_examples=1), "0 ArrayRecords"),
    "no numbers": (lambda m: reply_to(m, received(m)), "no number 'num-examples'"),
    "an empty record": (lambda m: reply_to(m, {}, num_examples=1), "0 tensors and lacks 'w'"),
    "another name": (
        lambda m: reply_to(m, {"v": MODEL["w"]}, num_examples=1),
        "1 tensors and lacks 'w'",
    ),
    "one too many": (
        lambda m: reply_to(m, {**MODEL, "v": MODEL["w"]}, num_examples=1),
        "2 tensors and has 'v' besides",
    ),
    "another shape": (
        lambda m: reply_to(m, {"w": MODEL["w"].T}, num_examples=1),
        r"float32\[3, 2\]; the model has float32\[2, 3\]",
    ),
    "no dimensions": (
        lambda m: reply_to(m, {"w": np.array(1, np.float32)}, num_examples=1),
        r"float32\[\]; the model",
    ),
    "another dtype": (
        lambda m: reply_to(m, {"w": MODEL["w"].astype(np.float64)}, num_examples=1),
        r"float64\[2, 3\]; the model has float32",
    ),
    "integers": (
        lambda m: reply_to(m, {"w": MODEL["w"].astype(np.int64)}, num_examples=1),
        r"int64\[2, 3\]",
    ),
    "the other byte order": (
        lambda m: reply_to(m, {"w": MODEL["w"].astype(">f4")}, num_examples=1),
        r">f4\[2, 3\]",
    ),
    "NaN": (
        lambda m: reply_to(m, {"w": MODEL["w"] * np.nan}, num_examples=1),
        "tensor w is no longer finite",
    ),
}


@pytest.mark.parametrize("name", BAD_REPLIES)
def test_a_reply_that_cannot_be_used_is_one_line(name: str) -> None:
    answer, said = BAD_REPLIES[name]

    with pytest.raises((TrainingFailed, TrainingDiverged), match=said) as failure:
        learner_of(app_with(lambda m, _: answer(m))).train(assignment())
    assert "\n" not in str(failure.value)


@pytest.mark.parametrize("count", [0, -1, 2**53, 2**70, 3.5, float("nan"), float("inf"), [3]])
def test_an_absurd_number_of_examples_is_one_line(count: Any) -> None:
    app = app_with(lambda m, _: reply_to(m, received(m), num_examples=count))

    with pytest.raises(TrainingFailed, match="num-examples"):
        learner_of(app).train(assignment())


def test_a_whole_float_counts_examples() -> None:
    app = app_with(lambda m, _: reply_to(m, received(m), num_examples=64.0))

    assert learner_of(app).train(assignment()).num_examples == 64


def test_text_for_a_number_of_examples_fails_inside_the_app() -> None:
    app = app_with(lambda m, _: reply_to(m, received(m), num_examples="many"))

    with pytest.raises(TrainingFailed, match="train raised TypeError"):
        learner_of(app).train(assignment())


def test_two_array_records_are_ambiguous() -> None:
    def train(message: Message, context: Context) -> Message:
        reply = adds_one(message, context)
        reply.content["more"] = reply.content["arrays"]
        return reply

    with pytest.raises(TrainingFailed, match="2 ArrayRecords"):
        learner_of(app_with(train)).train(assignment())


def test_bytes_that_are_no_array_are_one_line() -> None:
    def train(message: Message, context: Context) -> Message:
        reply = adds_one(message, context)
        reply.content["arrays"]["w"].data = b"\x93NUMPY nonsense"
        return reply

    with pytest.raises(TrainingFailed, match="train raised"):
        learner_of(app_with(train)).train(assignment())


def test_an_error_in_the_reply_is_shown_without_control_characters() -> None:
    from flwr.app import Error

    app = app_with(lambda m, _: Message(Error(9, "no\n\x1b[2Jdata"), reply_to=m))

    with pytest.raises(TrainingFailed, match=r"error 9: no \\x1b\[2Jdata"):
        learner_of(app).train(assignment())


@pytest.mark.parametrize(
    "error", [ValueError("bad\nbatch"), MemoryError(), SystemExit(3), RecursionError("deep")]
)
@pytest.mark.parametrize("asked", ["train", "evaluate"])
def test_what_an_app_raises_is_one_line(asked: str, error: BaseException) -> None:
    def raises(message: Message, context: Context) -> Message:
        raise error

    learner = learner_of(app_with(raises, raises))
    with pytest.raises(TrainingFailed, match=f"{asked} raised {type(error).__name__}") as failure:
        if asked == "train":
            learner.train(assignment())
        else:
            learner.measure(MODEL, None)
    assert "\n" not in str(failure.value)


def test_a_reply_whose_content_was_replaced_is_one_line() -> None:
    def train(message: Message, context: Context) -> Message:
        reply = adds_one(message, context)
        reply.content = 5
        return reply

    with pytest.raises(TrainingFailed, match="train raised"):
        learner_of(app_with(train)).train(assignment())


# Apps from before messages: a client made by a function.


def numpy_client(**methods: Any) -> ClientApp:
    from flwr.client import NumPyClient

    client = type("Client", (NumPyClient,), methods)
    return ClientApp(client_fn=lambda context: client().to_client())


LAYERS = {"0": np.zeros(2, np.float32), "1": np.ones((2, 2), np.float32)}


def test_an_app_with_client_fn_trains_by_position() -> None:
    def fit(self: Any, parameters: Any, config: Any) -> Any:
        assert [layer.shape for layer in parameters] == [(2,), (2, 2)]
        return [layer + config["rate"] for layer in parameters], 12, {"train_loss": 0.5}

    def evaluate(self: Any, parameters: Any, config: Any) -> Any:
        return 0.125, 12, {"accuracy": 0.5}

    learner = learner_of(
        numpy_client(fit=fit, evaluate=evaluate),
        LAYERS,
        run={"rate": 2},
        metrics=("accuracy",),
        losses={"training": "train_loss", "held_out": "loss"},
    )
    trained = learner.train(assignment(LAYERS))

    assert (trained.shared["0"] == 2).all() and (trained.shared["1"] == 3).all()
    assert (trained.num_examples, trained.training_loss) == (12, 0.5)
    assert learner.measure(LAYERS, None) == Measured(0.125, {"accuracy": 0.5})


def test_an_app_with_client_fn_may_lack_evaluate_but_not_fit() -> None:
    learner = learner_of(numpy_client(), LAYERS)

    assert learner.measure(LAYERS, None) == Measured(0.0)
    with pytest.raises(TrainingFailed, match="has no fit"):
        learner.train(assignment(LAYERS))


def test_an_app_with_client_fn_needs_numbered_tensors() -> None:
    with pytest.raises(
        CodeRefused, match="made with client_fn and knows tensors by their position"
    ):
        learner_of(numpy_client())


def test_a_status_that_is_an_error_is_one_line() -> None:
    def failing(message: Message, context: Context) -> Message:
        reply = adds_one(message, context)
        reply.content["fitres.status"] = ConfigRecord({"code": 2, "message": "no data"})
        return reply

    with pytest.raises(TrainingFailed, match="status 2: no data"):
        learner_of(app_with(failing)).train(assignment())


@pytest.mark.slow
def test_a_torch_state_dict_with_batch_norm_makes_the_round_trip() -> None:
    torch = pytest.importorskip("torch")
    network = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.BatchNorm2d(2))
    model = {name: tensor.numpy().copy() for name, tensor in network.state_dict().items()}

    def train(message: Message, context: Context) -> Message:
        network.load_state_dict(message.content["arrays"].to_torch_state_dict())
        network(torch.ones(4, 1, 5, 5))
        content = RecordDict(
            {
                "arrays": ArrayRecord(network.state_dict()),
                "metrics": MetricRecord({"num-examples": 4}),
            }
        )
        return Message(content, reply_to=message)

    trained = learner_of(app_with(train), model).train(assignment(model))

    assert network[1].num_batches_tracked == 1
    assert trained.shared["1.num_batches_tracked"] == 0
    assert not np.array_equal(trained.shared["1.running_mean"], model["1.running_mean"])
