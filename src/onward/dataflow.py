"""A model's dataflow, cut into a row of pieces that hand one value on.

``torch.fx`` runs ``forward`` on a stand-in for its input and writes down what is called on what. A
cut is named by the module that a piece begins with, and falls on the one value t that enters it.
It holds if everything that comes after is made of t and of weights: with D(t) what depends on t,

    for n in D(t), a of n's arguments:    a in D(t),  or a = t,  or a depends on no input

An argument a for which this fails is a path around the cut (a skip connection, say): refused.
Piece j is then what depends on t_j and not on t_{j+1}. Only modules with a cut inside them are
looked into; all others are called as they are, whatever they do inside.

B = samples, D = shape of a sample.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.fx.passes.shape_prop import ShapeProp
from torch.nn import functional

from .errors import BadInput, nearest

_RESHAPES = (nn.Flatten, torch.flatten, "flatten", "view", "reshape")
_SOFTMAXES = (
    *(nn.Softmax, nn.LogSoftmax, "softmax", "log_softmax"),
    *(functional.softmax, functional.log_softmax, torch.softmax, torch.log_softmax),
)


@dataclass(frozen=True)
class Segment:
    """One piece: ``body`` maps what enters it to what leaves it.

    ``begins`` is the module it was cut at, "" for the first. ``whole`` tells whether ``body`` calls
    that module (and its hooks), or was traced through it. ``alone`` tells whether nothing else
    reads the value that enters. ``made`` is the shape of what leaves it before a last flattening.
    """

    begins: str
    body: fx.GraphModule
    whole: bool
    alone: bool
    enters: tuple[int, ...]  # of one sample
    made: tuple[int, ...]


@dataclass(frozen=True)
class Flow:
    """Pieces, first to last, and the name of the linear layer that the model ends in, if any."""

    segments: list[Segment]
    classifier: str | None


def dissect(model: nn.Module, x: Tensor, cuts: Sequence[str], *, classifier: bool) -> Flow:
    """The model's pieces between ``cuts``, by a trace and a dry run on x [B, *D], in eval mode.

    With ``classifier``, an ``nn.Linear`` that the model ends in (softmax aside) is no part of the
    last piece. Raises BadInput for names and cuts that can't be used, by name.
    """
    _refuse_names(model, cuts)
    opened = {"", *(parent for cut in cuts for parent in _parents(cut))}
    traced = _trace(model, opened)
    head = None
    if classifier:
        traced, head = _with_classifier(model, traced, opened)
    ShapeProp(fx.GraphModule(traced.root, traced.graph)).propagate(x)
    if head is not None and len(_shape(traced.entering(head))) > 1:
        head = None  # it answers for rows of a sample, not for the sample
    names = [*(cut for cut in cuts if cut != head), *([head] if head is not None else [])]
    return Flow(_segments(traced, names, cells=len(names) + (head is None)), head)


# Tracing.


class _Tracer(fx.Tracer):
    """Looks into ``opened`` modules only, and keeps what each module was called with."""

    def __init__(self, opened: set[str]):
        super().__init__()
        self.opened = opened
        self.calls: dict[str, list[list[fx.Node]]] = {}

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return _own_name(module_qualified_name) not in self.opened

    def call_module(self, m: nn.Module, forward: Any, args: Any, kwargs: Any) -> Any:
        values = [v.node for v in (*args, *kwargs.values()) if isinstance(v, fx.Proxy)]
        self.calls.setdefault(_own_name(self.path_of_module(m)), []).append(values)
        return super().call_module(m, forward, args, kwargs)


class _Whole(nn.Module):
    """The model called with one tensor: other arguments of its ``forward`` keep their defaults."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Any:
        return self.model(x)


@dataclass
class _Traced:
    root: nn.Module
    graph: fx.Graph
    calls: dict[str, list[list[fx.Node]]]

    def last(self) -> fx.Node:
        """What the model answers."""
        answer = next(reversed(self.graph.nodes)).args[0]
        if not isinstance(answer, fx.Node):
            raise BadInput(
                f"a wrapped model answers one tensor, and this one answers {answer!r}: wrap a "
                "module that calls it and returns the one you need"
            )
        return answer

    def entering(self, name: str) -> fx.Node:
        """The one value that the module ``name`` is called with."""
        calls = self.calls.get(name, [])
        if len(calls) != 1:
            used = f"calls it {len(calls)} times" if calls else "never calls it"
            raise BadInput(f"a cell can't begin at {name!r}: the model's forward {used}")
        if len(calls[0]) != 1:
            told = ", ".join(describe(node) for node in calls[0]) or "nothing that is computed"
            raise BadInput(
                f"a cell can't begin at {name!r}: it takes {told}, and one value passes between "
                "two cells. Cut where one value carries everything"
            )
        return calls[0][0]


