"""``wrap``: an ``nn.Module`` that exists already as a row of cells, and back.

    model = LeNet()
    row = onward.wrap(model, (1, 28, 28), ["conv2", "fc1"], onward.UnsupervisedForwardForward)
    row.fit(data, epochs=5)
    model = row.unwrap()                     # the same object: model(x), model.state_dict()

The cells run the model's own modules (``dataflow.py``, ``cells/piece.py``), so that there is one
set of weights, and row and model compute the same numbers, bit for bit: before training and after.
What a cell's loss needs beside them is read off shapes found by a dry run: a decoder where it is to
restore its input, a length normalisation of its input where it learns by goodness.

B = samples, D = shape of a sample, F = shape of what the last cell answers, K = classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from .algorithms import ForwardForward, UnsupervisedForwardForward
from .algorithms.contrast import Contrast
from .cells.decoders import Decoder
from .cells.lengths import Normalise, rms, unchanged
from .cells.noise import Corruption, masking
from .cells.piece import Normed, Piece
from .data import Dataset
from .dataflow import Flow, Segment, dissect
from .demands import refuse_broken
from .errors import BadInput
from .goodness import mean_of_squares
from .labels import waves
from .local import Algorithm
from .negatives import wrong_label
from .readouts import LinearReadout
from .schedules import Schedule, backprop, simultaneous
from .seeds import generator
from .train import Trained, fit


@dataclass(frozen=True, eq=False)
class Wrapped:
    """A model as a row of cells: what :func:`wrap` returns.

    ``cells`` go with any schedule, and with :func:`onward.fit`, too. ``classifier`` is the linear
    layer that the model ends in, which is no cell but the row's linear readout; None if it ends in
    another way. ``shape`` is D.
    """

    model: nn.Module
    cells: list[Piece]
    algorithm: Algorithm
    classifier: nn.Linear | None
    shape: tuple[int, ...]

    def fit(
        self, data: Dataset, *, epochs: int, schedule: Schedule | None = None, **options: Any
    ) -> Trained:
        """Train the model, in place; ``options`` are those of :func:`onward.fit`.

        Every cell learns by its own loss, and a linear readout on the last cell's answers learns
        along: the model's own classifier, from the weights that it has, or a new one where it has
        none (which is then in the result's ``row`` and in nothing that :meth:`unwrap` returns). The
        schedule is *simultaneous*, or *backprop* for an algorithm without local losses.

        Raises BadInput for data of another shape or with other classes than the model's, and where
        :func:`onward.fit` does.
        """
        refuse_broken(data, next(self.cells[0].parameters()).dtype)
        if data.shape != self.shape:
            raise BadInput(
                f"{data.name} has samples of {data.shape}, and this model was wrapped for "
                f"{self.shape}: wrap it with a sample of these data"
            )
        if self.classifier is not None and self.classifier.out_features != data.classes:
            raise BadInput(
                f"{data.name} has {data.classes} classes, and the model's last layer "
                f"{self.classifier.out_features} outputs: give it as many, or wrap with "
                "classifier=False if that layer makes features"
            )
        if schedule is None:
            schedule = simultaneous if self.algorithm.local else backprop
        chosen: dict[str, Any] = {"read": [len(self.cells) - 1], "head": self._head, **options}
        return fit(self.cells, self.algorithm, data, epochs=epochs, schedule=schedule, **chosen)

    def neutral(self, x: Tensor) -> Tensor:
        """Samples as the linear readout is shown them, without a label.  x [B, *D] -> [B, *D'].

        They are x itself, unless the algorithm writes labels with another writer than ``waves``.
        """
        which = torch.full((len(x),), self.algorithm.neutral, device=x.device)
        return self.algorithm.view(x, which)

    def unwrap(self) -> nn.Module:
        """The model that was wrapped, the same object, in eval mode, where it was trained.

        It is usable without this library: its weights and running statistics are the trained ones,
        its ``state_dict`` has the names it always had, and decoders are no part of it. With
        ``x' = self.neutral(x)``, and bit for bit in eval mode:

        * *ends in its own classifier*: ``model(x')`` are the scores of the row's linear readout
          (followed by the model's own softmax, where it ends in one);
        * *ends otherwise*: ``model(x')`` are the last cell's answers: features for a readout.

        This is so for Unsupervised Forward-Forward, for backprop, and for Forward-Forward. There,
        each later cell and the classifier have a length normalisation in front, which is a part of
        what was trained and stays with this object, as forward pre-hooks. Hooks are not in a
        ``state_dict``: another instance that loads it must be wrapped with the same cuts and
        algorithm. Scores of every label tried are the row's (``Trained.scores``), not the model's.
        """
        device = next(p.device for cell in self.cells for p in cell.parameters())
        return self.model.to(device).eval()

    def _head(self, widths: Sequence[int], classes: int, read: Sequence[int]) -> LinearReadout:
        """The readout on the last cell: the model's classifier, if it has one."""
        if self.classifier is None:
            return LinearReadout(widths, classes, read)
        if sum(widths) != self.classifier.in_features:
            raise BadInput(
                f"the model's own classifier reads {self.classifier.in_features} features, and the "
                f"cells {list(read)} answer {sum(widths)}: leave read out, or wrap with "
                "classifier=False for a readout on any cells"
            )
        biased = self.classifier.bias is not None
        made = LinearReadout(widths, classes, read, normalise=unchanged, bias=biased)
        made.linear = self.classifier
        return made


def wrap(
    model: nn.Module,
    sample: Tensor | Sequence[int],
    cuts: Sequence[str],
    algorithm: Algorithm | type[Algorithm],
    *,
    classifier: bool = True,
    normalise: Normalise | None = None,
    noise: float = 0.0,
    seed: int = 0,
) -> Wrapped:
    """A model as a row of cells that learn by ``algorithm``; its weights stay where they are.

    ``sample`` is the shape D of one sample, or some samples [B, *D]. ``cuts`` name the modules that
    a new cell begins with, as in ``model.named_modules()``, in the order in which they are called;
    what the model does between two of them belongs to the earlier cell. One value must carry
    everything past a cut. ``algorithm`` is an object, or a class: then it is built for the model
    (:class:`ForwardForward` for as many classes as its last layer has outputs, with labels as
    ``waves`` all over a sample, uniformly wrong labels, and the mean of squares for goodness: sums
    over the thousands of numbers of a map saturate its loss). By algorithm, every cell gets

    * Unsupervised Forward-Forward: a decoder from its answer to its input (or to the sample, where
      that is the target). ``noise`` in [0, 1) is the share of its inputs that are set to 0 in its
      training pass: with it, it is a denoising auto-encoder;
    * Forward-Forward and its kin: from the second on, its input normalised in length, so that no
      cell can read off how strongly the one before it responded;
    * backprop (``onward.Clean``) and others: nothing.

    ``normalise`` is what enters each later cell and the classifier first, None for the algorithm's
    own choice above. It changes what the model computes, from now on: it is put in front of the
    modules ``cuts`` as forward pre-hooks. Those that an earlier ``wrap`` put there are taken away.
    ``classifier=False`` makes a last linear layer a part of the last cell. ``seed`` decides the
    decoders' weights, noise and dropout; the model's own weights are as they come.

    A cell is in training mode where it learns and in eval mode where it is judged, whatever the
    modes the model came in: batch norm and dropout do what they do in any training loop. Parameters
    with ``requires_grad=False`` stay as they are. In-place activations at the head of a cell write
    into a copy.

    Raises BadInput, by name and leaving the model as it was, for cuts that name no module, are out
    of order, double, or crossed by another path (a skip connection); for cells without parameters
    to train; for parameters or statistics in two cells; for a model that can't be traced, does not
    take such samples, or is not in float32 on one device.

    >>> model = nn.Sequential(nn.Linear(64, 50), nn.ReLU(), nn.Linear(50, 20), nn.ReLU())
    >>> model.append(nn.Linear(20, 10))[2].out_features
    20
    >>> row = wrap(model, (64,), ["2"], UnsupervisedForwardForward)
    >>> [tuple(cell(torch.rand(3, *n)).shape) for cell, n in zip(row.cells, [(64,), (50,)])]
    [(3, 50), (3, 20)]
    >>> row.unwrap() is model, row.classifier is model[4]
    (True, True)
    """
    x = _samples(model, sample)
    shape = tuple(x.shape[1:])
    modes = [(module, module.training) for module in model.modules()]
    hooks = _take_hooks(model)
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[x.device] if x.is_cuda else []):
            if isinstance(algorithm, Algorithm):
                x = algorithm.view(x, torch.zeros(len(x), dtype=torch.long, device=x.device))
            _refuse_samples(model, x)
            flow = dissect(model, x, cuts, classifier=classifier)
            found = model.get_submodule(flow.classifier) if flow.classifier is not None else None
            head = found if isinstance(found, nn.Linear) else None
            built = _built(algorithm, head)
            if head is not None and not any(p.requires_grad for p in head.parameters()):
                raise BadInput(
                    f"the classifier {flow.classifier!r} has no parameters to train: let it learn, "
                    "or take classifier=False"
                )
            _refuse_shared(model, flow)
            if normalise is None:
                normalise = rms if isinstance(built, Contrast) else unchanged
            target = shape if built.originals else None
            restores = isinstance(built, UnsupervisedForwardForward)
            if noise and not restores:
                raise BadInput(
                    f"noise={noise} is for cells that restore their input, and those of "
                    f"{type(built).__name__} do not: leave it out"
                )
            cells = []
            for number, part in enumerate(flow.segments):
                cell = _cell(part, number, normalise, x, noise, seed)
                if restores:
                    rng = generator(seed, "cells", number)
                    cell.decoder = Decoder(part.made, target or part.enters, rng).to(x.device)
                cells.append(cell)
            _hook(model, flow, normalise)
            _refuse_other_numbers(model, cells, head, x)
    except BaseException:
        _take_hooks(model)
        for module, hook in hooks:
            module.register_forward_pre_hook(hook, with_kwargs=True)
        raise
    finally:
        for module, training in modes:
            module.training = training
    return Wrapped(model, cells, built, head, shape)


def _cell(
    part: Segment, number: int, normalise: Normalise, x: Tensor, noise: float, seed: int
) -> Piece:
    if not any(p.requires_grad for p in part.body.parameters()):
        raise BadInput(
            f"the cell that begins {_where(part)} has no parameters to train: leave out that cut "
            "or the next one; or, if the classifier comes next, take classifier=False"
        )
    if normalise is not unchanged and number and not part.alone:
        raise BadInput(
            f"what enters {part.begins!r} is read by others, too, and so can't be normalised for "
            "it alone: begin the cell at the module that holds them all, or take "
            "normalise=onward.cells.unchanged"
        )
    # A module that is called as a whole brings its hook along; one that was traced does not.
    own = normalise if number and not part.whole else unchanged
    probe = torch.rand(2, *part.enters, device=x.device)
    part.body.eval()
    before = probe._version
    part.body(probe)
    writes = any(getattr(module, "inplace", False) for module in part.body.modules())
    return Piece(
        part.body,
        normalise=own,
        copies=writes or probe._version > before,
        noise=Corruption(masking, noise, seed, number) if noise else None,
        seed=seed,
        number=number,
    )


def _built(algorithm: Algorithm | type[Algorithm], head: nn.Linear | None) -> Algorithm:
    if isinstance(algorithm, type) and issubclass(algorithm, ForwardForward):
        if head is None:
            raise BadInput(
                f"how many classes there are is read off the model's last linear layer, and this "
                f"one has none: say algorithm={algorithm.__name__}(classes=...)"
            )
        algorithm = algorithm(
            head.out_features, goodness=mean_of_squares, negatives=wrong_label, writer=waves
        )
    if isinstance(algorithm, type):
        try:
            algorithm = algorithm()
        except TypeError as error:
            raise BadInput(
                f"an algorithm has settings that a model can't tell ({error}): hand in an object "
                "instead of its class"
            ) from error
    if not isinstance(algorithm, Algorithm):
        raise BadInput(
            "algorithm wants an algorithm or its class, e.g. onward.UnsupervisedForwardForward, "
            f"and {algorithm!r} is none"
        )
    if algorithm.sweep is not None:
        raise BadInput(
            f"{type(algorithm).__name__} wants cells that also see the one above, and a wrapped "
            "model is one pass from below: take ForwardForward, UnsupervisedForwardForward or Clean"
        )
    return algorithm


# What the model must be.


def _samples(model: nn.Module, sample: Tensor | Sequence[int]) -> Tensor:
    """Two samples on the model's device.  -> [2, *D]."""
    if not isinstance(model, nn.Module):
        raise BadInput(f"wrap takes a torch.nn.Module, and got {model!r}")
    if isinstance(model, torch.jit.ScriptModule):
        raise BadInput("a scripted model can't be traced: wrap the module it was made of")
    if any(is_lazy(number) for number in (*model.parameters(), *model.buffers())):
        raise BadInput("the model has lazy modules without shapes yet: run it once on a sample")
    numbers = [*model.named_parameters(), *model.named_buffers()]
    places = {str(n.device) for _, n in numbers}
    if len(places) != 1 or "meta" in places:
        came = ", ".join(sorted(places)) or "has no parameters at all"
        raise BadInput(f"a wrapped model lies on one device, and this one: {came}. Use model.to()")
    for name, number in numbers:
        if number.is_floating_point() and number.dtype != torch.float32:
            raise BadInput(
                f"data are float32, and so must a wrapped model be, but {name} is {number.dtype}: "
                "call model.float() first"
            )
    if isinstance(sample, Tensor):
        if sample.dim() < 2 or len(sample) < 1:
            raise BadInput(
                f"a sample comes as a batch [B, *D], and this one is {tuple(sample.shape)}: hand "
                "in x[:2], or the shape of one sample"
            )
        x = sample[:2].detach().float()
    else:
        shape = tuple(sample)
        if not shape or not all(isinstance(n, int) and n > 0 for n in shape):
            raise BadInput(
                f"the shape of one sample is some whole numbers above 0, without that of the "
                f"batch, such as (1, 28, 28), and came as {sample!r}"
            )
        x = torch.rand(2, *shape, generator=generator(0, "sample"))
    return x.to(numbers[0][1].device)


def _refuse_samples(model: nn.Module, x: Tensor) -> None:
    try:
        model.eval()(x)
    except Exception as error:
        told = " ".join(str(error).split())[:200]
        raise BadInput(
            f"samples of {tuple(x.shape[1:])} do not go through {type(model).__name__} ({told}): "
            "hand in the shape of one sample, without that of the batch"
        ) from error


def _refuse_shared(model: nn.Module, flow: Flow) -> None:
    """Raise BadInput where two cells would learn, or keep, the same numbers."""
    parts: list[tuple[str, nn.Module]] = [
        (f"the cell that begins {_where(part)}", part.body) for part in flow.segments
    ]
    if flow.classifier is not None:
        parts.append(("the classifier", model.get_submodule(flow.classifier)))
    owner: dict[int, str] = {}
    for part, module in parts:
        for number in {id(n): n for n in (*module.parameters(), *module.buffers())}.values():
            if id(number) in owner:
                every = (
                    *model.named_parameters(remove_duplicate=False),
                    *model.named_buffers(remove_duplicate=False),
                )
                names = " and ".join(repr(name) for name, n in every if n is number)
                raise BadInput(
                    f"{names} would be in two cells, {owner[id(number)]} and {part}, and each "
                    "would learn it by a loss of its own: cut so that one cell has it, or untie it"
                )
            owner[id(number)] = part


def _refuse_other_numbers(
    model: nn.Module, cells: Sequence[Piece], head: nn.Linear | None, x: Tensor
) -> None:
    """Raise BadInput where cells, one after another, do not answer what the model does."""
    wanted: list[Tensor] = []
    keep = (head or model).register_forward_hook(lambda module, seen, answer: wanted.append(answer))
    model.eval()(x.clone())
    keep.remove()
    h = x
    for cell in cells:
        h = cell(h)
    if not torch.equal(h if head is None else head(h), wanted[0]):
        raise BadInput(
            f"the cells of {type(model).__name__} do not answer what it answers: its forward does "
            "what a trace does not see (hooks, numbers that it keeps, chance in eval mode). Move "
            "that into a module that no cut is in"
        )


def _where(part: Segment) -> str:
    return f"at {part.begins!r}" if part.begins else "the model"


# Normalisations in front of modules.


def _hook(model: nn.Module, flow: Flow, normalise: Normalise) -> None:
    if normalise is unchanged:
        return
    ends = [] if flow.classifier is None else [flow.classifier]
    for name in (*(part.begins for part in flow.segments[1:]), *ends):
        model.get_submodule(name).register_forward_pre_hook(Normed(normalise), with_kwargs=True)


def _take_hooks(model: nn.Module) -> list[tuple[nn.Module, Normed]]:
    """Take away every normalisation that ``wrap`` has put in front of a module."""
    found = []
    for module in model.modules():
        for key, hook in list(module._forward_pre_hooks.items()):
            if isinstance(hook, Normed):
                del module._forward_pre_hooks[key]
                module._forward_pre_hooks_with_kwargs.pop(key, None)
                found.append((module, hook))
    return found
