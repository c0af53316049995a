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

(Nesterov 1983; t is 1 before the first step), from W = 0, where the first step is a ridge
regression, of twice the ridge and to twice the targets. What comes out does not depend on who holds
which sample, but for rounding. A round is a pass over the samples, and its slope as large as the
readout; G goes once, its upper half: F (F + 1) / 2 numbers.

Of N_i samples, an owner that fails in a later round is counted with the slope S_i that it sent
last, at V_i, and a curvature:  S_i + (V - V_i) G N_i / 2 N.  Without that a slope that stays is
followed without end. G stands for its own matrix there, which is not kept, so this is no bound. One
that comes later is asked for its matrix then, and the extrapolation begins anew. One whose sums are
refused counts no longer; its matrix stays in G, and more than the bound is a bound.

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
            "fit/points": torch.zeros(clients, classes, features),  # where those were taken
            "fit/before": torch.zeros(classes, features),
            "fit/t": torch.ones(1, dtype=torch.float64),
        }
        self._factor: Tensor | None = None
        self._came = False  # somebody whose G was not there, in this round

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
        lengths = {
            client: math.sqrt(float(self.memory["fit/traces"][client]) / int(number))
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
            had = int(self.memory["fit/samples"][client])
            if had and had != samples[client]:
                found[client] = f"it had {had} samples before, and has {samples[client]} now"
                continue
            if not had:
                lengths[client] = math.sqrt(trace / samples[client])
            bound = math.sqrt(2 * samples[client] * trace)
            # |softmax - y| is sqrt(2) at most, and the mean length of features follows from G.
            if (far := float(answer["slope"].double().norm())) > 1.01 * bound:
                found[client] = f"its slope is {far:.3g} long, where its samples allow {bound:.3g}"
        sound = {client: lengths[client] for client in lengths if client not in found}
        usual = statistics.median(sound.values()) if len(sound) >= ENOUGH else 0.0
        for client in came.keys() & sound.keys():
            if usual and sound[client] > FAR * usual:
                found[client] = (
                    f"its features are {sound[client]:.3g} long, where others' are {usual:.3g}"
                )
        return found

    def forget(self, client: int) -> None:
        """Count a client no longer, until its sums have come anew."""
        for key in ("fit/samples", "fit/traces", "fit/slopes", "fit/points"):
            self.memory[key][client] = 0

    def take(self, client: int, answer: Mapping[str, Tensor], samples: int) -> None:
        """Count a client's sums."""
        memory = self.memory
        if not self._known(client):
            memory["fit/gram"] += answer["gram"]
            memory["fit/traces"][client] = self._trace(answer["gram"])
            memory["fit/samples"][client] = samples
            self._factor, self._came = None, True
        memory["fit/slopes"][client] = answer["slope"]
        memory["fit/points"][client] = self._point()

    def step(self) -> None:
        """Move the readout, by the slopes that were taken at :meth:`point`, and of who was away."""
        memory, own, linear = self.memory, matrix(self.head).cpu(), self.head.linear
        number = int(memory["fit/samples"].sum())
        pull = self.ridge * number
        if self._factor is None:
            self._factor = _factor(memory["fit/gram"].double() / 2, self.shape[1], pull)
        point = self._point().double()
        slope = memory["fit/slopes"].double().sum(0) + pull * point
        shares = memory["fit/samples"].double() / number
        away = torch.einsum("c,ckf->kf", shares, point - memory["fit/points"].double())
        if bool(away.abs().max() > 0):
            slope += away @ square_of(memory["fit/gram"].double(), self.shape[1]) / 2
        moved = point - torch.cholesky_solve(slope.T, self._factor).T
        memory["fit/before"].copy_(own)
        t = 1.0 if self._came else float(memory["fit/t"])  # a new loss: nothing to extrapolate
        memory["fit/t"].fill_(_next(t))
        self._came = False
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
        if not bool(square.any()):
            return 0.0  # cells that are silent
        # No more below 0 than what rounding does to a sum of fewer samples than features.
        square.diagonal().add_(ROUNDING * float(square.diagonal().abs().max()))
        if int(torch.linalg.cholesky_ex(square).info):
            raise BadInput(f"{self.name}/gram is not a sum over pairs of features")
        return self._trace(answer["gram"])

    def _trace(self, packed: Tensor) -> float:
        row = torch.arange(self.shape[1])
        return float(packed[row * self.shape[1] - row * (row - 1) // 2].double().sum())


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
