"""Unsupervised cells against their formulas: loops over samples, units and pixels.

All in double precision, and of the cells the loops use the parameters only. Names in brackets
(UFF-T3, ...) are those of the acceptance tests of the paper's digest.

B = samples, D = inputs, F = units.
"""

import copy
import math
from collections.abc import Callable, Iterable
from functools import partial
from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, conv_transpose2d

from onward import BadInput, build_row, generator, sgd
from onward.algorithms import UnsupervisedForwardForward
from onward.cells import (
    Adversarial,
    AutoEncoder,
    ConvAutoEncoder,
    ConvWinners,
    Corruption,
    Critic,
    Standardise,
    Untouched,
    layer_norm,
    unchanged,
)
from onward.cells.noise import BY_NAME as NOISES
from onward.cells.noise import Noise, gaussian, masking, salt_and_pepper
from onward.cells.reconstruction import ACTIVATIONS
from onward.cells.sparsity import k_sparse, lifetime, map_lifetime
from onward.local import Streams

Selection = Callable[[Tensor], Tensor]


def drawn(*shape: int, seed: int = 0) -> Tensor:
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=rng, dtype=torch.float64)


def pixels(*shape: int, seed: int = 0) -> Tensor:
    rng = torch.Generator().manual_seed(seed)
    return torch.rand(shape, generator=rng, dtype=torch.float64)


def rng() -> torch.Generator:
    return generator(0, "cells")


def assert_equal(cell: nn.Module, came: Tensor, wanted: Tensor) -> None:
    """Two losses of a cell, and their gradients of all its parameters."""
    torch.testing.assert_close(came, wanted, rtol=1e-11, atol=1e-13)
    parameters = list(cell.parameters())
    mine = torch.autograd.grad(came, parameters)
    theirs = torch.autograd.grad(wanted, parameters)
    for (name, _), one, other in zip(cell.named_parameters(), mine, theirs, strict=True):
        assert bool((other != 0).any()), f"the loss does not depend on {name}"
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-13, msg=name)


# The pieces of the loops.


def normed(sample: Tensor) -> Tensor:
    """Mean 0 and variance 1, one number after another."""
    numbers = list(sample.flatten())
    mean = sum(numbers) / len(numbers)
    variance = sum((v - mean) ** 2 for v in numbers) / len(numbers)
    return torch.stack([(v - mean) / (variance + 1e-8) ** 0.5 for v in numbers]).view(sample.shape)


def as_it_is(sample: Tensor) -> Tensor:
    return sample


FORMULAS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": lambda v: torch.where(v > 0, v, 0.0),
    "normed_relu": lambda v: FORMULAS["relu"](
        (v - v.mean()) / ((v - v.mean()).square().mean() + 1e-8).sqrt() - 1
    ),
    "leaky_relu": lambda v: torch.where(v > 0, v, 0.1 * v),
    "gelu": lambda v: v * 0.5 * (1 + torch.erf(v / math.sqrt(2))),
    "tanh": lambda v: (v.exp() - (-v).exp()) / (v.exp() + (-v).exp()),
    "sigmoid": lambda v: 1 / (1 + (-v).exp()),
    "linear": lambda v: v,
}


def mean_square(answers: Iterable[Tensor], wanted: Iterable[Tensor]) -> Tensor:
    terms = [
        (r - t) ** 2
        for answer, sample in zip(answers, wanted, strict=True)
        for r, t in zip(answer.flatten(), sample.flatten(), strict=True)
    ]
    return torch.stack(terms).sum() / len(terms)


def cross_entropy(answers: Iterable[Tensor], wanted: Iterable[Tensor]) -> Tensor:
    terms = []
    for answer, sample in zip(answers, wanted, strict=True):
        for logit, t in zip(answer.flatten(), sample.flatten(), strict=True):
            p = 1 / (1 + (-logit).exp())
            terms.append(-(t * p.log() + (1 - t) * (1 - p).log()))
    return torch.stack(terms).sum() / len(terms)


def noisy(noise: Noise, level: float, source: torch.Generator) -> Selection:
    """The noise that a cell is to draw, from a generator at hand."""
    return lambda x: noise(x, level, source)


def best_of_each_sample(k: int, z: Tensor) -> Tensor:
    """Of the numbers of each sample the k largest, others 0."""
    kept = []
    for sample in z:
        numbers = sample.flatten().tolist()
        winners = sorted(range(len(numbers)), key=lambda j: -numbers[j])[:k]
        mask = torch.tensor([1.0 if j in winners else 0.0 for j in range(len(numbers))])
        kept.append(sample * mask.view(sample.shape))
    return torch.stack(kept)


def best_of_each_unit(count: int, z: Tensor) -> Tensor:
    """Of the activities of each unit over the batch the largest, others 0."""
    flat = z.reshape(len(z), -1)
    mask = torch.zeros_like(flat)
    for unit in range(flat.shape[1]):
        activities = flat[:, unit].tolist()
        for winner in sorted(range(len(z)), key=lambda n: -activities[n])[:count]:
            mask[winner, unit] = 1.0
    return z * mask.view(z.shape)


def dense_loop(
    cell: AutoEncoder,
    x: Tensor,
    *,
    norm: Selection = normed,
    corrupted: Callable[[Tensor], Tensor] = as_it_is,
    activation: str = "relu",
    sparse: Selection = as_it_is,
    l1: float = 0.0,
    distance: Callable[[Iterable[Tensor], Iterable[Tensor]], Tensor] = mean_square,
    target: Tensor | None = None,
) -> Tensor:
    """L = distance(V k(s(W c(x_hat) + b)) + a, x_hat) + l1 mean |z|."""
    weight, bias = cell.encoder.weight, cell.encoder.bias
    if cell.decoder is None:
        assert cell.bias is not None
        back, offset = weight.T, cell.bias
    else:
        back, offset = cell.decoder.weight, cell.decoder.bias
    seen = torch.stack([norm(sample).flatten() for sample in x])
    latents = []
    for sample in corrupted(seen):
        drives = [(weight[j] * sample).sum() + bias[j] for j in range(len(weight))]
        latents.append(FORMULAS[activation](torch.stack(drives)))
    z = torch.stack(latents)
    answers = [
        torch.stack([(back[d] * kept).sum() + offset[d] for d in range(len(back))])
        for kept in sparse(z)
    ]
    loss = distance(answers, seen if target is None else target)
    return loss + l1 * torch.stack([abs(v) for v in z.flatten()]).sum() / z.numel()


