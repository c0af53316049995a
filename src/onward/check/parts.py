"""Checks of one part alone: a goodness, negatives, a cell, an algorithm, scores, a task.

B = samples, D = input shape, F = output shape, K = classes.
"""

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..cells import unchanged
from ..cells.black_box import Box
from ..evaluate import judge
from ..goodness import Goodness
from ..local import Algorithm, Station, walk
from ..negatives import Negatives
from ..objectives import Objective
from ..optimizers import sgd
from ..readouts import neutral_answers
from ..recurrent import Answered, swept
from ..row import Row, groups
from ..seeds import generator
from ..tasks import Task
from .promises import Promises, close, promise


def check_goodness(goodness: Goodness) -> Promises:
    """A goodness is one finite number a sample, of that sample alone, with a gradient."""
    rng = generator(0, "check goodness")
    for shape in ((6, 20), (6, 3, 4, 5)):
        h = torch.rand(shape, generator=rng)
        g = goodness(h)
        promise(g.shape == (6,), f"h {shape} -> g (6,); came {tuple(g.shape)}")
        promise(bool(torch.isfinite(g).all()), f"goodness is finite; came {g}")
        order = torch.randperm(6, generator=rng)
        close(goodness(h[order]), g[order], "permuting samples permutes goodness")
        close(goodness(h[:2]), g[:2], "goodness does not depend on the rest of the batch")
    h = torch.rand(4, 20, generator=rng).requires_grad_()
    (gradient,) = torch.autograd.grad(goodness(h).sum(), h)
    promise(bool((gradient != 0).any()), "goodness has a gradient")
    return [
        "one finite number a sample",
        "permuting samples permutes goodness",
        "goodness does not depend on the rest of the batch",
        "goodness has a gradient",
    ]


def check_negatives(negatives: Negatives, classes: int = 5, draws: int = 20_000) -> Promises:
    """A sampler of wrong labels never returns the true one, and repeats itself from a seed."""
    rng = generator(0, "check negatives")
    y = torch.randint(0, classes, (draws,), generator=rng)
    scores = 3 * torch.randn(draws, classes, generator=rng)
    drawn = negatives(y, classes, scores, generator(1, "negatives"))
    promise(drawn.shape == y.shape, f"y [B] -> labels [B]; came {tuple(drawn.shape)}")
    promise(not bool((drawn == y).any()), "a negative never carries the true label")
    within = bool(((drawn >= 0) & (drawn < classes)).all())
    promise(within, f"labels are in 0..{classes - 1}")
    again = negatives(y, classes, scores, generator(1, "negatives"))
    promise(torch.equal(drawn, again), "same seed, same bits")
    other = negatives(y, classes, scores, generator(2, "negatives"))
    promise(not torch.equal(drawn, other), "negatives change with the generator")
    return [
        "a negative never carries the true label",
        "same seed, same bits",
        "negatives change with the generator",
    ]


def check_objective(objective: Objective) -> Promises:
    """An objective is one finite number that louder positives and quieter negatives make smaller.

    On the whole, and where both are near the threshold: single rows may be let go.
    """
    rng = generator(0, "check objective")
    theta, temperature, half = 3.0, 1.5, 500
    g = (theta + torch.randn(2 * half, generator=rng)).requires_grad_()
    before = g.detach().clone()
    loss = objective(g, theta, temperature)
    promise(loss.shape == (), f"g [2B] -> one number; came {tuple(loss.shape)}")
    promise(torch.equal(g.detach(), before), "nothing is written into g")
    far = objective(before * 1e4, theta, temperature)
    promise(bool(torch.isfinite(loss) and torch.isfinite(far)), "it is finite, far away too")
    (slope,) = torch.autograd.grad(loss, g)
    positives, negatives = slope[:half].sum(), slope[half:].sum()
    promise(bool(positives < 0), f"louder positives make it smaller; their slope is {positives}")
    promise(bool(negatives > 0), f"quieter negatives make it smaller; their slope is {negatives}")
    return [
        "one finite number, with a gradient",
        "louder positives make it smaller",
        "quieter negatives make it smaller",
    ]


