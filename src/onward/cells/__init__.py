"""Cells: modules with a local loss.  x [B, *D] -> h [B, *F]."""

from .dense import Dense
from .lengths import l2, rms, unchanged
from .peers import PeerNorm

__all__ = ["Dense", "PeerNorm", "l2", "rms", "unchanged"]
