"""Local fields against a dense layer with a mask and against their bare products, one run.

    python benchmarks/fields.py [--threads 2] [--device cpu]

Forward and gradients of the weights, for rows of two streams of 100 samples: the three cells of
ff-local-mnist, and fields of 11 x 11, cut off at the border, of 3072 units on 3072 numbers, whose
tiles of 8 x 8 places are held against a product a place, too. Blocks in turn, medians.
"""

import argparse
from collections.abc import Callable

import torch
from interleaved import compare, interleaved, told
from torch import Tensor, nn

from onward.cells import Fields
from onward.plan import Machine

ROWS = 200


def learned(layer: nn.Module, x: Tensor) -> Callable[[], None]:
    """Forward, and the gradients of a layer's own weights."""

    def work() -> None:
        layer.zero_grad(set_to_none=True)
        layer(x).square().sum().backward()

    return work


class Masked(nn.Module):
    """A dense layer of the same sizes, its weights kept within the fields."""

    def __init__(self, like: Fields):
        super().__init__()
        inputs = like.shape[0] * like.shape[1] * like.shape[2]
        self.linear = nn.Linear(inputs, like.bias.numel())
        # As many of them as there are; which does not matter to the time.
        kept = torch.zeros(self.linear.weight.numel())
        kept[: like.weight.numel()] = 1
        self.register_buffer("mask", kept.view_as(self.linear.weight))

    def forward(self, x: Tensor) -> Tensor:
        """Drives.  x [B, C, H, W] -> [B, F]."""
        return nn.functional.linear(x.flatten(1), self.linear.weight * self.mask, self.linear.bias)


def products(layer: Fields, x: Tensor) -> Callable[[], None]:
    """The two batched products, of numbers that lie ready."""
    windows, weights = layer.windows(x).contiguous(), layer.matrices().detach().clone()
    slope = torch.bmm(windows, weights)

    def work() -> None:
        torch.bmm(windows, weights)
        torch.bmm(windows.transpose(1, 2), slope)

    return work


def main() -> None:
    """Print medians and ratios, geometry by geometry."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    device = Machine(given.device, threads=given.threads).resolve()
    made = {
        "10 x 10 pixels, 128 units": Fields((1, 28, 28), 128, 10, 6),
        "2 x 2 x 128, 220 units": Fields((128, 4, 4), 220, 2),
        "2 x 2 x 220, 512 units": Fields((220, 3, 3), 512, 2),
        "11 x 11 x 3, 3 units": Fields((3, 32, 32), 3, 11, truncated=True),
    }
    for name, layer in made.items():
        x = torch.rand(ROWS, *layer.shape).to(device)
        layer, masked = layer.to(device), Masked(layer).to(device)
        sides = {
            "fields": learned(layer, x),
            "dense with a mask": learned(masked, x),
            "bare products": products(layer, x),
        }
        if layer.tile > 1:
            one = Fields(layer.shape, layer.units, layer.field, truncated=True, tile=1)
            sides["a product a place"] = learned(one.to(device), x)
        print(f"\n{name}: {layer.weight.numel():,} weights, tiles of {layer.tile} x {layer.tile}")
        seconds = interleaved(sides, given.rounds)
        told(seconds, "a step")
        for other in [side for side in sides if side != "fields"]:
            compare(seconds, "fields", other)


if __name__ == "__main__":
    main()