def check_box(box: Box) -> Promises:
    """A black box answers each sample by itself, as large as it came, and the same to one noise."""
    rng = generator(0, "check box")
    x, u = torch.randn(6, 20, generator=rng), torch.rand(6, 20, generator=rng)
    before = x.clone(), u.clone()
    y = box(x, u, 0.5)
    promise(y.shape == x.shape, f"x_hat [B, D] -> y [B, D]; came {tuple(y.shape)}")
    promise(bool(torch.isfinite(y).all()), "what comes out is finite")
    same = torch.equal(x, before[0]) and torch.equal(u, before[1])
    promise(same, "nothing is written into what it is handed")
    promise(torch.equal(box(x, u, 0.5), y), "the same noise, the same answer: draw none of its own")
    close(box(x[:2], u[:2], 0.5), y[:2], "an answer does not depend on the rest of the batch")
    return ["the same noise, the same answer", "an answer does not depend on the rest of the batch"]


def check_cell(cell: nn.Module, shape: Sequence[int]) -> Promises:
    """A cell answers each sample by itself, and all it knows is saved.  shape = D of one sample."""
    rng = generator(0, "check cell")
    x = torch.rand(6, *shape, generator=rng) + 0.1
    with torch.no_grad():
        h = cell(x)
        promise(len(h) == 6, f"x [6, *{tuple(shape)}] -> h [6, *F]; came {tuple(h.shape)}")
        promise(torch.equal(cell(x), h), "the same input, the same answer")
        close(cell(x[:2]), h[:2], "an answer does not depend on the rest of the batch")
        twin = copy.deepcopy(cell)
        for number in (*twin.parameters(), *_unregistered(twin)):
            number.add_(1.0)
        twin.load_state_dict(cell.state_dict())
        close(twin(x), h, "a cell's state is all in its state_dict")
    own = {id(p) for ps in groups(cell).values() for p in ps}
    missing = [name for name, p in cell.named_parameters() if id(p) not in own]
    promise(not missing, f"every parameter is in a group; not {', '.join(missing)}")
    kept = ["an answer does not depend on the rest of the batch", "its state is all in state_dict"]
    normalise: Any = getattr(cell, "normalise", None)
    keeps = normalise is unchanged or getattr(normalise, "keeps_scale", False)
    if normalise is not None and not keeps:
        with torch.no_grad():
            close(cell(7.5 * x), h, "a length-normalised cell ignores the scale of its input")
        kept.append("it ignores the scale of its input")
    return kept


def _unregistered(cell: nn.Module) -> list[Tensor]:
    """Tensors in plain attributes, lists and dicts: neither saved, nor moved, nor trained."""
    registered = {id(t) for t in (*cell.parameters(), *cell.buffers())}
    usual = vars(nn.Module()).keys()

    def inside(value: object) -> Iterator[Tensor]:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, nn.Module):
            yield from (*value.parameters(), *value.buffers())
        elif isinstance(value, dict | list | tuple):
            for item in value.values() if isinstance(value, dict) else value:
                yield from inside(item)

    own = [v for m in cell.modules() for k, v in vars(m).items() if k not in usual]
    found = {id(t): t for t in inside(own) if id(t) not in registered and t.is_floating_point()}
    return list(found.values())


