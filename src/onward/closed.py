"""One cell's local update in closed form: no tape, no second gradient, buffers kept.

What :meth:`~onward.local.Station.update` gets from autograd under Forward-Forward, written out for
a cell h = max(0, z), z = W x_hat + b. Rows keep their length, and it is taken out of what is made
of them, which is gone over anyway:

    x_hat = s x                          x [R, D], s = 1 / length(x) [R]
    z     = s (x W^T) + b                one product [R, D] x [D, F]
    g     = a sum_j h_j^p                ``goodness.power``; p = 2, 1
    u     = +-(g + gamma - theta) / T    minus on positives; L = mean softplus(u)
                                         gamma [R], what a cell hears of the others, or none
    c     = dL/dg = +-sigmoid(u) / (R T)         of the logistic; others have theirs (objectives.py)
    d     = dL/dz = c a p h^(p-1) [h>0]  and on positives + lambda push / N, the peer term, which is
                                         the same number for every row of a unit
    dL/dW = (s d)^T x                    one product [F, R] x [R, D];  dL/db = (s d)^T (1/s)

Under SGD with momentum mu that last product is made on top of the velocity, v <- mu v + (s d)^T x,
so the gradient itself is never written; and w <- w (1 - rate decay) - rate v is one pass.

A cell of local fields is the same with a product a place: z[:, u] = s (x_u W_u^T) + b_u, x_u the
numbers in the field of place u, one batched product for all; its drives lie place by place. That is
where W is laid out for it (no tiles, no fields cut off), and lengths are the layer's.

In bf16 (the context of :meth:`~onward.plan.Machine.arithmetic`) both factors of a product are
rounded to it, and so is what comes out, as under autograd; all else is fp32. What a cell hands on
is then only ever multiplied as rounded, but for its lengths.

Rounding: sums are taken in another order than autograd's. After several steps weights agree to
1e-9 in fp64 and, relative to the largest, to 1e-4 in fp32.

R = rows of all streams (the first half positives), N = R / 2, D = inputs, F = units.
"""

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer

from .algorithms import Collaborative, ForwardForward, HybridForwardForward
from .algorithms.contrast import Contrast
from .cells import Dense, Fields, LocalFields, PeerNorm
from .cells.lengths import TINY, Normalise, l2, rms, unchanged
from .goodness import power
from .local import Algorithm, Station
from .objectives import SLOPES
from .optimizers import DecoupledSGD
from .precision import narrow


class Scratch:
    """Large tensors that are kept from step to step, by name; made anew where one is too small."""

    def __init__(self) -> None:
        self._kept: dict[str, Tensor] = {}

    def rows(self, name: str, count: int, width: int, like: Tensor) -> Tensor:
        """A tensor [count, width] with whatever it last held, of dtype and device as ``like``."""
        kept = self._kept.get(name)
        fits = kept is not None and kept.shape[1] == width and kept.shape[0] >= count
        if kept is None or not fits or kept.dtype != like.dtype or kept.device != like.device:
            self._kept[name] = kept = like.new_zeros(count, width)
        return kept[:count]


def inverse_length(norm: Tensor, normalise: Normalise, width: int) -> Tensor:
    """s of rows whose Euclidean lengths are norm [R]: what a normalisation multiplies by."""
    if normalise is unchanged:
        return torch.ones_like(norm)
    length = norm * width**-0.5 if normalise is rms else norm
    return (length + TINY).reciprocal()


def multiply(a: Tensor, b: Tensor, out: Tensor) -> None:
    """out <- a b, two matrices or two stacks of them, in the context's precision."""
    a, b = narrow(a), narrow(b)
    product = torch.mm if a.dim() == 2 else torch.bmm
    if a.dtype == out.dtype:
        product(a, b, out=out)
    else:
        out.copy_(product(a, b))


def accumulate(target: Tensor, kept: float, a: Tensor, b: Tensor) -> None:
    """target <- kept target + a b, as :func:`multiply`."""
    a, b = narrow(a), narrow(b)
    if a.dtype != target.dtype and kept == 0:
        target.copy_(a @ b)
    elif a.dtype != target.dtype:
        torch.add((a @ b).to(target.dtype), target, alpha=kept, out=target)
    elif a.dim() == 2:
        target.addmm_(a, b, beta=kept)
    else:
        target.baddbmm_(a, b, beta=kept)


