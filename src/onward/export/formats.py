"""The formats: a graph as bytes, and those bytes read back as a function of x.

    onnx          the graph, read back by onnxruntime
    pt2           torch.export's own archive, read back by torch.export.load
    safetensors   the weights only; a JSON file beside it says what they are weights of

Nothing here asks a file from elsewhere to be read: each is read back from the bytes just made.
"""

import io
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor, nn

from ..errors import BadInput
from .graph import Prediction

Answer = Callable[[Tensor], Tensor]
"""What was read back: x [B, *D] -> [B, K] or [B]."""

_NEEDED = ("onnx", "onnxscript", "onnxruntime")


def onnx(prediction: Prediction, x: Tensor) -> tuple[bytes, Answer]:
    """An ONNX model with the input ``x`` and one output.  x [B, *D] is an example, B >= 2.

    Raises BadInput where onnx, onnxscript or onnxruntime is not installed.
    """
    try:
        for name in _NEEDED:
            __import__(name)
        import onnxruntime
    except ImportError as error:
        raise BadInput(
            f"--to onnx needs {', '.join(_NEEDED)}, and {error.name} is not installed: "
            "pip install 'onward[export]'"
        ) from error
    traced = _traced(prediction.graph, x)
    with _quiet():
        program = torch.onnx.export(
            traced, dynamo=True, input_names=["x"], output_names=[prediction.output], verbose=False
        )
    assert program is not None
    written = program.model_proto
    _name_batch(written.graph)
    content = written.SerializeToString()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return content, lambda x: torch.from_numpy(session.run(None, {"x": x.numpy()})[0])


def _name_batch(graph: Any) -> None:
    """The free axis is called by what it is, not by the tracer's own symbol."""
    symbol = graph.input[0].type.tensor_type.shape.dim[0].dim_param
    for value in (*graph.input, *graph.output, *graph.value_info):
        for axis in value.type.tensor_type.shape.dim:
            if axis.dim_param == symbol:
                axis.dim_param = "batch"


def pt2(prediction: Prediction, x: Tensor) -> tuple[bytes, Answer]:
    """An archive of torch.export.  x [B, *D] is an example, B >= 2."""
    traced, buffer = _traced(prediction.graph, x), io.BytesIO()
    traced.example_inputs = None  # no samples in the archive, where they would be a pickle
    with _quiet():
        torch.export.save(traced, buffer)
        again: nn.Module = torch.export.load(io.BytesIO(buffer.getvalue())).module()
    return buffer.getvalue(), again


def safetensors(prediction: Prediction, x: Tensor) -> tuple[bytes, Answer]:
    """The graph's weights and buffers by their names in it."""
    tensors = {k: v.detach().cpu().contiguous() for k, v in prediction.graph.state_dict().items()}
    content = save(tensors)
    again = deepcopy(prediction.graph)
    for tensor in again.state_dict().values():
        tensor.zero_()  # so that what is not in the file is missed
    again.load_state_dict(load(content))
    return content, again


FORMATS: dict[str, Callable[[Prediction, Tensor], tuple[bytes, Answer]]] = {
    "onnx": onnx,
    "pt2": pt2,
    "safetensors": safetensors,
}
"""By the name of the format, which is the ending of its files too."""


def _traced(graph: nn.Module, x: Tensor) -> Any:
    """The graph for any batch. Raises BadInput where a cell can't be traced."""
    try:
        with _quiet(), torch.no_grad():
            return torch.export.export(
                graph, (x,), dynamic_shapes=({0: torch.export.Dim("batch")},)
            )
    except Exception as error:  # a cell may be anybody's, and fail in any way
        why = str(error).strip().splitlines() or [type(error).__name__]
        raise BadInput(
            f"this row can't be written as a graph for any batch ({why[0]}): --to safetensors "
            "writes its weights"
        ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what torch tells of libraries that are not needed here, and of its own."""
    log = logging.getLogger("torch.onnx")
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(before)
