"""A readout fitted to the samples of all owners as if they lay in one place: head=exact.

A softmax readout learned by the mean of its owners' weights is far from one learned in one place
where owners have different labels: each pulls it to its own. But the loss of all samples together,

    L(W) = sum_n [ log sum_k exp(w_k x_n) - w_{y_n} x_n ]  +  N ridge / 2 |W|^2,

has sums over samples for its slope, and so has the Gram matrix G = sum_n x_n x_n', which bounds its
curvature: the Hessian is nowhere above  G/2 + N ridge  for every class (Boehning 1992, section 3).
So each round, with V the point that was sent,

    owner    slope  S_i = sum_n (softmax(V x_n) - y_n) x_n'  over its samples; in its first also G_i
    server   W <- V - (sum_i S_i + N ridge V) (sum_i G_i / 2 + N ridge)^-1,
             V <- W + (t - 1) / t' (W - W before),  t' = (1 + sqrt(1 + 4 t^2)) / 2

(Nesterov 1983), from W = 0, where the first step is a ridge regression. What comes out does not
depend on who holds which sample, but for rounding. An owner that fails in a later round is counted
with the slope it sent last; one that comes later begins the extrapolation anew. A round is a pass
over the samples, and its slope as large as the readout; G goes once, its upper half: F (F + 1) / 2
numbers. As with weights, the server sees what each owner sends, and sums can tell of few samples.

N = samples, F = features of the readout, K = classes.
"""

import math
import statistics
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from ..errors import BadInput
from ..readouts import LinearReadout
from .accepted import ENOUGH, FAR
from .owner import Weights
from .sums import matrix

ROUNDING = 1e-3
"""How far below 0 a client's G may be in a direction, over its largest entry."""


