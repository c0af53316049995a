"""A piece of somebody's network as a cell, as it is.  x [B, *D] -> h [B, *F].

Where it learns, which is where a graph is made, the piece is in training mode: batch norm goes by
the batch and dropout drops. Where its answers are judged or kept, it is in eval mode. Whatever is
drawn at random in training comes from the cell's own seed and step, so that a run repeats itself.

A piece with a decoder V (``decoders.py``) restores what enters it,

    L = mean (V(f(c(x))) - t)^2,    t = LN(x), or a target that is handed in

where f is the piece, c its noise (none by default) and LN a layer norm without gains. The norm is
in the target alone: f sees x as the network does, so that cells and network stay one function.

Departs from Hwang, Seo and Jung 2024 (arXiv:2404.14664): there the norm stands before f.

B = samples, D and F = shapes of what enters and leaves.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from ..errors import BadInput
from ..seeds import generator
from .decoders import Decoder
from .lengths import Normalise, layer_norm, unchanged
from .noise import Corruption
from .reconstruction import as_target, distance


class Normed:
    """A forward pre-hook, with arguments by name: the tensor that enters a module is normalised."""

    def __init__(self, normalise: Normalise):
        self.normalise = normalise

    def __call__(
        self, module: nn.Module, args: tuple[Any, ...], named: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The same arguments, tensors among them normalised."""
        return tuple(map(self._seen, args)), {k: self._seen(v) for k, v in named.items()}

    def _seen(self, value: Any) -> Any:
        return self.normalise(value) if isinstance(value, Tensor) else value


class Piece(nn.Module):
    """``body`` as a cell; ``normalise`` is what it does to its input first.

    ``copies`` where the body writes into its input. ``decoder`` and ``noise`` for a cell that
    restores what enters it. ``seed`` and ``number`` (of the cell) decide what is drawn in training,
    anew at each pass: a body with dropout is not for activation checkpointing, which makes two.
    """

    def __init__(
        self,
        body: nn.Module,
        *,
        normalise: Normalise = unchanged,
        copies: bool = False,
        decoder: Decoder | None = None,
        noise: Corruption | None = None,
        seed: int = 0,
        number: int = 0,
    ):
        super().__init__()
        self.body, self.normalise, self.copies = body, normalise, copies
        self.decoder, self.noise = decoder, noise
        self.seed, self.number, self.steps = seed, number, 0

    def groups(self) -> Mapping[str, list[nn.Parameter]]:
        """What may be trained: frozen parameters stay as they are."""
        return {"cell": [p for p in self.parameters() if p.requires_grad]}

    def forward(self, x: Tensor) -> Tensor:
        """The piece's answer, in training mode where a graph is made.  x [B, *D] -> h [B, *F]."""
        return self._answer(x, {})

    def _answer(self, x: Tensor, statistics: dict[str, Tensor]) -> Tensor:
        """:meth:`forward`, with ``statistics`` in place of the buffers of these names."""
        learning = torch.is_grad_enabled()
        self.body.train(learning)
        seen = self.normalise(x.clone() if self.copies else x)
        if not learning:
            return torch.as_tensor(self.body(seen))
        with torch.random.fork_rng(devices=[x.device] if x.is_cuda else []):
            rng = generator(self.seed, "dropout", self.number, self.steps)
            torch.manual_seed(rng.initial_seed())
            self.steps += 1
            return torch.as_tensor(functional_call(self.body, statistics, (seen,)))

    def losses(
        self, x: Tensor, z: Tensor | None = None, target: Tensor | None = None
    ) -> Iterator[tuple[str, Tensor]]:
        """How badly x is restored, for the one parameter group; z is what it answered to x."""
        yield "cell", self.loss(x, z, target)

    def loss(self, x: Tensor, z: Tensor | None = None, target: Tensor | None = None) -> Tensor:
        """Mean squared error of restoring LN(x), or ``target``.  x [B, *D], z [B, *F] -> []."""
        if self.noise is not None:
            # Copies of running statistics, so that corrupted samples leave no trace in them.
            copies = {name: buffer.clone() for name, buffer in self.body.named_buffers()}
            z = self._answer(self.noise(x), copies)
        elif z is None:
            z = self.forward(x)
        answer = self._decoded(z)
        return distance("mse", answer, as_target(target, layer_norm(x), answer))

    def errors(self, x: Tensor) -> Tensor:
        """Each clean sample's mean squared error of reconstruction.  x [B, *D] -> [B]."""
        lost = self._decoded(self.forward(x)) - layer_norm(x)
        return lost.square().flatten(1).mean(1)

    def _decoded(self, z: Tensor) -> Tensor:
        if self.decoder is None:
            raise BadInput(
                "this cell restores nothing: wrap the model with "
                "algorithm=UnsupervisedForwardForward() for decoders"
            )
        return torch.as_tensor(self.decoder(z))

    def get_extra_state(self) -> Tensor:
        """Steps so far."""
        return torch.tensor(self.steps)

    def set_extra_state(self, state: Tensor) -> None:
        """Go on from a saved number of steps."""
        self.steps = int(state)
