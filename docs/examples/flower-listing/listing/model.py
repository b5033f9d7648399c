"""A DCGAN for pictures of 8 x 8 pixels with one channel."""

from torch import nn

LATENT = 32


class Generator(nn.Module):
    """Makes pictures in [-1, 1] from noise of shape (pictures, LATENT, 1, 1)."""

    def __init__(self):
        super().__init__()
        self.main = nn.Sequential(
            nn.ConvTranspose2d(LATENT, 64, 4, bias=False), nn.BatchNorm2d(64), nn.ReLU(),
            nn.ConvTranspose2d(64, 1, 4, 2, 1, bias=False), nn.Tanh(),
        )  # fmt: skip

    def forward(self, noise):
        return self.main(noise)


class Discriminator(nn.Module):
    """Gives a picture a score, high if it looks real."""

    def __init__(self):
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv2d(1, 64, 4, 2, 1, bias=False), nn.BatchNorm2d(64), nn.LeakyReLU(0.2),
            nn.Conv2d(64, 1, 4, bias=False), nn.Flatten(0),
        )  # fmt: skip

    def forward(self, pictures):
        return self.main(pictures)