def _trace(model: nn.Module, opened: set[str]) -> _Traced:
    """The graph of ``forward``; refused where it differs between training and eval mode."""
    traced: list[_Traced] = []
    for training in (True, False):
        for name in opened:
            model.get_submodule(name).training = training
        root, tracer = _Whole(model), _Tracer(opened)
        try:
            traced.append(_Traced(root, tracer.trace(root), tracer.calls))
        except Exception as error:
            raise BadInput(
                f"torch.fx can't trace {type(model).__name__} ({_line(error)}): a model can be cut "
                "where the way through it does not depend on the numbers in it. Move what does "
                "(if, for, shapes as numbers) into a module of its own, and cut around that"
            ) from error
    learning, judged = traced
    if str(learning.graph) != str(judged.graph):
        raise BadInput(
            f"the forward of {type(model).__name__} does another thing in training than else "
            "(dropout(..., training=self.training), say): take a module for that (nn.Dropout)"
        )
    return judged


def _with_classifier(
    model: nn.Module, traced: _Traced, opened: set[str]
) -> tuple[_Traced, str | None]:
    """A trace, and the linear layer it ends in, looking for that inside the last module."""
    found = traced
    while True:
        node = found.last()
        while _is(node, found.root, _SOFTMAXES):
            node = node.args[0]  # type: ignore[assignment]
        if node.op != "call_module":
            return traced, None
        name = _own_name(str(node.target))
        module = model.get_submodule(name)
        if isinstance(module, nn.Linear):
            used_once = len(found.calls[name]) == 1
            return (found, name) if used_once else (traced, None)
        if not any(True for _ in module.children()):
            return traced, None
        opened = opened | {name}
        try:
            found = _trace(model, opened)
        except BadInput:  # then it stays closed, and is a part of the last cell
            return traced, None


# Cutting.


def _segments(traced: _Traced, names: list[str], cells: int) -> list[Segment]:
    """The first ``cells`` pieces of a model that is cut at ``names``."""
    nodes = list(traced.graph.nodes)
    entry = next(node for node in nodes if node.op == "placeholder")
    values = [entry, *(traced.entering(name) for name in names)]
    below = [_descendants(nodes, value) for value in values]
    _refuse_order(names, values, below)
    moving = below[0] | {entry}
    for name, value, after in zip(names, values[1:], below[1:], strict=True):
        _refuse_crossing(name, value, after, moving)
        if traced.last() not in after:
            raise BadInput(f"a cell can't begin at {name!r}: the model's answer is not made of it")
    ends = [*values[1:], traced.last()]
    found = []
    for name, value, end, own, later in zip(
        ["", *names], values, ends, below, [*below[1:], set()], strict=True
    ):
        calls = [user for user in value.users if user.op == "call_module"]
        found.append(
            Segment(
                begins=name,
                body=_body(traced.root, [n for n in nodes if n in own - later], value, end, moving),
                whole=any(_own_name(str(call.target)) == name for call in calls),
                alone=all(name in _scope(user) for user in value.users),
                enters=_shape(value),
                made=_shape(_unflattened(end, traced.root)),
            )
        )
    return found[:cells]


def _body(
    root: nn.Module, own: list[fx.Node], enters: fx.Node, leaves: fx.Node, moving: set[fx.Node]
) -> fx.GraphModule:
    """A graph of the nodes ``own``, with what they need of weights and constants."""
    graph = fx.Graph()
    table = {enters: graph.placeholder("x")}

    def copied(node: fx.Node) -> fx.Node:
        if node not in table:  # what depends on no input is copied when it is first needed
            assert node in own or node not in moving
            table[node] = graph.node_copy(node, copied)
        return table[node]

    for node in own:
        if node.op != "output":
            copied(node)
    graph.output(table[leaves])
    return fx.GraphModule(root, graph)


