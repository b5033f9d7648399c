"""A DCGAN for pictures of 64 x 64 pixels, as a Flower listing has it: two networks, and what makes them a learner."""

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn.functional import binary_cross_entropy, interpolate
from torchvision import transforms
from torchvision.datasets import ImageFolder

from fl_node.learning import TorchLearner


class Generator(nn.Module):
    def __init__(self, latent=100, width=64, channels=3):
        super().__init__()
        self.latent = latent
        self.layers = nn.Sequential(
            *(
                nn.ConvTranspose2d(latent, 8 * width, 4, bias=False),
                nn.BatchNorm2d(8 * width),
                nn.ReLU(),
            ),
            *up(8 * width, 4 * width),
            *up(4 * width, 2 * width),
            *up(2 * width, width),
            *(nn.ConvTranspose2d(width, channels, 4, 2, 1, bias=False), nn.Tanh()),
        )

    def forward(self, z):
        return self.layers(z[:, :, None, None])


class Discriminator(nn.Module):
    def __init__(self, width=64, channels=3):
        super().__init__()
        self.layers = nn.Sequential(
            *(nn.Conv2d(channels, width, 4, 2, 1, bias=False), nn.LeakyReLU(0.2)),
            *down(width, 2 * width),
            *down(2 * width, 4 * width),
            *down(4 * width, 8 * width),
            *(nn.Conv2d(8 * width, 1, 4, bias=False), nn.Flatten(0), nn.Sigmoid()),
        )

    def forward(self, pictures):
        return self.layers(pictures)


def up(inputs, outputs):
    layer = nn.ConvTranspose2d(inputs, outputs, 4, 2, 1, bias=False)
    return layer, nn.BatchNorm2d(outputs), nn.ReLU()


def down(inputs, outputs):
    layer = nn.Conv2d(inputs, outputs, 4, 2, 1, bias=False)
    return layer, nn.BatchNorm2d(outputs), nn.LeakyReLU(0.2)


# Up to here it is the model of any DCGAN. The rest makes it a learner.


class Listing(TorchLearner):
    def build(self, knobs):
        generator, discriminator = Generator(width=knobs["width"]), Discriminator(knobs["width"])
        return nn.ModuleDict({"generator": generator, "discriminator": discriminator})

    def data(self, uri, knobs):
        return digits() if uri == "digits" else ImageFolder(uri, TO_64_PIXELS)

    def optimisers(self, model, knobs):
        rate = float(knobs["rate"])
        return {
            name: torch.optim.Adam(network.parameters(), lr=rate, betas=(0.5, 0.999))
            for name, network in model.items()
        }

    def training_step(self, model, batch, optimisers):
        real, _ = batch
        fakes = draw(model, len(real))
        discriminator_loss = bce(model, real, 1) + bce(model, fakes.detach(), 0)
        optimisers["discriminator"].zero_grad()
        discriminator_loss.backward()
        optimisers["discriminator"].step()

        generator_loss = bce(model, fakes, 1)
        optimisers["generator"].zero_grad()
        generator_loss.backward()
        optimisers["generator"].step()
        return {"generator": generator_loss, "discriminator": discriminator_loss}

    def measure(self, model, held_out):
        real = torch.cat([pictures for pictures, _ in held_out])
        fakes = draw(model, len(real))
        right = torch.cat(
            [model["discriminator"](real) > 0.5, model["discriminator"](fakes) <= 0.5]
        )
        loss = bce(model, real, 1) + bce(model, fakes, 0)
        return {"loss": loss.item(), "accuracy": right.float().mean().item()}


def draw(model, count):
    device = next(model.parameters()).device
    return model["generator"](torch.randn(count, model["generator"].latent, device=device))


def bce(model, pictures, label):
    scores = model["discriminator"](pictures)
    return binary_cross_entropy(scores, torch.full_like(scores, label))


TO_64_PIXELS = transforms.Compose(
    [
        *(transforms.Resize(64), transforms.CenterCrop(64), transforms.ToTensor()),
        transforms.Normalize((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    ]
)


def digits():
    found = load_digits()
    small = torch.tensor(found.images).float()[:, None] / 8 - 1
    pictures = interpolate(small, 64, mode="bilinear").expand(-1, 3, -1, -1)
    return pictures.contiguous(), torch.tensor(found.target)
