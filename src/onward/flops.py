"""Floating-point operations of matrix products and convolutions, counted from their shapes.

    [M, K] x [K, N]                      2 M K N        in place, batched or with a sum added, too
    convolution of B samples             2 B P |w|      P the places that the kernel w is laid on
    its gradients                        as much again for each that is taken

A multiply-add is two operations; whatever is done number by number (activations, norms, sums, the
optimiser) is not counted, nor are products of a matrix with a vector. torch's own FlopCounterMode
gives the same numbers but for products in place, which it passes over; besides, its first use loads
a compiler, which takes seconds and 80 MB.
"""

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

_T = TypeVar("_T")


def counted(work: Callable[[], _T]) -> tuple[_T, int]:
    """What some work returns, and its FLOPs."""
    with _Counter() as counter:
        result = work()
    return result, counter.flops


def _product(a: Tensor, b: Tensor) -> int:
    """[..., M, K] x [..., K, N]."""
    return 2 * a.numel() * b.shape[-1]


def _convolution(x: Tensor, weight: Tensor, out: Sequence[int], transposed: bool) -> int:
    places = prod((x.shape if transposed else out)[2:])
    return 2 * len(x) * places * weight.numel()


_COUNTED: dict[Any, Callable[[Any, Any], int]] = {
    **dict.fromkeys((torch.ops.aten.mm, torch.ops.aten.bmm), lambda a, out: _product(a[0], a[1])),
    **dict.fromkeys(
        (
            *(torch.ops.aten.addmm, torch.ops.aten.addmm_),
            *(torch.ops.aten.baddbmm, torch.ops.aten.baddbmm_),
        ),
        lambda a, out: _product(a[1], a[2]),
    ),
    # x, weight, bias, stride, padding, dilation, transposed, ...
    torch.ops.aten.convolution: lambda a, out: _convolution(a[0], a[1], out.shape, a[6]),
    # slope, x, weight, bias sizes, stride, padding, dilation, transposed, ..., which gradients
    torch.ops.aten.convolution_backward: lambda a, out: (
        sum(a[10][:2]) * _convolution(a[1], a[2], a[0].shape, a[7])
    ),
}


class _Counter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up while it is entered."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.flops = 0

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        if (count := _COUNTED.get(func.overloadpacket)) is not None:
            self.flops += count(args, out)
        return out
