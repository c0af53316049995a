"""Which of the clients' answers count: one that is broken, or far from all, is left out by name."""

import math
import statistics
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from ..errors import BadInput
from .owner import Weights, refuse_unlike

FAR = 10.0
"""How many times as far as what was sent is long, or as the median client went, one may go."""

ENOUGH = 3
"""Answers from which on a median says what is usual."""


def refusals(
    sent: Weights, came: Mapping[int, Weights], samples: Mapping[int, int]
) -> dict[int, str]:
    """Client -> why its answer is left out of the mean, of those whose is.

    How far a station went is the norm of its whole change; a client with more ``samples`` takes
    more steps, and may go as much further. What was sent as zeros is judged by the others alone.
    """
    found = {}
    for client, weights in came.items():
        try:
            _sound(sent, weights)
        except BadInput as error:
            found[client] = str(error)
    sound = {client: weights for client, weights in came.items() if client not in found}
    for name, was in sent.items():
        length = _norm(was.values())
        moved = {
            client: _norm(weights[name][key] - was[key] for key in was)
            for client, weights in sound.items()
        }
        steps = [moved[client] / max(1, samples[client]) for client in moved]
        usual = statistics.median(steps) if len(steps) >= ENOUGH else 0.0
        for client, far in moved.items():
            allowed = FAR * max(length, usual * samples[client])
            if allowed and far > allowed and client not in found:
                found[client] = (
                    f"{name} went {far:.3g} far, where it was {length:.3g} long and others went "
                    f"{usual * samples[client]:.3g} in as many steps"
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


def _norm(tensors: Iterable[Tensor]) -> float:
    return math.sqrt(sum(float(tensor.double().square().sum()) for tensor in tensors))