def dense(inputs: int = 12, outputs: int = 7, **options: Any) -> AutoEncoder:
    cell = AutoEncoder(inputs, outputs, rng=rng(), **options)
    if cell.bias is not None:
        nn.init.normal_(cell.bias, generator=rng())
    return cell.double()


# The dense auto-encoder.


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("shape", [(12,), (1, 3, 4), (3, 2, 2)])
def test_auto_encoder_equals_the_formula(shape: tuple[int, ...], tied: bool) -> None:
    cell, x = dense(tied=tied), drawn(4, *shape)
    assert_equal(cell, cell.loss(x), dense_loop(cell, x))


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_equal_their_formulas(name: str) -> None:
    cell, x = dense(activation=name), drawn(3, 12)
    assert_equal(cell, cell.loss(x), dense_loop(cell, x, activation=name))


def test_every_activation_has_its_formula_here() -> None:
    assert FORMULAS.keys() == ACTIVATIONS.keys()


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("name", NOISES)
def test_denoising_equals_the_formula_with_the_same_noise(name: str, tied: bool) -> None:
    """The encoder sees noise, the target is clean; each step draws its own."""
    cell = dense(noise=Corruption(NOISES[name], 0.4, seed=5, number=2), tied=tied)
    for step in range(3):
        x = drawn(4, 1, 3, 4, seed=step)
        source = generator(5, "noise", 2, step)
        noise = noisy(NOISES[name], 0.4, source)
        assert_equal(cell, cell.loss(x), dense_loop(cell, x, corrupted=noise))


def test_l1_is_the_mean_absolute_latent() -> None:
    for activation in ("relu", "tanh"):
        cell, x = dense(l1=0.3, activation=activation), drawn(4, 12)
        assert_equal(cell, cell.loss(x), dense_loop(cell, x, l1=0.3, activation=activation))


@pytest.mark.parametrize("k", [1, 3, 7, 50])
def test_k_sparse_equals_the_formula(k: int) -> None:
    # Sigmoid: with a ReLU the k-th largest is often one of many zeros.
    cell = dense(sparsity=partial(k_sparse, k=k), activation="sigmoid")
    x = drawn(5, 12)
    keep = partial(best_of_each_sample, k)
    assert_equal(cell, cell.loss(x), dense_loop(cell, x, sparse=keep, activation="sigmoid"))


@pytest.mark.parametrize(("rate", "count"), [(0.01, 1), (0.2, 2), (0.35, 4), (1.0, 10)])
def test_lifetime_sparsity_equals_the_formula(rate: float, count: int) -> None:
    cell, x = dense(sparsity=partial(lifetime, rate=rate)), drawn(10, 12)
    keep = partial(best_of_each_unit, count)
    assert_equal(cell, cell.loss(x), dense_loop(cell, x, sparse=keep))


def test_sparsity_of_maps() -> None:
    """A unit of a convolutional latent is one number of one map; a sample has all its maps."""
    z = drawn(6, 2, 3, 3).to(memory_format=torch.channels_last)
    torch.testing.assert_close(k_sparse(z, k=4), best_of_each_sample(4, z), rtol=0, atol=0)
    torch.testing.assert_close(lifetime(z, 0.34), best_of_each_unit(2, z), rtol=0, atol=0)
    for rate, count in ((0.001, 1), (0.25, 14), (1.0, 54)):
        wanted = torch.zeros_like(z)
        for one in range(2):
            places = list(product(range(6), range(3), range(3)))
            places.sort(key=lambda place: float(z[place[0], one, *place[1:]]), reverse=True)
            for sample, row, column in places[:count]:
                wanted[sample, one, row, column] = z[sample, one, row, column]
        torch.testing.assert_close(map_lifetime(z, rate), wanted, rtol=0, atol=0)
    flat = z.flatten(1)
    torch.testing.assert_close(map_lifetime(flat, 0.3), lifetime(flat, 0.3), rtol=0, atol=0)


def test_sparse_denoising_with_l1() -> None:
    """All options at once; what is made sparse is what the decoder sees, l1 weighs the rest too."""
    cell = dense(
        noise=Corruption(masking, 0.3), sparsity=partial(lifetime, rate=0.25), l1=0.1, tied=True
    )
    x, source = drawn(8, 12), generator(0, "noise", 0, 0)
    wanted = dense_loop(
        cell,
        x,
        corrupted=noisy(masking, 0.3, source),
        sparse=partial(best_of_each_unit, 2),
        l1=0.1,
    )
    assert_equal(cell, cell.loss(x), wanted)


@pytest.mark.parametrize("tied", [False, True])
def test_bce_equals_the_formula(tied: bool) -> None:
    cell, x = dense(loss="bce", normalise=unchanged, tied=tied), pixels(4, 1, 3, 4)
    x[0, 0, 0, :2] = torch.tensor([0.0, 1.0])
    wanted = dense_loop(cell, x, norm=as_it_is, distance=cross_entropy)
    assert_equal(cell, cell.loss(x), wanted)
    restored = cell.reconstruct(x)
    assert restored.shape == x.shape
    assert bool(((restored > 0) & (restored < 1)).all()), "logits are no pixels"


def test_a_target_stands_in_for_the_own_input() -> None:
    cell, x, original = dense(restores=20), drawn(4, 12), drawn(4, 1, 4, 5, seed=1)
    wanted = dense_loop(cell, x, target=original.flatten(1))
    assert_equal(cell, cell.loss(x, target=original), wanted)
    assert cell.reconstruct(x).shape == (4, 20)
    bce, probable = dense(restores=20, loss="bce"), pixels(4, 1, 4, 5)
    wanted = dense_loop(bce, x, target=probable.flatten(1), distance=cross_entropy)
    assert_equal(bce, bce.loss(x, target=probable), wanted)


def test_standardised_samples_are_the_target() -> None:
    train = pixels(50, 3, 2, 2)
    scale = Standardise(train)
    cell, x = dense(normalise=scale), pixels(4, 3, 2, 2, seed=1)
    assert_equal(cell, cell.loss(x), dense_loop(cell, scale(x), norm=as_it_is))