class Fit:
    """The server's side. ``memory`` is all it knows, for a checkpoint."""

    def __init__(self, head: LinearReadout, name: str, clients: int, ridge: float):
        self.head, self.name, self.ridge = head, name, ridge
        classes, features = self.shape = matrix(head).shape
        self.memory = {
            "fit/gram": torch.zeros(features * (features + 1) // 2),
            "fit/traces": torch.zeros(clients, dtype=torch.float64),
            "fit/samples": torch.zeros(clients, dtype=torch.int64),
            "fit/slopes": torch.zeros(clients, classes, features),
            "fit/before": torch.zeros(classes, features),
            "fit/t": torch.ones(1, dtype=torch.float64),
        }
        self._factor: Tensor | None = None

    def point(self) -> Weights:
        """Where slopes are wanted: V, as the readout's own weights."""
        v = self._point()
        if self.head.linear.bias is None:
            return {self.name: {"linear.weight": v}}
        return {self.name: {"linear.weight": v[:, :-1].clone(), "linear.bias": v[:, -1].clone()}}

    def _point(self) -> Tensor:
        own, t = matrix(self.head).cpu(), float(self.memory["fit/t"])
        return own + (t - 1) / _next(t) * (own - self.memory["fit/before"])

    def lacking(self, clients: Sequence[int]) -> list[int]:
        """Of these, the clients whose G is not there yet."""
        return [client for client in clients if not self._known(client)]

    def _known(self, client: int) -> bool:
        return bool(self.memory["fit/samples"][client])

    def refusals(
        self, came: Mapping[int, Mapping[str, Tensor]], samples: Mapping[int, int]
    ) -> dict[int, str]:
        """Client -> why its sums can't be those of its samples, or of samples like the others'."""
        traces = {
            client: float(self.memory["fit/traces"][client]) / int(number)
            for client, number in enumerate(self.memory["fit/samples"].tolist())
            if number
        }
        found = {}
        for client, answer in came.items():
            try:
                trace = self._sound(client, answer)
            except BadInput as error:
                found[client] = str(error)
                continue
            if not self._known(client):
                traces[client] = trace / samples[client]
            bound = math.sqrt(2 * samples[client] * trace)
            # |softmax - y| is sqrt(2) at most, and the mean length of features follows from G.
            if (far := float(answer["slope"].double().norm())) > 1.01 * bound:
                found[client] = f"its slope is {far:.3g} long, where its samples allow {bound:.3g}"
        sound = {client: traces[client] for client in traces if client not in found}
        usual = statistics.median(sound.values()) if len(sound) >= ENOUGH else math.inf
        for client in came.keys() & sound.keys():
            if sound[client] > FAR * usual:
                found[client] = (
                    f"its features are {sound[client]:.3g} large, where others' are {usual:.3g}"
                )
        return found

    def take(self, client: int, answer: Mapping[str, Tensor], samples: int) -> None:
        """Count a client's sums."""
        memory = self.memory
        if not self._known(client):
            memory["fit/gram"] += answer["gram"]
            memory["fit/traces"][client] = self._trace(answer["gram"])
            memory["fit/samples"][client] = samples
            memory["fit/t"].fill_(1.0)
            self._factor = None
        memory["fit/slopes"][client] = answer["slope"]

    def step(self) -> None:
        """Move the readout, by the slopes that were taken at :meth:`point`."""
        memory, own, linear = self.memory, matrix(self.head), self.head.linear
        pull = self.ridge * int(memory["fit/samples"].sum())
        if self._factor is None:
            self._factor = _factor(memory["fit/gram"].double() / 2, self.shape[1], pull)
        point = self._point().double()
        slope = memory["fit/slopes"].double().sum(0) + pull * point
        moved = point - torch.cholesky_solve(slope.T, self._factor).T
        memory["fit/before"].copy_(own)
        memory["fit/t"].fill_(_next(float(memory["fit/t"])))
        with torch.no_grad():
            linear.weight.copy_(moved[:, : linear.in_features])
            if linear.bias is not None:
                linear.bias.copy_(moved[:, -1])

    def _sound(self, client: int, answer: Mapping[str, Tensor]) -> float:
        """The trace of a client's G, once names, shapes and numbers are what they must be."""
        wanted = {"slope": list(self.shape)}
        if not self._known(client):
            wanted["gram"] = list(self.memory["fit/gram"].shape)
        for key, shape in wanted.items():
            there = list(answer[key].shape) if key in answer else "nothing"
            if there != shape or answer[key].dtype != torch.float32:
                raise BadInput(f"{self.name} wants {key} {shape}, and what came has {there}")
            if not bool(torch.isfinite(answer[key]).all()):
                raise BadInput(f"{self.name}/{key} has numbers that are not finite")
        if "gram" not in wanted:
            return float(self.memory["fit/traces"][client])
        square = square_of(answer["gram"], self.shape[1])
        # No more below 0 than what rounding does to a sum of fewer samples than features.
        square.diagonal().add_(ROUNDING * float(square.diagonal().abs().max()))
        if int(torch.linalg.cholesky_ex(square).info):
            raise BadInput(f"{self.name}/gram is not a sum over pairs of features")
        return self._trace(answer["gram"])

    def _trace(self, packed: Tensor) -> float:
        return float(square_of(packed, self.shape[1]).diagonal().double().sum())


def _factor(packed: Tensor, features: int, pull: float) -> Tensor:
    """The Cholesky factor of a packed matrix plus ``pull`` times 1, or what little more it takes.

    More than the bound is a bound as well: steps are shorter, and come to the same.
    """
    square = square_of(packed, features)
    large = float(square.diagonal().max())
    square.diagonal().add_(pull)
    for more in (0.0, 1e-9, 1e-6, ROUNDING, 10 * ROUNDING):
        square.diagonal().add_(more * large)
        factor: Tensor
        factor, info = torch.linalg.cholesky_ex(square)
        if not int(info):
            return factor
    raise BadInput("the sums that clients sent don't belong together: no readout fits them")


def _next(t: float) -> float:
    return (1 + math.sqrt(1 + 4 * t * t)) / 2


def square_of(packed: Tensor, features: int) -> Tensor:
    """The symmetric matrix of an upper half.  [F (F + 1) / 2] -> [F, F]."""
    rows, columns = torch.triu_indices(features, features)
    square = packed.new_empty(features, features)
    square[rows, columns] = packed
    square[columns, rows] = packed
    return square
