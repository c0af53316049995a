"""Inputs for prediction: what is read, in which scale, and what is refused."""

import pickle
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from onward.errors import BadInput
from onward.inputs import read_inputs

GREY = (1, 4, 6)
COLOUR = (3, 4, 6)


def picture(
    path: Path, mode: str = "L", size: tuple[int, int] = (6, 4), **save: Any
) -> Image.Image:
    channels = len(Image.new(mode, (1, 1)).getbands())
    pixels = np.random.RandomState(0).randint(0, 256, (size[1], size[0], channels), np.uint8)
    image = Image.fromarray(pixels.squeeze(2) if channels == 1 else pixels, mode)
    image.save(path, **save)
    return image


def saved(path: Path, array: Any, **options: Any) -> Path:
    np.save(path, array, **options)
    return path


def refused(path: Path, shape: tuple[int, ...], *words: str) -> None:
    with pytest.raises(BadInput) as caught:
        read_inputs(path, shape)
    text = str(caught.value)
    assert "\n" not in text
    assert ";" in text, "what to do is missing"
    for word in words:
        assert word in text


@pytest.mark.parametrize(
    ("came", "shape"),
    [
        ((5, 1, 4, 6), GREY),
        ((5, 24), GREY),
        ((5, 4, 6), GREY),
        ((5, 4, 6, 1), GREY),
        ((5, 3, 4, 6), COLOUR),
        ((5, 72), COLOUR),
        ((5, 7), (7,)),
        ((1, 1, 4, 6), GREY),
    ],
)
def test_arrays_of_every_layout(
    tmp_path: Path, came: tuple[int, ...], shape: tuple[int, ...]
) -> None:
    array = np.random.RandomState(0).randn(*came)
    names, x = read_inputs(saved(tmp_path / "rows.npy", array), shape)
    assert names == [f"rows.npy[{row}]" for row in range(came[0])]
    assert x.dtype == torch.float32
    assert torch.equal(x, torch.from_numpy(array.astype(np.float32)).reshape(-1, *shape))


def test_channels_last_are_moved(tmp_path: Path) -> None:
    array = np.random.RandomState(0).rand(2, 4, 6, 3).astype(np.float32)
    _, x = read_inputs(saved(tmp_path / "rows.npy", array), COLOUR)
    assert torch.equal(x, torch.from_numpy(array).permute(0, 3, 1, 2))


def test_bytes_are_divided_by_255_and_floats_are_kept(tmp_path: Path) -> None:
    array = np.arange(24, dtype=np.uint8).reshape(1, 24)
    _, x = read_inputs(saved(tmp_path / "bytes.npy", array), GREY)
    assert torch.equal(x.flatten(), torch.arange(24) / 255)
    _, x = read_inputs(saved(tmp_path / "floats.npy", array.astype(">f8") * 100), GREY)
    assert x.flatten()[-1] == 2300


def test_npz_takes_x_or_the_only_array(tmp_path: Path) -> None:
    array = np.random.RandomState(0).rand(2, 24).astype(np.float32)
    np.savez(tmp_path / "a.npz", x=array, names=np.arange(2))
    np.savez_compressed(tmp_path / "b.npz", pixels=array)
    np.savez(tmp_path / "c.npz", first=array, second=array)
    for name in ("a.npz", "b.npz"):
        names, x = read_inputs(tmp_path / name, GREY)
        assert names == [f"{name}[0]", f"{name}[1]"]
        assert torch.equal(x, torch.from_numpy(array).reshape(2, *GREY))
    refused(tmp_path / "c.npz", GREY, "c.npz", "first, second", "key x")


@pytest.mark.parametrize("suffix", [".png", ".PNG", ".bmp"])
def test_an_image(tmp_path: Path, suffix: str) -> None:
    image = picture(tmp_path / f"seven{suffix}", format=suffix[1:].upper())
    names, x = read_inputs(str(tmp_path / f"seven{suffix}"), GREY)
    assert names == [f"seven{suffix}"]
    assert x.shape == (1, *GREY)
    assert torch.equal(x[0, 0], torch.from_numpy(np.asarray(image, np.float32)) / 255)