def _descendants(nodes: list[fx.Node], of: fx.Node) -> set[fx.Node]:
    found: set[fx.Node] = set()
    for node in nodes:
        if any(argument is of or argument in found for argument in node.all_input_nodes):
            found.add(node)
    return found


def _refuse_names(model: nn.Module, cuts: Sequence[str]) -> None:
    if isinstance(cuts, str):
        raise BadInput(f"cuts is a list of names, and came as {cuts!r}: take [{cuts!r}]")
    known = {name for name, _ in model.named_modules() if name}
    for cut in cuts:
        if cut not in known:
            raise BadInput(
                f"{type(model).__name__} has no module {cut!r} to begin a cell at: "
                f"{nearest(str(cut), known)}"
            )
        if list(cuts).count(cut) > 1:
            raise BadInput(f"cuts names {cut!r} {list(cuts).count(cut)} times: once is enough")


def _refuse_order(names: list[str], values: list[fx.Node], below: list[set[fx.Node]]) -> None:
    for number, name in enumerate(names):
        before, value = values[number], values[number + 1]
        if value is before:
            raise BadInput(
                f"nothing lies between {names[number - 1]!r} and {name!r}: leave one of them out"
                if number
                else f"the first cell begins at {name!r} as it is: leave that out of cuts"
            )
        if value not in below[number]:
            place = {node: number for number, node in enumerate(value.graph.nodes)}
            order = [n for _, n in sorted(zip(map(place.get, values[1:]), names, strict=True))]
            raise BadInput(
                f"cuts are out of order: what enters {name!r} is not made of what enters "
                f"{names[number - 1]!r}. The model calls them as {order}"
                if number
                else f"a cell can't begin at {name!r}: what enters it is not made of the input"
            )


def _refuse_crossing(name: str, value: fx.Node, after: set[fx.Node], moving: set[fx.Node]) -> None:
    """Raise BadInput where something after a cut is made of what came before it, past the cut."""
    for node in value.graph.nodes:
        for argument in node.all_input_nodes if node in after else ():
            if argument in moving and argument is not value and argument not in after:
                raise BadInput(
                    f"a cell can't begin at {name!r}: {describe(argument)} also goes to "
                    f"{describe(node)}, past that cut. Cut where one value carries everything, "
                    "such as at the module that holds both"
                )


# Words and shapes.


def describe(node: fx.Node) -> str:
    """A step of a graph in a user's words: the module it calls, or the function and where."""
    if node.op == "placeholder":
        return "the input"
    if node.op == "output":
        return "the model's answer"
    if node.op == "call_module":
        return repr(_own_name(str(node.target)))
    called = getattr(node.target, "__name__", str(node.target))
    scope = _scope(node)[-1:]
    return f"{called}() in {scope[0]!r}" if scope and scope[0] else f"{called}() in forward"


def _scope(node: fx.Node) -> list[str]:
    """Names of the modules that a node is in, the outermost first."""
    stack = node.meta.get("nn_module_stack", {})
    return [_own_name(name) for name, _ in stack.values()]


def _own_name(name: str) -> str:
    """A module's name in the model, from that in :class:`_Whole`."""
    return name.removeprefix("model").removeprefix(".")


def _parents(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[:count]) for count in range(len(parts))]


def _shape(node: fx.Node) -> tuple[int, ...]:
    meta = node.meta.get("tensor_meta")
    shape = getattr(meta, "shape", None)
    if shape is None or len(shape) < 2:
        raise BadInput(
            f"between two cells passes one tensor, a row or more a sample, and {describe(node)} "
            f"gives {'a tensor ' + str(tuple(shape)) if shape is not None else 'something else'}"
        )
    return tuple(shape[1:])


def _unflattened(node: fx.Node, root: nn.Module) -> fx.Node:
    """The value before it was only flattened."""
    while _is(node, root, _RESHAPES):
        before = node.args[0]
        if not isinstance(before, fx.Node) or prod(_shape(before)) != prod(_shape(node)):
            break
        node = before
    return node


def _is(node: fx.Node, root: nn.Module, what: tuple[Any, ...]) -> bool:
    if node.op == "call_module":
        kinds = tuple(kind for kind in what if isinstance(kind, type))
        return isinstance(root.get_submodule(str(node.target)), kinds)
    return node.op in ("call_function", "call_method") and node.target in what


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
