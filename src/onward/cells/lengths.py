"""Length normalisation: what is left of an activity vector when its length is taken away.

The length was the goodness of the cell below; only the direction goes on, or the next cell could
copy that verdict (Hinton 2022, section 2.1). Nothing is learned, and no mean is subtracted but by
the layer norm, which stands between the cells of Unsupervised Forward-Forward.

Departs from the author's code: the small number in the denominator is 1e-8, not exp(-100), which
fp32 can only hold as a denormal.

x [B, *D] -> [B, *D]; the length is taken over everything but B, in fp32 or wider.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import layer_norm as _layer_norm

Normalise = Callable[[Tensor], Tensor]

TINY = 1e-8


def rms(x: Tensor) -> Tensor:
    """Scaled to a root mean square of 1: x / (tiny + sqrt(mean_j x_j^2)).

    >>> rms(torch.tensor([[3.0, 0.0, 0.0, 0.0]]))
    tensor([[2., 0., 0., 0.]])
    """
    flat = x.flatten(1)
    length = _length(flat)
    scale: Tensor = length * flat.shape[1] ** -0.5 + TINY
    return (flat / scale).view(x.shape)


def rms_by_place(x: Tensor) -> Tensor:
    """Scaled to a root mean square of 1 over the channels, at every place by itself.

    x [B, C, *places]. Only for inputs of many channels: the one of a grey image would become 1
    wherever there is any ink. A place where all channels are silent stays silent.

    >>> rms_by_place(torch.tensor([[[3.0, 0.0], [0.0, 0.1]]]))
    tensor([[[1.4142, 0.0000],
             [0.0000, 1.4142]]])
    """
    wide = torch.promote_types(x.dtype, torch.float32)
    length = torch.linalg.vector_norm(x, dim=1, keepdim=True, dtype=wide)
    return torch.as_tensor(x / (length * x.shape[1] ** -0.5 + TINY))


def l2(x: Tensor) -> Tensor:
    """Scaled to Euclidean length 1.

    Pre-activations are then sqrt(fan-in) smaller than with :func:`rms`, and the natural threshold
    of a sum of squares is out of reach: take a smaller one.
    """
    flat = x.flatten(1)
    length = _length(flat)
    return (flat / (length + TINY)).view(x.shape)


def layer_norm(x: Tensor) -> Tensor:
    """Mean 0 and variance 1 for each sample, without gains or biases (digest UFF-A3).

    A gain would be a parameter on the border between two cells that no cell's loss owns. A sample
    of equal numbers becomes 0.

    >>> layer_norm(torch.tensor([[3.0, 1.0]]))
    tensor([[ 1., -1.]])
    """
    if x.dim() == 4 and x.is_contiguous(memory_format=torch.channels_last):
        # In the order in which the numbers lie, which is all the same to a norm over all of them.
        lying = x.permute(0, 2, 3, 1)
        return _layer_norm(lying, lying.shape[1:], eps=TINY).permute(0, 3, 1, 2)
    return _layer_norm(x, x.shape[1:], eps=TINY)


def _length(flat: Tensor) -> Tensor:
    wide = torch.promote_types(flat.dtype, torch.float32)
    length: Tensor = torch.linalg.vector_norm(flat, dim=1, keepdim=True, dtype=wide)
    return length


def unchanged(x: Tensor) -> Tensor:
    """No normalisation."""
    return x


BY_NAME: dict[str, Normalise] = {
    "rms": rms,
    "l2": l2,
    "layer_norm": layer_norm,
    "none": unchanged,
}
