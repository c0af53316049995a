"""Cells: modules with a local loss.  x [B, *D] -> h [B, *F]."""

from .adversarial import Adversarial, Critic
from .autoencoder import AutoEncoder
from .black_box import BehindBox
from .conv_autoencoder import ConvAutoEncoder
from .conv_winners import ConvWinners
from .coupling import Coupling
from .decoders import Decoder
from .dense import Dense
from .lengths import l2, layer_norm, rms, rms_by_place, unchanged
from .local_fields import Fields, LocalFields
from .noise import Corruption
from .peers import PeerNorm
from .piece import Piece
from .recurrent import Recurrent
from .standardise import Standardise
from .untouched import Untouched

__all__ = [
    "Adversarial",
    "AutoEncoder",
    "BehindBox",
    "ConvAutoEncoder",
    "ConvWinners",
    "Corruption",
    "Coupling",
    "Critic",
    "Decoder",
    "Dense",
    "Fields",
    "LocalFields",
    "PeerNorm",
    "Piece",
    "Recurrent",
    "Standardise",
    "Untouched",
    "l2",
    "layer_norm",
    "rms",
    "rms_by_place",
    "unchanged",
]
