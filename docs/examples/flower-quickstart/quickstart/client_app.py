"""What a site does when it is asked to train or to evaluate."""

from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from quickstart.task import Net, load_data, test, train

app = ClientApp()


def received(msg: Message, context: Context):
    """The network with the received weights, and this site's two loaders."""
    net = Net()
    net.load_state_dict(msg.content["arrays"].to_torch_state_dict())
    partition = context.node_config["partition-id"]
    partitions = context.node_config["num-partitions"]
    return net, *load_data(partition, partitions, context.run_config["batch-size"])


@app.train()
def train_here(msg: Message, context: Context) -> Message:
    """Train on the site's own digits."""
    net, loader, _ = received(msg, context)
    loss = train(net, loader, context.run_config["local-epochs"], msg.content["config"]["lr"])
    metrics = {"train_loss": loss, "num-examples": len(loader.dataset)}
    content = {"arrays": ArrayRecord(net.state_dict()), "metrics": MetricRecord(metrics)}
    return Message(RecordDict(content), reply_to=msg)


@app.evaluate()
def evaluate_here(msg: Message, context: Context) -> Message:
    """Test on the digits that the site keeps back."""
    net, _, loader = received(msg, context)
    loss, accuracy = test(net, loader)
    metrics = {"eval_loss": loss, "eval_acc": accuracy, "num-examples": len(loader.dataset)}
    return Message(RecordDict({"metrics": MetricRecord(metrics)}), reply_to=msg)
