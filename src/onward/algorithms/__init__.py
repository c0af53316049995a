"""Algorithms: one paper, or one section of one, a file."""

from .clean import Clean
from .collaborative import Collaborative
from .forward_forward import ForwardForward
from .recurrent import RecurrentForwardForward
from .unsupervised import UnsupervisedForwardForward

__all__ = [
    "Clean",
    "Collaborative",
    "ForwardForward",
    "RecurrentForwardForward",
    "UnsupervisedForwardForward",
]
