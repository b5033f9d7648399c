"""Training loops as tutorials write them, to compare with: a data loader, `.item()` in every step, nothing fused."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from fl_node.learning import Images
from fl_node.learning.classifier.models import build as build_classifier
from fl_node.learning.classifier.options import ClassifierOptions
from fl_node.learning.gan.models import Discriminator, Generator
from fl_node.learning.gan.options import GanOptions
from fl_node.learning.steps import to_pictures

Run = Callable[[int], object]
"""Takes a number of steps, and returns when the device has finished them."""


def usual_batches(images: Images, batch: int, device: torch.device) -> Iterator[tuple[Tensor, ...]]:
    """A data loader that copies every batch to the device."""
    pictures = torch.utils.data.TensorDataset(
        to_pictures(torch.from_numpy(images.pixels_NCHW)), torch.from_numpy(images.labels_N)
    )
    loader = torch.utils.data.DataLoader(pictures, batch, shuffle=True, drop_last=True)
    while True:
        for tensors in loader:
            yield tuple(tensor.to(device) for tensor in tensors)


def listing(options: GanOptions, images: Images, device: torch.device) -> Run:
    """The listing's loop, which reads the losses back in every step."""
    generator, discriminator = Generator(options).to(device), Discriminator(options).to(device)
    for module in [*generator.modules(), *discriminator.modules()]:
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, 0.0, 0.02)
    betas = (options.beta1, options.beta2)
    generator_adam = torch.optim.Adam(generator.parameters(), options.generator_rate, betas)
    discriminator_adam = torch.optim.Adam(
        discriminator.parameters(), options.discriminator_rate, betas
    )
    batches = usual_batches(images, options.batch, device)
    criterion = nn.BCEWithLogitsLoss()

    def run(steps: int) -> None:
        for _ in range(steps):
            x_real, _ = next(batches)
            ones = torch.ones(len(x_real), device=device)
            zeros = torch.zeros(len(x_real), device=device)

            discriminator.zero_grad()
            loss_real = criterion(discriminator(x_real), ones)
            loss_real.backward()
            x_fake = generator(torch.randn(len(x_real), options.latent, device=device))
            loss_fake = criterion(discriminator(x_fake.detach()), zeros)
            loss_fake.backward()
            discriminator_adam.step()

            generator.zero_grad()
            loss_generator = criterion(discriminator(x_fake), ones)
            loss_generator.backward()
            generator_adam.step()
            loss_real.item() + loss_fake.item() + loss_generator.item()

    return run


def tutorial(options: ClassifierOptions, images: Images, device: torch.device) -> Run:
    """The same network in a typical loop, which reads the loss back in every step."""
    model = build_classifier(options).to(device)
    optimiser = torch.optim.SGD(model.parameters(), options.rate)
    batches = usual_batches(images, options.batch, device)

    def run(steps: int) -> None:
        for _ in range(steps):
            x_NCHW, labels_N = next(batches)
            optimiser.zero_grad()
            loss = F.cross_entropy(model["head"](model["base"](x_NCHW)), labels_N)
            loss.backward()
            optimiser.step()
            loss.item()

    return run
