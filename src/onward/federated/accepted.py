"""Which of the clients' answers count: one that is broken, or far from all, is left out by name."""

from collections.abc import Mapping

import torch
from torch import Tensor

from ..errors import BadInput
from .owner import Weights, refuse_unlike

FAR = 10.0
"""How many times as large as what was sent, and as the median client's, a tensor may come back."""


def refusals(sent: Weights, came: Mapping[int, Weights]) -> dict[int, str]:
    """Client -> why its answer is left out of the mean, of those whose is."""
    found = {}
    for client, weights in came.items():
        try:
            _sound(sent, weights)
        except BadInput as error:
            found[client] = str(error)
    norms = {client: _norms(weights) for client, weights in came.items() if client not in found}
    for key, was in _norms(sent).items():
        usual = float(torch.tensor([n[key] for n in norms.values()] or [0.0]).median())
        for client, own in norms.items():
            if own[key] > FAR * max(was, usual) and client not in found:
                found[client] = (
                    f"{key} is {own[key]:.3g} long, where {was:.3g} was sent and clients have "
                    f"{usual:.3g}"
                )
    return found


def _sound(sent: Weights, came: Weights) -> None:
    for name in sorted(sent.keys() | came.keys()):
        if name not in came or name not in sent:
            there = "missing" if name not in came else "not wanted"
            raise BadInput(f"{name} is {there}")
        refuse_unlike(name, sent[name], came[name])
        for key, tensor in came[name].items():
            if not bool(torch.isfinite(tensor).all()):
                raise BadInput(f"{name}/{key} has numbers that are not finite")


def _norms(weights: Weights) -> dict[str, float]:
    def norm(tensor: Tensor) -> float:
        return float(tensor.double().norm())

    return {f"{s}/{k}": norm(tensor) for s, found in weights.items() for k, tensor in found.items()}