_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


def plain(module: nn.Module, kind: type[nn.Module]) -> bool:
    """Whether a module is of exactly this class, with nothing hung onto it."""
    own = vars(module)
    return type(module) is kind and "forward" not in own and not any(own[name] for name in _HOOKS)


def closed_cell(cell: nn.Module, like: Tensor) -> bool:
    """Whether a cell's answer is that of the file's head, in the dtype and place of ``like``."""
    if not (isinstance(cell, Dense) and plain(cell, Dense)):
        return False
    linear, peers = cell.linear, cell.peers
    if not plain(linear, nn.Linear) or not (peers is None or plain(peers, PeerNorm)):
        return False
    if cell.coupling is not None:
        return False
    known = cell.normalise is rms or cell.normalise is l2 or cell.normalise is unchanged
    return known and linear.weight.dtype == like.dtype and linear.weight.device == like.device


def closed_fields(cell: nn.Module, like: Tensor) -> bool:
    """:func:`closed_cell` for a cell of local fields."""
    if not (isinstance(cell, LocalFields) and plain(cell, LocalFields)):
        return False
    fields, peers = cell.fields, cell.peers
    if not plain(fields, Fields) or not (peers is None or plain(peers, PeerNorm)):
        return False
    known = cell.normalise is rms or cell.normalise is l2 or cell.normalise is unchanged
    weight = fields.weight
    return known and fields.laid_out and (weight.dtype, weight.device) == (like.dtype, like.device)


def closed_loss(algorithm: Algorithm) -> bool:
    """Whether an algorithm's loss is that of the file's head."""
    if not closed_family(algorithm):
        return False
    assert isinstance(algorithm, Contrast)
    return closed_slope(algorithm)


def closed_slope(algorithm: Contrast) -> bool:
    """Whether what a loss says of the cell's activities is known, for goodness and objective."""
    known = any(algorithm.loss is objective for objective in SLOPES)
    return known and power(algorithm.goodness, 1) is not None


def closed_family(algorithm: Algorithm) -> bool:
    """Whether an algorithm is Forward-Forward, or its collaborative form with a logistic loss."""
    if type(algorithm) is Collaborative:
        return algorithm.objective == "logistic"
    return type(algorithm) in (ForwardForward, HybridForwardForward)


def closed_station(station: Station) -> bool:
    """Whether a station learns as stations do, by an optimiser known here, all that it has."""
    if type(station) is not Station or len(station.optimizers) != 1:
        return False
    (optimizer,) = station.optimizers.values()
    if optimizer._optimizer_step_pre_hooks or optimizer._optimizer_step_post_hooks:
        return False
    if type(optimizer) is DecoupledSGD:
        other = ("nesterov", "dampening", "weight_decay", "maximize")
        if any(group[name] for group in optimizer.param_groups for name in other):
            return False
    elif type(optimizer) is not AdamW:
        return False
    own = list(station.cell.parameters())
    moved = {id(p) for group in optimizer.param_groups for p in group["params"]}
    return moved == {id(p) for p in own} and all(p.requires_grad for p in own)