def test_images_are_turned_to_the_wanted_channels(tmp_path: Path) -> None:
    image = picture(tmp_path / "colour.png", "RGB")
    _, x = read_inputs(tmp_path / "colour.png", COLOUR)
    pixels = torch.from_numpy(np.asarray(image, np.float32)) / 255
    assert torch.equal(x[0], pixels.permute(2, 0, 1))
    _, x = read_inputs(tmp_path / "colour.png", GREY)
    assert torch.equal(x[0, 0], torch.from_numpy(np.asarray(image.convert("L"), np.float32)) / 255)
    picture(tmp_path / "grey.png", "L")
    _, x = read_inputs(tmp_path / "grey.png", COLOUR)
    assert torch.equal(x[0, 0], x[0, 2])
    picture(tmp_path / "photo.jpg", "RGB")
    assert read_inputs(tmp_path / "photo.jpg", COLOUR)[1].shape == (1, *COLOUR)
    picture(tmp_path / "alpha.png", "RGBA")
    assert read_inputs(tmp_path / "alpha.png", (4, 4, 6))[1].shape == (1, 4, 4, 6)


def test_an_opaque_alpha_channel_is_dropped_and_a_transparent_one_refused(tmp_path: Path) -> None:
    image = picture(tmp_path / "plain.png", "RGB")
    image.putalpha(255)
    image.save(tmp_path / "opaque.png")
    plain, opaque = (
        read_inputs(tmp_path / f"{name}.png", COLOUR)[1] for name in ("plain", "opaque")
    )
    assert torch.equal(plain, opaque)
    image.putalpha(254)
    image.save(tmp_path / "glass.png")
    refused(tmp_path / "glass.png", COLOUR, "glass.png", "transparent")
    refused(tmp_path / "glass.png", GREY, "transparent")


def test_a_turned_photograph_is_read_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees to see it upright
    picture(tmp_path / "turned.png", size=(4, 6), exif=exif)
    assert read_inputs(tmp_path / "turned.png", GREY)[1].shape == (1, *GREY)
    refused(tmp_path / "turned.png", (1, 6, 4), "6 pixels wide and 4 high")


def test_a_folder_is_read_in_the_order_of_names(tmp_path: Path) -> None:
    for name in ("b.png", "a.bmp", "c.JPG"):
        picture(tmp_path / name, format={"b": "PNG", "a": "BMP", "c": "JPEG"}[name[0]])
    (tmp_path / "README.txt").write_text("passed over")
    (tmp_path / ".hidden.png").write_text("passed over")
    (tmp_path / "folder.png").mkdir()
    names, x = read_inputs(tmp_path, GREY)
    assert names == ["a.bmp", "b.png", "c.JPG"]
    assert x.shape == (3, *GREY)
    assert torch.equal(x[1], read_inputs(tmp_path / "b.png", GREY)[1][0])


def test_missing_and_unknown_files(tmp_path: Path) -> None:
    refused(tmp_path / "nothing.npy", GREY, "no file or folder", "nothing.npy", "wanted")
    (tmp_path / "rows.txt").write_text("1,2,3")
    refused(tmp_path / "rows.txt", GREY, "rows.txt", ".npy", ".png", ".csv")
    empty = tmp_path / "empty"
    empty.mkdir()
    refused(empty, GREY, "no images", "PNG")


@pytest.mark.parametrize(
    ("size", "words"),
    [
        ((4, 6), "4 pixels wide and 6 high, wanted 6 wide and 4 high"),
        ((12, 8), "12 pixels wide and 8 high"),
    ],
)
def test_an_image_of_another_size(tmp_path: Path, size: tuple[int, int], words: str) -> None:
    picture(tmp_path / "other.png", size=size)
    refused(tmp_path / "other.png", GREY, "other.png", words, "resize")


