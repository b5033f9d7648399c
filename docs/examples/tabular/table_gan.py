"""A GAN that draws rows of a table: patients that do not exist, with the measurements of real ones.

The table is scikit-learn's 569 breast tumours with 30 measurements each, and whether they are benign;
`--partition iid` splits it among the members. A hospital would read its own table, from what it gives as `--data`.
"""

import torch
from sklearn.datasets import load_breast_cancer
from torch import nn
from torch.nn.functional import softplus

from fl_node.learning import TorchLearner

COLUMNS = 31


def network(inputs, width, outputs):
    return nn.Sequential(
        *(nn.Linear(inputs, width), nn.LeakyReLU(0.2)),
        *(nn.Linear(width, width), nn.LeakyReLU(0.2)),
        nn.Linear(width, outputs),
    )


class TableGan(TorchLearner):
    def build(self, knobs):
        return nn.ModuleDict(
            {
                "generator": network(knobs["latent"], knobs["width"], COLUMNS),
                "discriminator": network(COLUMNS, knobs["width"], 1),
            }
        )

    def data(self, uri, knobs):
        measurements, benign = load_breast_cancer(return_X_y=True)
        table = torch.column_stack([torch.tensor(measurements), torch.tensor(benign)]).float()
        # By the numbers of the whole table, so that all members mean the same by 1.0. Agree on such numbers beforehand.
        return (table - table.mean(0)) / table.std(0)

    def optimisers(self, model, knobs):
        rate = float(knobs["rate"])
        return {
            name: torch.optim.Adam(network.parameters(), lr=rate, betas=(0.5, 0.9))
            for name, network in model.items()
        }

    def training_step(self, model, batch, optimisers):
        real, fakes = batch.requires_grad_(), draw(model, len(batch))
        real_score = model["discriminator"](real)
        fake_score = model["discriminator"](fakes.detach())
        (slope,) = torch.autograd.grad(real_score.sum(), real, create_graph=True)
        discriminator_loss = (softplus(-real_score) + softplus(fake_score)).mean()
        discriminator_loss += (
            slope.square().sum(1).mean() / 2
        )  # R1: Mescheder et al., arXiv:1801.04406
        optimisers["discriminator"].zero_grad()
        discriminator_loss.backward()
        optimisers["discriminator"].step()

        generator_loss = softplus(-model["discriminator"](fakes)).mean()
        optimisers["generator"].zero_grad()
        generator_loss.backward()
        optimisers["generator"].step()
        return {"generator": generator_loss, "discriminator": discriminator_loss}

    def measure(self, model, held_out):
        real = torch.cat(list(held_out))
        fakes = draw(model, len(real))
        distance = (fakes.T.corrcoef() - real.T.corrcoef()).square().mean().sqrt().item()
        return {
            "loss": distance,
            "distance_of_correlations": distance,
            "told_apart": told_apart(real, fakes),
        }


def draw(model, count):
    first = model["generator"][0]
    return model["generator"](torch.randn(count, first.in_features, device=first.weight.device))


def told_apart(real, fakes):
    """The accuracy of a two-sample test by nearest neighbours: 0.5 if nobody can tell the rows apart, 1 if all can."""
    rows = torch.cat([real, fakes])
    is_real = torch.arange(len(rows), device=rows.device) < len(real)
    distances = torch.cdist(rows, rows).fill_diagonal_(torch.inf)
    return (is_real[distances.argmin(1)] == is_real).float().mean().item()