class Descent:
    """An optimiser's step on gradients that are summed into where it wants them.

    :meth:`target` first, for every parameter, then :meth:`step`. All that lasts from step to step
    is the optimiser's own state, in its own form.
    """

    def __init__(self, optimizer: Optimizer):
        self.optimizer = optimizer
        self._moved: dict[Tensor, Tensor] = {}

    def target(self, parameter: Tensor) -> tuple[Tensor, float]:
        """(t, mu): the step follows mu t + gradient, and that is to be put into t."""
        momentum = self._momentum(parameter)
        if momentum == 0:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            self._moved[parameter] = parameter.grad
            return parameter.grad, 0.0
        state = self.optimizer.state[parameter]
        velocity = state.get("momentum_buffer")
        if velocity is None:
            velocity = state["momentum_buffer"] = torch.zeros_like(parameter)
        elif velocity.data_ptr() % 64:
            # A product may round otherwise where memory is aligned otherwise, as a velocity read
            # from a checkpoint can be: a resumed run would not be the same, bit for bit.
            velocity = state["momentum_buffer"] = velocity.clone()
        parameter.grad = None
        self._moved[parameter] = velocity
        return velocity, momentum

    def _momentum(self, parameter: Tensor) -> float:
        for group in self.optimizer.param_groups:
            if any(p is parameter for p in group["params"]):
                return float(group.get("momentum", 0.0))
        raise KeyError("a parameter of another optimiser")

    def step(self) -> None:
        """Move every parameter."""
        if not isinstance(self.optimizer, DecoupledSGD):
            self.optimizer.step()
            return
        for group in self.optimizer.param_groups:
            # A decay inside a step without momentum is w <- w - rate (v + decay w): decoupled.
            torch._fused_sgd_(
                group["params"],
                [self._moved[p] for p in group["params"]],
                [],
                weight_decay=group["decay"],
                momentum=0.0,
                lr=group["lr"],
                dampening=0.0,
                nesterov=False,
                maximize=False,
                is_first_step=False,
            )


class Rows:
    """What a cell sees: rows x [R, D], and s [R], 1 over the length of each."""

    def __init__(self, x: Tensor, s: Tensor):
        self.x, self.s = narrow(x), s

    def factor(self, weight: Tensor) -> Tensor:
        """W as :meth:`product` takes it: to be made once a step, for it may be as long as that."""
        return narrow(weight)

    def product(self, weight: Tensor, z: Tensor) -> None:
        """z <- x W^T [R, F]."""
        multiply(self.x, weight.T, z)

    def gather(self, z: Tensor, target: Tensor, kept: float) -> None:
        """t <- mu t + z^T x [F, D]; z [R, F] may be used up."""
        accumulate(target, kept, z.T, self.x)


class FieldRows(Rows):
    """Rows as a cell of local fields sees them: x [R, C, H, W], and z place by place."""

    def __init__(self, fields: Fields, x: Tensor, s: Tensor):
        super().__init__(x, s)
        self.windows = fields.windows(self.x)  # [T, R, D], D of one field

    def product(self, weight: Tensor, z: Tensor) -> None:
        """z_u <- x_u W_u^T."""
        multiply(self.windows, self._by_place(weight), self._places(z))

    def gather(self, z: Tensor, target: Tensor, kept: float) -> None:
        """t_u <- mu t_u + z_u^T x_u, in the order of W."""
        accumulate(self._by_place(target), kept, self.windows.mT, self._places(z))

    def _by_place(self, weight: Tensor) -> Tensor:
        places, _, inputs = self.windows.shape
        return weight.view(places, inputs, -1)

    def _places(self, z: Tensor) -> Tensor:
        return z.view(len(z), len(self.windows), -1).transpose(0, 1)


def layer(cell: nn.Module) -> nn.Linear | Fields:
    """What of a closed cell has weights and biases."""
    assert isinstance(cell, Dense | LocalFields)
    return cell.linear if isinstance(cell, Dense) else cell.fields


def seen_by(cell: nn.Module, x: Tensor, norm: Tensor) -> Rows:
    """Rows of Euclidean lengths norm [R] as a cell sees them: x [R, D].

    Before a cell of local fields they are images [R, C, H, W], or what the fields before it
    answered, place by place.
    """
    if isinstance(cell, Dense):
        return Rows(x, inverse_length(norm, cell.normalise, cell.inputs))
    assert isinstance(cell, LocalFields)
    channels, high, wide = cell.fields.shape
    s = inverse_length(norm, cell.normalise, channels * high * wide)
    maps = x if x.dim() == 4 else x.view(-1, high, wide, channels).permute(0, 3, 1, 2)
    return FieldRows(cell.fields, maps, s)


def flattened(cell: nn.Module, h: Tensor) -> Tensor:
    """Activities [R, F] in the order in which a readout sees them: maps after maps."""
    if isinstance(cell, Dense):
        return h
    assert isinstance(cell, LocalFields)
    return h.view(len(h), -1, cell.fields.units).mT.flatten(1)


