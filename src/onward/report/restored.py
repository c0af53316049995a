"""What unsupervised cells restore: the pictures a run has left, on its page and as one sheet.

The file holds samples and what cells restore of them as bytes [n, C, H, W], filters [F, C, h, w]
and latents [n, M, h, w] or [n, h, w] as half floats. A run without it, or with a damaged one, only
lacks the section.
"""

import base64
import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .fields import NEGATIVE, POSITIVE, picture
from .tables import escape

FILE = "pictures.safetensors"
SAMPLES, RESTORED, FILTERS, MAPS, LATENTS = "samples", "restored-", "filters", "maps", "latents"
NOTES = "notes"

Pictures = Mapping[str, npt.NDArray[Any]]


def read(folder: Path) -> tuple[Pictures, Mapping[str, str]]:
    """The pictures in a run's folder, and what to say of them; nothing where they can't be read."""
    from safetensors import safe_open

    try:
        with safe_open(folder / FILE, framework="numpy") as tensors:
            found = {key: tensors.get_tensor(key) for key in tensors.keys()}  # noqa: SIM118
            notes = json.loads((tensors.metadata() or {}).get(NOTES, "{}"))
        return _checked(found), {str(k): str(v) for k, v in notes.items()}
    except Exception:  # a damaged file fails in many ways, and none may cost the page
        return {}, {}


def _checked(found: Pictures) -> Pictures:
    """The pictures as they are, if they are of the shapes that they should be."""
    for key, values in found.items():
        if key == LATENTS:
            sound = values.ndim == 3
        elif key == MAPS:
            sound = values.ndim == 4
        else:
            sound = values.ndim == 4 and values.shape[1] in (1, 3)
        if not sound or not values.size:
            raise ValueError(f"{key} has the shape {values.shape}")
    if SAMPLES not in found:
        raise ValueError("there are no samples")
    return found


def section(folder: Path) -> str:
    """Samples, what cells restore of them, filters and latents; empty text without pictures."""
    found, notes = read(folder)
    if not found:
        return ""
    generator = notes.get("restored") == "a generator"
    rows = [_strip("Test samples", found[SAMPLES], "sample")]
    for name, number in _restored(found):
        rows.append(_strip(_told(int(number), generator), found[name], "restored"))
    left = notes.get("left")
    parts = [
        '<figure class="panel"><figcaption>'
        + ("Samples and samples of the generator" if generator else "Samples, and what is restored")
        + f"</figcaption>{''.join(rows)}"
        + '<p class="soft">What a later cell restores is a latent: it is led back to a picture by '
        "the decoders of the cells before it, with the mean and scale that a normalisation took "
        "away put back.</p>"
        + (f'<p class="soft">{escape(left)}.</p>' if left else "")
        + "</figure>"
    ]
    if FILTERS in found:
        parts.append(_signed("What each unit of cell-0 paints", found[FILTERS], "decoder weights"))
    if MAPS in found:
        maps = found[MAPS]
        for sample, shown in enumerate(maps, 1):
            parts.append(_signed(f"Latent maps of sample {sample}", shown, "pooled"))
    if LATENTS in found:
        told = "one rectangle a sample, one field a unit"
        parts.append(_signed("Latents of cell-0", found[LATENTS], told))
    return f'<div class="stack">{"".join(parts)}</div>'


def sheet(folder: Path) -> bytes | None:
    """The same pictures as one PNG: samples, restorations below them, filters, latents."""
    from PIL import Image

    found, _ = read(folder)
    if not found:
        return None
    lines = [list(found[SAMPLES])]
    lines += [list(found[name]) for name, _ in _restored(found)]
    drawn = [[_image(values) for values in line] for line in lines]
    wide = len(found[SAMPLES])
    for key in (FILTERS, MAPS, LATENTS):
        if key in found:
            rows = found[key][0] if key == MAPS else found[key]  # maps of the first sample
            shown = [_painted(values) for values in rows[: 2 * wide]]
            drawn += [shown[at : at + wide] for at in range(0, len(shown), wide)]
    side, gap = 56, 4
    size = (wide * (side + gap) + gap, len(drawn) * (side + gap) + gap)
    whole = Image.new("RGB", size, "white")
    for down, line in enumerate(drawn):
        for across, image in enumerate(line):
            shown_image = image.resize((side, side), Image.Resampling.NEAREST)
            whole.paste(shown_image, (gap + across * (side + gap), gap + down * (side + gap)))
    buffer = io.BytesIO()
    whole.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _restored(found: Pictures) -> Iterator[tuple[str, str]]:
    """(name, number of the cell) of what cells restored, first to last."""
    names = [key for key in found if key.startswith(RESTORED)]
    for name in sorted(names):
        number = name.removeprefix(RESTORED)
        if number.isdecimal():
            yield name, number


def _told(number: int, generator: bool) -> str:
    if generator:
        return f"Samples of the generator of cell-{number}"
    return f"Restored by cell-{number}" + (", by way of those before it" if number else "")


def _strip(title: str, values: npt.NDArray[Any], alt: str) -> str:
    images = "".join(
        f'<img src="{_uri(_image(one))}" alt="" title="{escape(alt)} {number + 1}" loading="lazy">'
        for number, one in enumerate(values)
    )
    return (
        f'<p class="strip soft">{escape(title)}</p><div class="strips" role="img" '
        f'aria-label="{escape(title)}, {len(values)} pictures">{images}</div>'
    )


def _signed(title: str, values: npt.NDArray[Any], told: str) -> str:
    """Numbers of both signs: colours as on the weights of the first cell, each its own scale."""
    images = "".join(
        f'<img src="{picture(_flat(one), _scale(one))}" alt="" title="{number}" loading="lazy">'
        for number, one in enumerate(values)
    )
    return (
        f'<figure class="panel"><figcaption>{escape(title)} <small>{len(values)}, {escape(told)}'
        f'</small></figcaption><div class="fields" role="img" aria-label="{escape(title)}">{images}'
        "</div></figure>"
    )


def _flat(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """[1, h, w] as [h, w]."""
    return values[0] if values.ndim == 3 and values.shape[0] == 1 else values


def _scale(values: npt.NDArray[Any]) -> float:
    size = np.abs(np.nan_to_num(values.astype(np.float32)))
    return float(np.percentile(size, 99)) or float(size.max()) or 1.0


def _image(values: npt.NDArray[Any]) -> Any:
    """Bytes [C, H, W] as a picture, grey or in colours."""
    from PIL import Image

    pixels = np.asarray(values, dtype=np.uint8)
    return Image.fromarray(pixels[0] if pixels.shape[0] == 1 else pixels.transpose(1, 2, 0))


def _painted(values: npt.NDArray[Any]) -> Any:
    """Numbers of both signs on white, in the colours of the page."""
    from PIL import Image

    flat = np.nan_to_num(np.asarray(_flat(values), dtype=np.float32)) / _scale(values)
    flat = np.clip(flat, -1, 1)
    if flat.ndim == 3:
        return Image.fromarray(np.round(127.5 * (1 + flat.transpose(1, 2, 0))).astype(np.uint8))
    colour = np.where(flat[..., None] > 0, POSITIVE, NEGATIVE)
    share = np.abs(flat)[..., None]
    return Image.fromarray(np.round(255 * (1 - share) + colour * share).astype(np.uint8))


def _uri(image: Any) -> str:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