def check_algorithm(
    algorithm: Algorithm, cells: Callable[[], list[nn.Module]], x: Tensor, y: Tensor
) -> Promises:
    """Cells learn locally under an algorithm.  ``cells`` makes a fresh row; x [B, *D], y [B].

    Only cell i moves when cell i learns; no gradient path leaves a cell; what cells tell each other
    is detached; the same seed gives the same bits.
    """

    def learned() -> list[nn.Module]:
        """A fresh row after each of its cells has learned once, first to last."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            row = cells()
        stations = [
            Station(f"cell-{i}", cell, {n: sgd(0.1)(ps) for n, ps in groups(cell).items()})
            for i, cell in enumerate(row)
        ]
        walked = _walked(stations, algorithm, x, y)
        told = [algorithm.tell(outs) for _, _, outs in walked]
        for number, (station, seen, outs) in enumerate(walked):
            promise(not seen.rows.requires_grad, "no gradient path leaves a cell")
            others = told[:number] + (told[number + 1 :] if algorithm.hints == "all" else [])
            spoken = [t for t in others if t is not None] if algorithm.hints != "none" else []
            detached = not any(t.requires_grad for t in spoken)
            promise(detached, "what cells tell each other is detached")
            before = [copy.deepcopy(c.state_dict()) for c in row]
            station.update(algorithm, seen, outs, torch.stack(spoken) if spoken else None)
            for other, (cell, state) in enumerate(zip(row, before, strict=True)):
                if other == number:
                    continue
                moved = any(not torch.equal(state[k], v) for k, v in cell.state_dict().items())
                promise(not moved, f"only cell {number} moves when it learns; cell {other} did")
                reached = other > number and any(p.grad is not None for p in cell.parameters())
                promise(not reached, f"no gradient of cell {number} reaches cell {other}")
        return row

    first, second = learned(), learned()
    same = all(
        torch.equal(a, b)
        for c, d in zip(first, second, strict=True)
        for a, b in zip(c.state_dict().values(), d.state_dict().values(), strict=True)
    )
    promise(same, "same seed, same bits")
    return [
        "only cell i moves when cell i learns",
        "no gradient path leaves a cell",
        "what cells tell each other is detached",
        "same seed, same bits",
    ]


def _walked(stations: list[Station], algorithm: Algorithm, x: Tensor, y: Tensor) -> Answered:
    """What every station sees and answers: on its way up, or at the last iteration of a sweep."""
    classes = max(algorithm.candidates, int(y.max()) + 1)
    scores, rng = torch.zeros(len(x), classes), generator(0, "negatives")
    if algorithm.sweep is None:
        ins = algorithm.streams(x, y, rng, scores)
        told = f"count is the streams there are, {ins.count}, and says {algorithm.count}"
        promise(ins.count == algorithm.count, told)
        return list(walk(stations, ins))
    begin = neutral_answers([station.cell for station in stations], algorithm, x)
    which = algorithm.draw(y, rng, scores)
    *_, last = swept(stations, algorithm, x, which, list(begin.values()))
    return last


def check_scores(row: Row, x: Tensor) -> Promises:
    """A sample's class scores are its own, whatever else is in the batch.  x [B, *D]."""
    whole, part = judge(row, x), judge(row, x[1:3])
    if whole.goodness is not None and part.goodness is not None:
        close(part.goodness, whole.goodness[:, 1:3], "a score does not depend on the batch")
    if whole.linear is not None and part.linear is not None:
        close(part.linear, whole.linear[1:3], "a score does not depend on the batch")
    if whole.restoring is not None and part.restoring is not None:
        close(part.restoring, whole.restoring[:, 1:3], "a score does not depend on the batch")
    return ["a score does not depend on the rest of the batch"]


def check_task(task: Task, outputs: int, y: Tensor | None = None) -> Promises:
    """A task's loss trains outputs, its error follows, and it answers each sample by itself.

    ``outputs`` K of the readout; ``y`` [N] targets, by default drawn: classes 0..K-1, or numbers.
    """
    rng = generator(0, "check task")
    if y is None:
        drawn = torch.randint(0, max(outputs, 2), (60,), generator=rng)
        y = drawn if task.target == "classes" else 3 * torch.randn(60, generator=rng) + 5
    start = torch.randn(len(y), outputs, generator=rng)
    scores = start.clone().requires_grad_()
    loss = task.loss(scores, y)
    promise(loss.shape == () and bool(torch.isfinite(loss)), f"a loss is one number; came {loss}")
    (gradient,) = torch.autograd.grad(loss, scores)
    promise(bool((gradient != 0).any()), "the loss has a gradient")
    twice = task.loss(torch.cat([start, start]), torch.cat([y, y]))
    close(twice, loss.detach(), "a loss is a mean: every sample twice gives the same")
    said, order = task.answer(start), torch.randperm(len(y), generator=rng)
    promise(said.shape == y.shape, f"one answer a sample, {tuple(y.shape)}; came {said.shape}")
    same = torch.allclose(task.answer(start[:2]).double(), said[:2].double(), rtol=1e-4)
    promise(same, "an answer does not depend on the rest of the batch")
    error, permuted = task.error(start, y), task.error(start[order], y[order])
    promise(error is not None and math.isfinite(error) and error >= 0, f"error >= 0; came {error}")
    assert error is not None
    fair = permuted is not None and math.isclose(error, permuted, rel_tol=1e-4, abs_tol=1e-9)
    promise(fair, "permuting samples keeps the error")
    optimizer = torch.optim.Adam([scores], lr=0.3)
    for _ in range(300):
        optimizer.zero_grad()
        task.loss(scores, y).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    after = task.error(scores.detach(), y)
    better = after is not None and after < 0.1 * error
    promise(better, f"a small loss is a small error; it went from {error:.3g} to {after}")
    return [
        "a loss is the mean of its samples', with a gradient",
        "an answer does not depend on the rest of the batch",
        "permuting samples keeps the error",
        "a small loss is a small error",
    ]
