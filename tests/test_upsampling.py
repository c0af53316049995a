"""A convolution of enlarged maps, against enlarging and then convolving."""

import pytest
import torch
from torch.nn.functional import conv2d, interpolate

from onward.cells.upsampling import convolve_enlarged
from onward.flops import counted


@pytest.mark.parametrize("kernel", [1, 3, 5, 7, 11])
@pytest.mark.parametrize("size", [(6, 8), (9, 12), (12, 16), (3, 4), (7, 9), (6, 12)])
def test_same_numbers_and_gradients_as_the_long_way(kernel: int, size: tuple[int, int]) -> None:
    rng = torch.Generator().manual_seed(0)

    def drawn(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=rng, dtype=torch.float64).requires_grad_()

    z, weight, bias = drawn(2, 3, 3, 4), drawn(5, 3, kernel, kernel), drawn(5)
    slope = drawn(2, 5, *size).detach()
    long = conv2d(interpolate(z, size=size), weight, bias, padding=kernel // 2)
    wanted = torch.autograd.grad((long * slope).sum(), (z, weight, bias))
    short = convolve_enlarged(z, weight, bias, list(size))
    got = torch.autograd.grad((short * slope).sum(), (z, weight, bias))
    torch.testing.assert_close(short, long)
    torch.testing.assert_close(got, wanted)


def test_without_a_bias_and_channels_last() -> None:
    z, weight = torch.rand(2, 3, 4, 4), torch.rand(1, 3, 5, 5)
    long = conv2d(interpolate(z, size=(8, 8)), weight, padding=2)
    last = z.to(memory_format=torch.channels_last)
    torch.testing.assert_close(convolve_enlarged(last, weight, None, [8, 8]), long)


def test_nine_of_25_products() -> None:
    z, weight = torch.rand(1000, 3, 4, 4), torch.rand(1, 3, 5, 5)
    _, long = counted(lambda: conv2d(interpolate(z, size=(8, 8)), weight, padding=2))
    _, short = counted(lambda: convolve_enlarged(z, weight, None, [8, 8]))
    assert 9 / 25 <= short / long < 9 / 25 + 0.01  # a little for merging the kernel