def test_unreadable_images(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no picture")
    refused(tmp_path / "text.png", GREY, "text.png", "cannot be read")
    picture(tmp_path / "whole.png", size=(6, 4))
    whole = (tmp_path / "whole.png").read_bytes()
    folder = tmp_path / "cut"
    folder.mkdir()
    for length in range(0, len(whole) - 25, 5):  # the last bytes are sums and the word "end"
        (folder / "cut.png").write_bytes(whole[:length])
        refused(folder, GREY, "cut.png", "cannot be read")
    picture(tmp_path / "disguised.gif", "L")
    (tmp_path / "disguised.gif").rename(tmp_path / "disguised.png")
    refused(tmp_path / "disguised.png", GREY, "disguised.png")


def test_an_absurdly_large_image_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    whole = bytearray(b"BM" + struct.pack("<IHHI", 54, 0, 0, 54))
    for side in (10_000, 30_000):
        header = struct.pack("<IiiHHIIiiII", 40, side, side, 1, 24, 0, 0, 0, 0, 0, 0)
        (tmp_path / "huge.bmp").write_bytes(bytes(whole) + header)
        refused(tmp_path / "huge.bmp", COLOUR, "huge.bmp")


def test_an_image_deeper_than_8_bits(tmp_path: Path) -> None:
    Image.fromarray(np.full((4, 6), 300, np.uint16)).save(tmp_path / "deep.png")
    refused(tmp_path / "deep.png", GREY, "deep.png", "8 bits")


def test_an_image_for_a_network_on_rows(tmp_path: Path) -> None:
    picture(tmp_path / "seven.png")
    refused(tmp_path / "seven.png", (24,), "shape [24]", "[N, 24]")
    refused(tmp_path / "seven.png", (2, 4, 6), "shape [2, 4, 6]")


@pytest.mark.parametrize("came", [(5, 23), (24,), (4, 6), (0, 24), (5, 6, 4), (), (2, 2, 4, 6)])
def test_arrays_of_another_shape(tmp_path: Path, came: tuple[int, ...]) -> None:
    path = saved(tmp_path / "rows.npy", np.zeros(came, np.float32))
    refused(path, GREY, "rows.npy", str(list(came)), "[N, 1, 4, 6], [N, 24] or [N, 4, 6]")


def test_a_single_input_without_its_first_axis(tmp_path: Path) -> None:
    refused(saved(tmp_path / "one.npy", np.zeros((4, 6))), GREY, "x[None]")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300])
def test_numbers_that_are_not_finite(tmp_path: Path, value: float) -> None:
    array = np.zeros((4, 24))
    array[2, 7] = value
    refused(saved(tmp_path / "rows.npy", array), GREY, "NaN or infinity", "row 2")


@pytest.mark.parametrize("kind", ["int64", "bool", "complex64", "U3"])
def test_arrays_of_another_type(tmp_path: Path, kind: str) -> None:
    refused(saved(tmp_path / "rows.npy", np.zeros((2, 24), kind)), GREY, "float", "uint8", "astype")


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    objects = np.array([{"a": 1}, None], dtype=object)
    refused(saved(tmp_path / "o.npy", objects, allow_pickle=True), GREY, "o.npy", "pickled")
    np.savez(tmp_path / "o.npz", x=objects)
    refused(tmp_path / "o.npz", GREY, "o.npz", "pickled")
    (tmp_path / "p.npy").write_bytes(pickle.dumps([1, 2, 3]))
    refused(tmp_path / "p.npy", GREY, "p.npy", "pickled")


def test_damaged_arrays(tmp_path: Path) -> None:
    path = saved(tmp_path / "rows.npy", np.zeros((5, 24)))
    whole = path.read_bytes()
    for length in (0, 3, 60, len(whole) - 1):
        path.write_bytes(whole[:length])
        refused(path, GREY, "rows.npy")
    np.savez(tmp_path / "rows.npz", x=np.zeros((5, 24)))
    whole = (tmp_path / "rows.npz").read_bytes()
    for length in (0, 3, 60, len(whole) - 1):
        (tmp_path / "rows.npz").write_bytes(whole[:length])
        refused(tmp_path / "rows.npz", GREY, "rows.npz")
    damaged = bytearray(whole)
    damaged[400] ^= 1
    (tmp_path / "rows.npz").write_bytes(damaged)
    refused(tmp_path / "rows.npz", GREY, "rows.npz", "cannot be read")
    with zipfile.ZipFile(tmp_path / "rows.npz", "w") as archive:
        archive.writestr("x.npy", b"no array")
    refused(tmp_path / "rows.npz", GREY, "rows.npz")
    with zipfile.ZipFile(tmp_path / "rows.npz", "w"):
        pass
    refused(tmp_path / "rows.npz", GREY, "nothing", "key x")


def test_a_header_that_claims_too_much_is_refused_unread(tmp_path: Path) -> None:
    with (tmp_path / "vast.npy").open("wb") as file:
        header = {"descr": "<f4", "fortran_order": False, "shape": (1 << 40, 24)}
        np.lib.format.write_array_header_1_0(file, header)
    refused(tmp_path / "vast.npy", GREY, "vast.npy")
