"""The precision that products are to be taken in, as the context says."""

import torch
from torch import Tensor


def narrow(x: Tensor) -> Tensor:
    """A factor as products take it: in bf16 where the context says so, else as it is."""
    device = x.device.type
    return x.to(torch.get_autocast_dtype(device)) if torch.is_autocast_enabled(device) else x
