"""Algorithms: one paper, or one section of one, a file."""

from .clean import Clean
from .collaborative import Collaborative
from .forward_forward import ForwardForward
from .hybrid import HybridForwardForward
from .recurrent import RecurrentForwardForward
from .sequences import Sequences
from .unsupervised import UnsupervisedForwardForward

__all__ = [
    "Clean",
    "Collaborative",
    "ForwardForward",
    "HybridForwardForward",
    "RecurrentForwardForward",
    "Sequences",
    "UnsupervisedForwardForward",
]