def answer(
    cell: nn.Module, seen: Rows, z: Tensor, h: Tensor, factor: Tensor | None = None
) -> Tensor:
    """A cell's drives and activities are put into z and h [R, F]; returns the lengths of h, [R].

    ``factor`` is its weights as rows of this kind take them, where they are at hand.
    """
    own = layer(cell)
    seen.product(own.weight if factor is None else factor, z)
    torch.addcmul(own.bias, z, seen.s[:, None], out=z)
    torch.clamp_min(z, 0, out=h)
    norm: Tensor = torch.linalg.vector_norm(h, dim=1)
    return norm


class Slope:
    """The loss of a cell of F = ``units`` from its answers, and dL/dz, which is put into z."""

    def __init__(self, algorithm: Contrast, units: int, peers: PeerNorm | None):
        self.algorithm, self.peers = algorithm, peers
        found = power(algorithm.goodness, units)
        assert found is not None
        self.power, self.factor = found

    def goodness(self, h: Tensor, norm: Tensor) -> Tensor:
        """g of the answers h [R, F], whose lengths are norm [R].  -> [R]."""
        return self.factor * (norm.square() if self.power == 2 else h.sum(1))

    def take(
        self,
        z: Tensor,
        h: Tensor,
        norm: Tensor,
        gamma: Tensor | None = None,
        s: Tensor | None = None,
    ) -> Tensor:
        """The loss; z [R, F] becomes d, or with s [R] s d."""
        half, algorithm = len(h) // 2, self.algorithm
        g = self.goodness(h, norm)
        judged = g if gamma is None else g + gamma
        slope, factor = SLOPES[algorithm.loss], self.factor * self.power
        loss, c = slope(judged, algorithm.threshold(h), algorithm.temperature, factor)
        if s is not None:
            c.mul_(s)
        push = None
        if self.peers is not None:
            push = self.peers.push(h[:half]) * (self.peers.strength / half)
            # With an out, for else the context of bf16 would round it.
            loss += torch.mv(z[:half], push, out=torch.empty_like(norm[:half])).sum()
        if self.power == 2:
            torch.mul(h, c[:, None], out=z)
        else:
            torch.sign(h, out=z).mul_(c[:, None])
        if push is not None and s is not None:
            z[:half].addcmul_(s[:half, None], push)
        elif push is not None:
            z[:half].add_(push)
        return loss


class ClosedCell:
    """The closed forms of one cell. Activities h and drives z, [R, F] both, are the caller's."""

    def __init__(self, station: Station, algorithm: Contrast):
        assert isinstance(station.cell, Dense | LocalFields)
        self.cell, self.algorithm, self.name = station.cell, algorithm, station.name
        (optimizer,) = station.optimizers.values()
        self.descent = Descent(optimizer)
        self.slope = Slope(algorithm, self.cell.outputs, self.cell.peers)
        self._factor: Tensor | None = None

    def seen(self, x: Tensor, norm: Tensor) -> Rows:
        """:func:`seen_by` this cell."""
        return seen_by(self.cell, x, norm)

    def forward(self, seen: Rows, z: Tensor, h: Tensor) -> Tensor:
        """z and h are filled; returns the lengths of h, [R]. All rows of a step are of one kind."""
        if self._factor is None:
            self._factor = seen.factor(layer(self.cell).weight)
        return answer(self.cell, seen, z, h, self._factor)

    def goodness(self, h: Tensor, norm: Tensor) -> Tensor:
        """g of the answers h [R, F], whose lengths are norm [R].  -> [R]."""
        return self.slope.goodness(h, norm)

    def learn(
        self, seen: Rows, z: Tensor, h: Tensor, norm: Tensor, hint: Tensor | None = None
    ) -> Tensor:
        """One step, on what ``forward`` left, its z used up; returns the loss.

        ``hint`` [J, R] is what the cell hears.
        """
        own, descent = layer(self.cell), self.descent
        loss = self.slope.take(z, h, norm, self._offset(hint), seen.s)
        bias, kept = descent.target(own.bias)
        bias.addmv_(z.T, seen.s.reciprocal(), beta=kept)
        seen.gather(z, *descent.target(own.weight))
        descent.step()
        self._factor = None
        return loss

    def _offset(self, hint: Tensor | None) -> Tensor | None:
        if not isinstance(self.algorithm, Collaborative):
            return None
        return self.algorithm.offset(self.cell, hint)
