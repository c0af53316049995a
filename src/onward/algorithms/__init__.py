"""Algorithms: one paper, or one section of one, a file."""

from .clean import Clean
from .forward_forward import ForwardForward
from .unsupervised import UnsupervisedForwardForward

__all__ = ["Clean", "ForwardForward", "UnsupervisedForwardForward"]