@pytest.mark.parametrize("noise", [None, Corruption(gaussian, 0.5)])
def test_a_latent_that_is_at_hand_changes_nothing(noise: Corruption | None) -> None:
    cell, x = dense(noise=noise, l1=0.2), drawn(4, 12)
    given = copy.deepcopy(cell)
    assert_equal(cell, cell.loss(x), cell_loss_with_its_latent(given, cell, x))


def cell_loss_with_its_latent(given: AutoEncoder, cell: AutoEncoder, x: Tensor) -> Tensor:
    """The loss of a twin whose parameters are the cell's own."""
    given.encoder, given.decoder = cell.encoder, cell.decoder
    return given.loss(x, given(x))


@pytest.mark.parametrize("tied", [False, True])
def test_encode_decode_reconstruct_and_errors(tied: bool) -> None:
    cell, x = dense(tied=tied, noise=Corruption(gaussian, 0.5)), drawn(5, 1, 3, 4)
    z = cell.encode(x)
    assert torch.equal(z, cell(x))
    assert z.shape == (5, 7)
    assert cell.decode(z).shape == (5, 12)
    assert torch.equal(cell.reconstruct(x).flatten(1), cell.decode(z))
    for number, error in enumerate(cell.errors(x)):
        clean = dense_loop(cell, x[number : number + 1])
        torch.testing.assert_close(error, clean, rtol=1e-11, atol=0)


@pytest.mark.parametrize("name", ["dense", "conv", "winners", "critic"])
def test_first_weights_are_uniform_and_come_from_the_generator_alone(name: str) -> None:
    makers: dict[str, Callable[[], nn.Module]] = {
        "dense": lambda: AutoEncoder(100, 60, rng=rng()),
        "conv": lambda: ConvAutoEncoder((4, 8, 8), 20, rng=rng()),
        "winners": lambda: ConvWinners((2, 9, 9), 12, rng=rng()),
        "critic": lambda: Critic(100, 60, rng=rng()),
    }
    torch.manual_seed(0)
    one = makers[name]()
    torch.manual_seed(1)
    two = makers[name]()
    for first, second in zip(one.parameters(), two.parameters(), strict=True):
        assert torch.equal(first, second)
    for layer in one.children():
        assert isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d)
        fan_in = layer.weight.numel() // len(layer.weight)
        if isinstance(layer, nn.ConvTranspose2d):  # its weight is [in, out, k, k]
            fan_in = layer.weight.numel() // layer.weight.shape[1]
        largest = float(layer.weight.detach().abs().max()) * fan_in**0.5
        assert largest <= 1
        if layer.weight.numel() > 1000:
            assert largest > 0.99
            flat = layer.weight.detach().flatten() * fan_in**0.5
            assert abs(float(flat.square().mean()) - 1 / 3) < 0.03
        assert layer.bias is not None
        assert float(layer.bias.detach().abs().max()) <= fan_in**-0.5


# Convolutions.


def convolved(image: Tensor, layer: nn.Conv2d) -> Tensor:
    """Zeros around, one output pixel after another.  [C, H, W] -> [M, H, W]."""
    weight, bias = layer.weight, layer.bias
    assert bias is not None
    (channels, height, width), size = image.shape, weight.shape[-1]
    wide = torch.zeros(channels, height + size - 1, width + size - 1, dtype=image.dtype)
    edge = size // 2
    wide[:, edge : edge + height, edge : edge + width] = image
    return torch.stack(
        [
            (weight[m] * wide[:, i : i + size, j : j + size]).sum() + bias[m]
            for m in range(len(weight))
            for i in range(height)
            for j in range(width)
        ]
    ).view(len(weight), height, width)


