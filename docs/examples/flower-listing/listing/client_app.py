"""What a site does. Its discriminator and its optimisers stay with it, in the context's state, from round to round."""

import torch
from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from listing.model import Discriminator, Generator
from listing.task import load_data, test, train

app = ClientApp()


def received(msg: Message, context: Context):
    """The received generator, and this site's digits."""
    generator = Generator()
    generator.load_state_dict(msg.content["arrays"].to_torch_state_dict())
    partition = context.node_config["partition-id"]
    partitions = context.node_config["num-partitions"]
    return generator, *load_data(partition, partitions, context.run_config["batch-size"])


def own(context: Context, generator: Generator):
    """This site's discriminator, and an Adam for each network, as its last round left them."""
    discriminator = Discriminator()
    rate = context.run_config["learning-rate"]
    optimisers = [torch.optim.Adam(network.parameters(), rate, betas=(0.5, 0.999))
                  for network in (generator, discriminator)]  # fmt: skip
    if "discriminator" in context.state:
        discriminator.load_state_dict(context.state["discriminator"].to_torch_state_dict())
        for number, optimiser in enumerate(optimisers):
            restore(optimiser, context.state[f"optimiser-{number}"].to_torch_state_dict())
    return discriminator, optimisers


def moments(optimiser):
    """An optimiser's state as named tensors, such as `0.exp_avg`."""
    state = optimiser.state_dict()["state"]
    return {
        f"{place}.{name}": tensor for place, held in state.items() for name, tensor in held.items()
    }


def restore(optimiser, tensors):
    """Give an optimiser the state that `moments` named."""
    whole = optimiser.state_dict()
    for key, tensor in tensors.items():
        place, name = key.split(".")
        whole["state"].setdefault(int(place), {})[name] = tensor
    optimiser.load_state_dict(whole)


@app.train()
def train_here(msg: Message, context: Context) -> Message:
    """Train the generator against the site's own discriminator."""
    generator, loader, _ = received(msg, context)
    discriminator, optimisers = own(context, generator)
    loss = train(generator, discriminator, optimisers, loader, context.run_config["local-epochs"])
    context.state["discriminator"] = ArrayRecord(discriminator.state_dict())
    for number, optimiser in enumerate(optimisers):
        context.state[f"optimiser-{number}"] = ArrayRecord(moments(optimiser))
    metrics = {"gen_loss": loss, "num-examples": len(loader.dataset)}
    content = {"arrays": ArrayRecord(generator.state_dict()), "metrics": MetricRecord(metrics)}
    return Message(RecordDict(content), reply_to=msg)


@app.evaluate()
def evaluate_here(msg: Message, context: Context) -> Message:
    """Compare the generator's pictures with the digits that the site keeps back."""
    generator, _, real = received(msg, context)
    metrics = {"energy_distance": test(generator, real), "num-examples": len(real)}
    return Message(RecordDict({"metrics": MetricRecord(metrics)}), reply_to=msg)