def pooled(maps: Tensor, size: int, stride: int) -> Tensor:
    count = [(side - size) // stride + 1 for side in maps.shape[1:]]
    return torch.stack(
        [
            channel[i * stride : i * stride + size, j * stride : j * stride + size].max()
            for channel in maps
            for i in range(count[0])
            for j in range(count[1])
        ]
    ).view(len(maps), *count)


def nearest(maps: Tensor, height: int, width: int) -> Tensor:
    _, low, narrow = maps.shape
    rows = [math.floor(i * low / height) for i in range(height)]
    columns = [math.floor(j * narrow / width) for j in range(width)]
    return maps[:, rows][:, :, columns]


def conv_loop(
    cell: ConvAutoEncoder,
    x: Tensor,
    *,
    pool: int = 2,
    corrupted: Selection = as_it_is,
    sparse: Selection = as_it_is,
    l1: float = 0.0,
    target: Tensor | None = None,
) -> Tensor:
    seen = torch.stack([normed(sample) for sample in x])
    z = torch.stack(
        [pooled(FORMULAS["relu"](convolved(s, cell.encoder)), pool, pool) for s in corrupted(seen)]
    )
    wanted = seen if target is None else target
    size = wanted.shape[2:]
    answers = [convolved(nearest(kept, *size), cell.decoder) for kept in sparse(z)]
    return mean_square(answers, wanted) + l1 * z.abs().sum() / z.numel()


def conv(shape: tuple[int, ...], maps: int, **options: Any) -> ConvAutoEncoder:
    return ConvAutoEncoder(shape, maps, rng=rng(), **options).double()


@pytest.mark.parametrize(
    ("shape", "maps", "kernel", "pool"),
    [
        ((1, 4, 4), 2, 3, 2),
        ((2, 7, 7), 3, 3, 2),  # 7 x 7 -> 3 x 3 -> 7 x 7
        ((3, 5, 6), 2, 1, 2),
        ((1, 5, 3), 2, 5, 1),
        ((2, 7, 5), 2, 3, 3),
    ],
)
def test_conv_auto_encoder_equals_the_formula(
    shape: tuple[int, ...], maps: int, kernel: int, pool: int
) -> None:
    cell, x = conv(shape, maps, kernel=kernel, pool=pool), drawn(3, *shape)
    assert cell(x).shape[1:] == cell.maps
    assert cell.outputs == math.prod(cell.maps)
    assert cell.reconstruct(x).shape == x.shape
    assert_equal(cell, cell.loss(x), conv_loop(cell, x, pool=pool))
    assert_equal(cell, cell.loss(x, cell(x)), conv_loop(cell, x, pool=pool))
    for number, error in enumerate(cell.errors(x)):
        clean = conv_loop(cell, x[number : number + 1], pool=pool)
        torch.testing.assert_close(error, clean, rtol=1e-11, atol=0)


@pytest.mark.parametrize("name", NOISES)
def test_conv_auto_encoder_with_every_option(name: str) -> None:
    cell = conv(
        (2, 5, 5),
        3,
        noise=Corruption(NOISES[name], 0.3, seed=1),
        sparsity=partial(lifetime, rate=0.5),
        l1=0.2,
    )
    for step in range(2):
        x = drawn(4, 2, 5, 5, seed=step)
        noise = noisy(NOISES[name], 0.3, generator(1, "noise", 0, step))
        keep = partial(best_of_each_unit, 2)
        assert_equal(cell, cell.loss(x), conv_loop(cell, x, corrupted=noise, sparse=keep, l1=0.2))


def test_conv_auto_encoder_restores_an_original_of_another_shape() -> None:
    cell, x, original = conv((3, 3, 3), 2, restores=(2, 7, 6)), drawn(3, 3, 3, 3), drawn(3, 2, 7, 6)
    assert cell.reconstruct(x).shape == original.shape
    assert_equal(cell, cell.loss(x, target=original), conv_loop(cell, x, target=original))


def test_conv_auto_encoder_on_rows_of_as_many_numbers() -> None:
    cell, x = conv((2, 3, 4), 2), drawn(3, 24)
    assert_equal(cell, cell.loss(x), conv_loop(cell, x.view(3, 2, 3, 4)))


@pytest.mark.parametrize(
    ("shape", "sizes"), [((1, 28, 28), [6272, 3136, 1152]), ((3, 32, 32), [8192, 4096, 2048])]
)
def test_geometry_of_the_papers_convolutions(shape: tuple[int, ...], sizes: list[int]) -> None:
    """UFF-T4: a head of 10560 and 14336 inputs; what is restored has the shape of what came."""
    total, h = 0, torch.rand(2, *shape)
    for maps, size in zip((32, 64, 128), sizes, strict=True):
        cell = ConvAutoEncoder(h.shape[1:], maps, rng=rng())
        assert cell.reconstruct(h).shape == h.shape
        assert cell.inputs == h[0].numel()
        with torch.no_grad():
            h = cell(h)
        assert cell.outputs == h[0].numel() == size
        total += size
    assert total == {1: 10560, 3: 14336}[shape[0]]


# Winners.


def winners_dense(cell: ConvWinners, x: Tensor, norm: Selection = normed) -> Tensor:
    """The file's formula with whole maps and masks."""
    seen = torch.stack([norm(sample) for sample in x])
    size, wide = cell.encoder.kernel_size[0], cell.decoder.kernel_size[0]
    a = conv2d(seen, cell.encoder.weight, cell.encoder.bias, padding=size // 2).relu()
    count = max(1, round(cell.rate * len(x)))
    mask = torch.zeros_like(a)
    for m in range(a.shape[1]):
        tops = [float(sample[m].detach().max()) for sample in a]
        for n in sorted(range(len(x)), key=lambda n: -tops[n])[:count]:
            place = int(a[n, m].argmax())
            mask[n, m, place // a.shape[3], place % a.shape[3]] = 1.0
    r = conv_transpose2d(a * mask, cell.decoder.weight, cell.decoder.bias, padding=wide // 2)
    return (r - seen).square().sum() / seen.numel()


@pytest.mark.parametrize(
    ("shape", "maps", "kernel", "wide", "rate", "samples"),
    [
        ((1, 8, 8), 4, 5, 11, 0.05, 6),
        ((3, 6, 9), 5, 3, 5, 0.5, 6),
        ((2, 7, 5), 3, 1, 3, 0.3, 10),
        ((4, 5, 5), 6, 5, 1, 1.0, 4),
        ((2, 3, 3), 2, 7, 9, 0.4, 5),  # kernels larger than the image
        ((1, 4, 6), 3, 3, 3, 0.2, 1),
    ],
)
def test_winners_from_windows_equal_the_dense_formula(
    shape: tuple[int, ...], maps: int, kernel: int, wide: int, rate: float, samples: int
) -> None:
    cell = ConvWinners(shape, maps, kernel=kernel, decoder_kernel=wide, rate=rate, rng=rng())
    x = drawn(samples, *shape)
    cell.double()
    assert_equal(cell, cell.loss(x), winners_dense(cell, x))
    assert_equal(cell, cell.loss(x, cell(x)), winners_dense(cell, x))


def test_winners_on_pixels_as_they_come() -> None:
    cell, x = (
        ConvWinners((1, 6, 6), 4, rate=0.5, normalise=unchanged, rng=rng()),
        pixels(5, 1, 6, 6),
    )
    cell.double()
    assert_equal(cell, cell.loss(x), winners_dense(cell, x, norm=as_it_is))


def test_a_map_that_never_speaks_restores_nothing_and_is_left_alone() -> None:
    cell, x = ConvWinners((1, 6, 6), 3, rate=0.5, rng=rng()).double(), drawn(6, 1, 6, 6)
    with torch.no_grad():
        cell.encoder.bias[1] = -100.0  # type: ignore[index]
    loss = cell.loss(x)
    torch.testing.assert_close(loss, winners_dense(cell, x), rtol=1e-11, atol=0)
    loss.backward()  # type: ignore[no-untyped-call]
    for parameter in (cell.encoder.weight, cell.decoder.weight):
        assert parameter.grad is not None
        assert bool((parameter.grad[1] == 0).all())
        assert bool((parameter.grad[0] != 0).any())


@pytest.mark.parametrize(("pool", "stride"), [(2, 2), (3, 2), (1, 1), (2, 3)])
def test_winners_hand_on_all_of_their_maps(pool: int, stride: int) -> None:
    cell = ConvWinners((2, 7, 6), 3, kernel=3, pool=pool, stride=stride, rng=rng()).double()
    x = drawn(2, 2, 7, 6)
    z = cell(x)
    assert z.shape[1:] == cell.maps
    assert cell.outputs == z[0].numel()
    for sample, latent in zip(x, z, strict=True):
        assert cell.encoder.bias is not None
        maps = convolved(normed(sample), cell.encoder)
        expected = pooled(FORMULAS["relu"](maps), pool, stride)
        torch.testing.assert_close(latent, expected, rtol=1e-11, atol=1e-13)


def test_what_spatial_winners_restore() -> None:
    cell, x = ConvWinners((2, 5, 5), 3, rate=1.0, rng=rng()).double(), drawn(3, 2, 5, 5)
    assert cell.reconstruct(x).shape == x.shape
    # With a rate of 1 every sample's winners restore it, in training too.
    torch.testing.assert_close(cell.errors(x).mean(), cell.loss(x), rtol=1e-11, atol=0)
    assert cell.decode(drawn(3, 3, 5, 5)).shape == x.shape


# The adversarial cell.


def says(critic: Critic, samples: Tensor, true: bool) -> Tensor:
    """Mean of -log p or -log(1 - p), sample by sample."""
    terms = []
    for sample in samples:
        drives = critic.first.weight @ sample.flatten() + critic.first.bias
        hidden = torch.stack([d if d > 0 else 0.2 * d for d in drives])
        logit = (critic.last.weight[0] * hidden).sum() + critic.last.bias[0]
        p = 1 / (1 + (-logit).exp())
        terms.append(-(p if true else 1 - p).log())
    return torch.stack(terms).sum() / len(terms)


def restored_loop(cell: AutoEncoder, seen: Tensor) -> Tensor:
    assert cell.decoder is not None
    z = FORMULAS["relu"](seen @ cell.encoder.weight.T + cell.encoder.bias)
    return z @ cell.decoder.weight.T + cell.decoder.bias


def gan(weight: float, **options: Any) -> Adversarial:
    critic = Critic(12, 9, rng=generator(1, "cells"))
    return Adversarial(dense(**options), critic, weight).double()


def state(module: nn.Module) -> list[Tensor]:
    return [p.detach().clone() for p in module.parameters()]


def same(before: list[Tensor], module: nn.Module) -> bool:
    return all(torch.equal(a, b) for a, b in zip(before, module.parameters(), strict=True))


@pytest.mark.parametrize("weight", [0.0, 1.0, 0.25])
def test_adversarial_losses_and_their_steps(weight: float) -> None:
    """UFF-T6: each step moves its own half only; the generator meets the critic that has learned.

    lambda 0 and 1 run, and 1/4 shows that lambda is a weight.
    """
    cell, x = gan(weight), drawn(5, 1, 3, 4)
    generates, critic = cell.generator, cell.critic
    assert isinstance(generates, AutoEncoder)
    assert isinstance(critic, Critic)
    groups = cell.groups()
    assert {id(p) for p in groups["critic"]} == {id(p) for p in critic.parameters()}
    assert {id(p) for p in groups["generator"]} == {id(p) for p in generates.parameters()}
    seen = torch.stack([normed(sample).flatten() for sample in x])
    optimizers = {name: torch.optim.SGD(ps, lr=0.5) for name, ps in groups.items()}
    losses = cell.losses(x, cell(x))

    name, loss = next(losses)
    assert name == "critic"
    fake = restored_loop(generates, seen).detach()
    assert_equal(critic, loss, says(critic, seen, True) + says(critic, fake, False))
    name, loss = next(cell.losses(x))  # a graph that is not used up
    loss.backward()  # type: ignore[no-untyped-call]
    assert all(p.grad is None for p in generates.parameters())
    drew, judged = state(generates), state(critic)
    old = copy.deepcopy(critic)
    optimizers["critic"].step()
    assert same(drew, generates)
    assert not same(judged, critic)

    judged = state(critic)
    optimizers["critic"].zero_grad()
    name, loss = next(losses)
    assert name == "generator"
    mistaken = restored_loop(generates, seen)
    own = weight * mean_square(mistaken, seen)
    assert_equal(generates, loss, says(critic, mistaken, True) + own)
    assert abs((loss - says(old, mistaken, True) - own).item()) > 1e-3, "the critic before its step"
    generator_loss = cell.loss(x)
    torch.testing.assert_close(generator_loss, loss, rtol=1e-11, atol=0)
    generator_loss.backward()  # type: ignore[no-untyped-call]
    assert all(p.grad is None for p in critic.parameters())
    optimizers["generator"].step()
    assert same(judged, critic)
    assert not same(drew, generates)
    with pytest.raises(StopIteration):
        next(losses)


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_an_adversarial_station_steps_critic_then_generator(weight: float) -> None:
    """The same as two SGD steps written out."""
    cell, x = gan(weight), drawn(5, 12)
    twin = copy.deepcopy(cell)
    assert isinstance(twin.generator, AutoEncoder)
    assert isinstance(twin.critic, Critic)
    algorithm = UnsupervisedForwardForward()
    (station,) = build_row([cell], algorithm, sgd(0.3, momentum=0.0)).stations
    ins = Streams(x)
    losses = station.update(algorithm, ins, station.forward(ins))
    seen = torch.stack([normed(sample) for sample in x])
    fake = restored_loop(twin.generator, seen)
    critic = says(twin.critic, seen, True) + says(twin.critic, fake.detach(), False)
    descend(twin.critic, critic)
    generates = says(twin.critic, fake, True) + weight * mean_square(fake, seen)
    descend(twin.generator, generates)
    assert list(losses) == ["critic", "generator"]
    torch.testing.assert_close(losses["critic"], critic.detach(), rtol=1e-11, atol=0)
    torch.testing.assert_close(losses["generator"], generates.detach(), rtol=1e-11, atol=0)
    for came, wanted in zip(cell.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(came, wanted, rtol=1e-10, atol=1e-13)


def descend(module: nn.Module, loss: Tensor) -> None:
    parameters = list(module.parameters())
    for p, g in zip(
        parameters, torch.autograd.grad(loss, parameters, retain_graph=True), strict=True
    ):
        p.data -= 0.3 * g


def test_an_adversarial_cell_is_its_generator_to_the_outside() -> None:
    cell, x = gan(1.0), drawn(3, 1, 3, 4)
    assert (cell.inputs, cell.outputs) == (12, 7)
    assert torch.equal(cell(x), cell.generator.encode(x))
    assert torch.equal(cell.decode(cell(x)), cell.generator.decode(cell(x)))
    assert cell.reconstruct(x).shape == x.shape
    assert torch.equal(cell.errors(x), cell.generator.errors(x))
    assert cell.normalise is layer_norm


def test_the_own_loss_of_an_adversarial_cell_holds_its_l1() -> None:
    cell, x = gan(0.5, l1=0.3), drawn(4, 12)
    assert isinstance(cell.generator, AutoEncoder)
    assert isinstance(cell.critic, Critic)
    fake = restored_loop(cell.generator, torch.stack([normed(sample) for sample in x]))
    own = dense_loop(cell.generator, x, l1=0.3)
    assert_equal(cell.generator, cell.loss(x), says(cell.critic, fake, True) + 0.5 * own)


@pytest.mark.parametrize("kind", ["dense", "conv"])
def test_an_adversarial_cell_that_restores_the_original(kind: str) -> None:
    critic = Critic(16, 5, rng=rng()).double()
    generates = (
        dense(9, 4, restores=16) if kind == "dense" else conv((1, 3, 3), 2, restores=(1, 4, 4))
    )
    cell = Adversarial(generates, critic, 1.0)
    x, original = drawn(4, 1, 3, 3), drawn(4, 1, 4, 4, seed=1)
    losses = dict(cell.losses(x, cell(x), original))
    fake = cell.reconstruct(x)
    wanted = says(critic, original, True) + says(critic, fake, False)
    torch.testing.assert_close(losses["critic"], wanted, rtol=1e-11, atol=0)
    wanted = says(critic, fake, True) + mean_square(fake, original)
    torch.testing.assert_close(losses["generator"], wanted, rtol=1e-11, atol=0)


# Noise.


def test_gaussian_noise_has_its_level() -> None:
    x = drawn(20, 5000)
    noise = gaussian(x, 0.3, generator(0, "noise")) - x
    assert abs(float(noise.mean())) < 4 * 0.3 / 1e5**0.5
    assert float(noise.std()) == pytest.approx(0.3, rel=0.02)
    assert abs(float((noise * x).mean())) < 0.01, "noise depends on what it is added to"
    assert torch.equal(gaussian(x, 0.0, generator(0, "noise")), x)


def test_masking_sets_a_share_to_zero_and_nothing_else() -> None:
    x = drawn(20, 5000)
    came = masking(x, 0.3, generator(0, "noise"))
    gone = came != x
    assert bool((came[gone] == 0).all())
    assert float(gone.double().mean()) == pytest.approx(0.3, abs=0.01)
    assert torch.equal(masking(x, 0.0, generator(0, "noise")), x)
    assert not masking(x, 1.0, generator(0, "noise")).any()


def test_salt_and_pepper_are_a_samples_extremes() -> None:
    x = drawn(20, 5, 1000)
    came = salt_and_pepper(x, 0.4, generator(0, "noise"))
    assert came.shape == x.shape
    low = came == x.amin((1, 2), keepdim=True)
    high = came == x.amax((1, 2), keepdim=True)
    assert torch.equal(came[~low & ~high], x[~low & ~high])
    assert float(low.double().mean()) == pytest.approx(0.2, abs=0.01)
    assert float(high.double().mean()) == pytest.approx(0.2, abs=0.01)
    assert torch.equal(salt_and_pepper(x, 0.0, generator(0, "noise")), x)


@pytest.mark.parametrize("noise", NOISES.values())
def test_the_noise_of_a_step_depends_on_seed_cell_and_step_alone(noise: Noise) -> None:
    x = drawn(3, 8)
    cell = Corruption(noise, 0.5, seed=3, number=2)
    steps = []
    for step in range(4):
        torch.manual_seed(step)  # the global generator has no say
        if step == 2:
            cell(drawn(9, 5))  # nor what came before, but for its being a step
        else:
            steps.append(cell(x))
            assert torch.equal(steps[-1], noise(x, 0.5, generator(3, "noise", 2, step)))
    assert not torch.equal(steps[0], steps[1])
    for other in (Corruption(noise, 0.5, 4, 2), Corruption(noise, 0.5, 3, 1)):
        assert not torch.equal(other(x), steps[0])


@pytest.mark.parametrize("way", ["state_dict", "deepcopy"])
def test_noise_goes_on_where_it_was(way: str) -> None:
    cell, x = dense(noise=Corruption(gaussian, 0.5, seed=3, number=2)), drawn(3, 12)
    for _ in range(5):
        cell.loss(x)
    if way == "deepcopy":
        twin = copy.deepcopy(cell)
    else:
        twin = dense(noise=Corruption(gaussian, 0.5, seed=3, number=2))
        twin.load_state_dict({k: v.clone() for k, v in cell.state_dict().items()})
    fresh = copy.deepcopy(cell)
    assert fresh.noise is not None
    fresh.noise.steps = 0
    wanted = cell.loss(x)
    assert torch.equal(twin.loss(x), wanted)
    assert not torch.equal(fresh.loss(x), wanted)
    assert torch.equal(twin.loss(x), cell.loss(x)), "a twin moves on by itself"


def test_only_training_draws_noise() -> None:
    """UFF-T5: encode is deterministic, and the same with noise as without."""
    noisy, clean, x = dense(noise=Corruption(gaussian, 9.0)), dense(), drawn(3, 12)
    for _ in range(2):
        noisy.loss(x)
        assert torch.equal(noisy.encode(x), clean.encode(x))
        assert torch.equal(noisy(x), clean(x))
        assert torch.equal(noisy.reconstruct(x), clean.reconstruct(x))
        assert torch.equal(noisy.errors(x), clean.errors(x))
    assert noisy.noise is not None
    assert noisy.noise.steps == 2


# What a cell sees.


@pytest.mark.parametrize("shape", [(6, 11), (6, 3, 4, 5), (6, 1, 5, 5), (4, 7, 1, 1)])
def test_layer_norm_is_mean_0_and_variance_1_of_each_sample(shape: tuple[int, ...]) -> None:
    """UFF-T3."""
    x = 3 * drawn(*shape) + 2
    came = layer_norm(x)
    assert came.shape == x.shape
    for sample, original in zip(came, x, strict=True):
        torch.testing.assert_close(sample, normed(original), rtol=1e-11, atol=1e-12)
        assert float(sample.mean()) == pytest.approx(0, abs=1e-12)
        assert float(sample.var(correction=0)) == pytest.approx(1, rel=1e-6)
    assert not torch.allclose(layer_norm(-x), came)
    torch.testing.assert_close(layer_norm(7 * x - 4), came, rtol=1e-6, atol=1e-6)


def test_layer_norm_has_no_parameters() -> None:
    """UFF-T3: all parameters of a cell belong to its encoder or decoder."""
    names = {name for name, _ in AutoEncoder(4, 3, normalise=layer_norm).named_parameters()}
    assert names == {
        f"{half}.{part}" for half in ("encoder", "decoder") for part in ("weight", "bias")
    }
    x = drawn(2, 5)
    assert not layer_norm(x).requires_grad


@pytest.mark.parametrize("shape", [(3, 4, 5, 6), (3, 1, 5, 6), (3, 4, 1, 1)])
def test_layer_norm_of_channels_last_is_the_same(shape: tuple[int, ...]) -> None:
    x = drawn(*shape)
    lying = x.to(memory_format=torch.channels_last)
    came = layer_norm(lying)
    torch.testing.assert_close(came, layer_norm(x), rtol=1e-12, atol=1e-13)
    assert came.is_contiguous(memory_format=torch.channels_last)
    lying.requires_grad_()
    (mine,) = torch.autograd.grad(layer_norm(lying)[0, 0].sum(), lying)
    twin = x.clone().requires_grad_()
    (theirs,) = torch.autograd.grad(layer_norm(twin)[0, 0].sum(), twin)
    torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-12)


def test_layer_norm_of_equal_numbers_is_0() -> None:
    assert not layer_norm(torch.full((2, 6), 5.0)).any()
    assert not layer_norm(torch.full((2, 1), 5.0)).any()


def test_standardise_equals_its_definition() -> None:
    """Of images each channel, of rows each feature; what never varies is centred only."""
    rows = 2 * drawn(9, 4) + 1
    rows[:, 2] = 0.1
    scale, new = Standardise(rows), drawn(3, 4, seed=1)
    for d in range(4):
        column = rows[:, d].tolist()
        mean = math.fsum(column) / 9
        spread = math.sqrt(math.fsum((v - mean) ** 2 for v in column) / 9)
        spread = spread if d != 2 else 1.0
        for came, number in zip(scale(new)[:, d].tolist(), new[:, d].tolist(), strict=True):
            assert came == pytest.approx((number - mean) / spread, rel=1e-12)
    images = pixels(8, 2, 3, 3)
    scaled = Standardise(images)(images)
    for channel in range(2):
        assert float(scaled[:, channel].mean()) == pytest.approx(0, abs=1e-12)
        assert float(scaled[:, channel].std(correction=0)) == pytest.approx(1, rel=1e-12)


def test_what_standardises_is_saved_with_its_cell_and_not_learned() -> None:
    cell = AutoEncoder(4, 3, normalise=Standardise(torch.rand(9, 4)), rng=rng())
    other = AutoEncoder(4, 3, normalise=Standardise(torch.rand(9, 4) + 5), rng=rng())
    x = torch.rand(2, 4)
    assert not torch.equal(cell(x), other(x))
    other.load_state_dict(cell.state_dict())
    assert torch.equal(cell(x), other(x))
    assert len(list(cell.parameters())) == 4


def test_untouched_hands_on_what_it_is_given() -> None:
    cell, x = Untouched(12), drawn(2, 3, 4)
    assert cell(x) is x
    assert (cell.inputs, cell.outputs) == (12, 12)
    assert not list(cell.parameters())


# Refusals.

BAD: dict[str, tuple[Callable[[], object], str]] = {
    "width": (
        lambda: AutoEncoder(8, 3)(torch.rand(2, 1, 3, 3)),
        r"8 inputs was given samples of 9 numbers \(1, 3, 3\): build it with 9 inputs",
    ),
    "width of a loss": (lambda: AutoEncoder(8, 3).loss(torch.rand(2, 9)), "build it with 9"),
    "width of a gan": (
        lambda: next(Adversarial(AutoEncoder(8, 3), Critic(8, 3)).losses(torch.rand(2, 9))),
        "build it with 9 inputs",
    ),
    "size of images": (
        lambda: ConvAutoEncoder((1, 8, 8), 3)(torch.rand(2, 1, 7, 8)),
        r"on samples \(1, 8, 8\) was given \(1, 7, 8\): build it for that shape",
    ),
    "size of winners": (
        lambda: ConvWinners((1, 8, 8), 3).loss(torch.rand(2, 63)),
        r"on samples \(1, 8, 8\) was given \(63,\)",
    ),
    "rows into a convolution": (
        lambda: ConvAutoEncoder((64,), 3),
        r"wants samples \(C, H, W\), and was given \(64,\): take a dense cell",
    ),
    "rows into winners": (lambda: ConvWinners((64,), 3), "take a dense cell"),
    "restored rows": (lambda: ConvAutoEncoder((1, 8, 8), 3, restores=(64,)), "take a dense cell"),
    "no pixels": (lambda: ConvAutoEncoder((1, 0, 8), 3), "and was given"),
    "bce on a layer norm": (
        lambda: AutoEncoder(8, 3, loss="bce"),
        r"bce wants a target in \[0, 1\].*normalised input: take loss=mse, or normalise=unchanged",
    ),
    "bce on convolutions": (lambda: ConvAutoEncoder((1, 8, 8), 3, loss="bce"), "take loss=mse"),
    "bce on standardised": (
        lambda: AutoEncoder(8, 3, loss="bce", normalise=Standardise(torch.rand(5, 8))),
        "take loss=mse",
    ),
    "bce above 1": (
        lambda: AutoEncoder(3, 3, loss="bce", normalise=unchanged).loss(
            torch.tensor([[0.0, 0.5, 2.0]])
        ),
        r"wants targets in \[0, 1\], and got 0 to 2: scale the data, or take loss=mse",
    ),
    "bce below 0": (
        lambda: ConvAutoEncoder((1, 2, 2), 3, loss="bce", normalise=unchanged).loss(
            torch.full((1, 1, 2, 2), -0.5)
        ),
        "and got -0.5 to -0.5",
    ),
    "bce of no number": (
        lambda: AutoEncoder(1, 3, loss="bce", normalise=unchanged).loss(
            torch.tensor([[float("nan")]])
        ),
        "and got nan",
    ),
    "loss": (lambda: AutoEncoder(8, 3, loss="mes"), "no loss 'mes': did you mean 'mse'?"),  # type: ignore[arg-type]
    "activation": (
        lambda: AutoEncoder(8, 3, activation="rleu"),
        "no activation 'rleu': did you mean 'relu'?",
    ),
    "activation of maps": (
        lambda: ConvAutoEncoder((1, 8, 8), 3, activation="swish"),
        "no activation 'swish'",
    ),
    "even kernel": (
        lambda: ConvAutoEncoder((1, 8, 8), 3, kernel=4),
        "kernel should be an odd number above 0, and is 4",
    ),
    "even kernel of winners": (lambda: ConvWinners((1, 8, 8), 3, kernel=2), "kernel should be an"),
    "even decoder": (
        lambda: ConvWinners((1, 8, 8), 3, decoder_kernel=10),
        "decoder_kernel should be an odd number above 0, and is 10",
    ),
    "pool": (
        lambda: ConvAutoEncoder((1, 8, 3), 3, pool=4),
        "a map of 8 x 3 can't be pooled by 4: take fewer cells, or a smaller pool",
    ),
    "pool of winners": (lambda: ConvWinners((1, 3, 8), 3, pool=4), "can't be pooled by 4"),
    "no pool": (lambda: ConvAutoEncoder((1, 8, 8), 3, pool=0), "can't be pooled by 0"),
    "tied and restoring": (
        lambda: AutoEncoder(8, 3, tied=True, restores=9),
        "own 8 inputs, not 9 numbers: take tied=False",
    ),
    "noise below 0": (
        lambda: Corruption(gaussian, -0.1),
        "should be 0 or more, and of masking and salt_and_pepper at most 1, and is -0.1",
    ),
    "no number": (lambda: Corruption(gaussian, float("nan")), "and is nan"),
    "masking above 1": (lambda: Corruption(masking, 1.5), "and is 1.5"),
    "pepper above 1": (lambda: Corruption(salt_and_pepper, 1.5), "and is 1.5"),
    "another target": (
        lambda: AutoEncoder(8, 3).loss(torch.rand(2, 8), target=torch.rand(2, 9)),
        r"restores \(8,\).*target of \(9,\).*restores=",
    ),
    # One channel would be broadcast to both without a word.
    "another target of maps": (
        lambda: ConvAutoEncoder((2, 8, 8), 3).loss(
            torch.rand(2, 2, 8, 8), target=torch.rand(2, 1, 8, 8)
        ),
        r"restores \(2, 8, 8\).*target of \(1, 8, 8\).*restores=",
    ),
    "another target of winners": (
        lambda: ConvWinners((2, 8, 8), 3).loss(
            torch.rand(2, 2, 8, 8), target=torch.rand(2, 1, 8, 8)
        ),
        r"restores \(2, 8, 8\).*target of \(1, 8, 8\)",
    ),
    "another target of a gan": (
        lambda: list(
            Adversarial(AutoEncoder(8, 3), Critic(8, 3)).losses(
                torch.rand(2, 8), None, torch.rand(2, 9)
            )
        ),
        r"restores \(8,\).*target of \(9,\)",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_what_a_cell_cannot_do_is_refused(name: str) -> None:
    bad, wanted = BAD[name]
    with pytest.raises(BadInput, match=wanted):
        bad()


def test_a_noise_level_above_1_is_fine_for_gaussian() -> None:
    assert Corruption(gaussian, 2.0).level == 2.0


def test_bce_after_a_layer_norm_may_restore_another_target() -> None:
    assert AutoEncoder(8, 3, loss="bce", restores=5).loss(torch.rand(2, 8), target=torch.rand(2, 5))


# Each alone, as a torch module with a torch optimiser.

ALONE: dict[str, Callable[[], nn.Module]] = {
    "auto-encoder": lambda: AutoEncoder(36, 12, rng=rng()),
    "tied": lambda: AutoEncoder(36, 12, tied=True, rng=rng()),
    "denoising": lambda: AutoEncoder(36, 12, noise=Corruption(masking, 0.3), rng=rng()),
    "bce": lambda: AutoEncoder(36, 12, loss="bce", normalise=unchanged, rng=rng()),
    "winner take all": lambda: AutoEncoder(36, 12, sparsity=lifetime, rng=rng()),
    "k-sparse": lambda: AutoEncoder(36, 12, sparsity=partial(k_sparse, k=3), rng=rng()),
    "convolutional": lambda: ConvAutoEncoder((1, 6, 6), 8, rng=rng()),
    "convolutional winners": lambda: ConvWinners((1, 6, 6), 8, kernel=3, rate=0.5, rng=rng()),
    "gan": lambda: Adversarial(AutoEncoder(36, 12, rng=rng()), Critic(36, 8, rng=rng())),
    "convolutional gan": lambda: Adversarial(
        ConvAutoEncoder((1, 6, 6), 8, rng=rng()), Critic(36, 8, rng=rng())
    ),
}


@pytest.mark.parametrize("name", ALONE)
def test_each_cell_learns_alone(name: str) -> None:
    cell, x = ALONE[name](), pixels(20, 1, 6, 6).float()
    groups = getattr(cell, "groups", lambda: {"cell": list(cell.parameters())})()
    optimizers = {group: torch.optim.AdamW(ps, lr=0.01) for group, ps in groups.items()}

    def badly() -> float:
        return float(cell.errors(x).detach().mean())  # type: ignore[operator]

    before = badly()
    for _ in range(40):
        for group, loss in cell.losses(x):  # type: ignore[operator]
            optimizers[group].zero_grad()
            loss.backward()
            optimizers[group].step()
    assert badly() < 0.9 * before
    z = cell.encode(x)  # type: ignore[operator]
    assert z.shape[1:].numel() == cell.outputs
    assert cell.reconstruct(x).shape == x.shape  # type: ignore[operator]


@pytest.mark.parametrize("name", [name for name in ALONE if "gan" not in name])
def test_the_loss_of_a_cell_goes_down_in_a_plain_loop(name: str) -> None:
    cell, x = ALONE[name](), pixels(20, 1, 6, 6).float()
    optimizer = torch.optim.AdamW(cell.parameters(), lr=0.01)
    losses = []
    for _ in range(30):
        loss = cell.loss(x)  # type: ignore[operator]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert sum(losses[-5:]) < 0.97 * sum(losses[:5])
