"""Text as data, n-grams and roll-outs, each against a slow reference; what is refused; generate."""

import math
import os
from collections import Counter
from pathlib import Path

import pytest
import torch
from command import onward
from texts import made_text, sentences, text_file
from torch import Tensor

from onward import BadInput, characters, data, ngrams, record, windows
from onward.data import sources
from onward.data.text import SYMBOLS, folded

REAL = Path(os.environ.get("ONWARD_DATA") or "the folder that ONWARD_DATA should name").absolute()


def spelled(codes: Tensor) -> str:
    return "".join(SYMBOLS[code] for code in codes.tolist())


def test_windows_are_those_of_the_text_in_three_contiguous_parts(tmp_path: Path) -> None:
    loaded = data.load(path=text_file(tmp_path))
    text, dropped = folded(sentences(60))
    assert (loaded.name, loaded.origin, loaded.shape) == ("story", "file", (10, 30))
    assert (loaded.classes, loaded.symbols, len(loaded.label_names)) == (30, SYMBOLS, 30)
    assert not dropped
    cuts = [0, len(text) * 8 // 10, len(text) * 9 // 10, len(text)]
    for split, a, b in zip(
        (loaded.train, loaded.validation, loaded.test), cuts[:-1], cuts[1:], strict=True
    ):
        part = text[a:b]
        assert len(split) == len(part) - 10
        for n in range(len(split)):
            assert spelled(split.x[n].argmax(1)) == part[n : n + 10]
            assert SYMBOLS[int(split.y[n])] == part[n + 10]
        assert torch.equal(split.x.sum(2), torch.ones(len(split), 10))
    # Ten symbols to a window, and no more memory than the symbols themselves.
    assert loaded.train.x.untyped_storage().nbytes() == cuts[1] * 30 * 4 - 30 * 4 + 120


def test_what_is_dropped_is_counted_and_said(tmp_path: Path) -> None:
    path = tmp_path / "odd.txt"
    path.write_text("Ça va? «Oui»\t\n  it's ﬁne – 7 times.\n" * 20, encoding="utf-8-sig")
    text, dropped = folded(path.read_text(encoding="utf-8-sig"))
    assert text.startswith('ca va "oui" its fine times. ca va')
    assert dropped == Counter({"?": 20, "'": 20, "–": 20, "7": 20})
    loaded = data.load(path=path)
    assert loaded.note == f"{len(text):,} symbols; 12.5 % of the characters dropped: " + (
        "? 20, ' 20, – 20, 7 20"
    )
    assert loaded.describe()["symbols"] == SYMBOLS
    assert "symbols" not in data.load("synthetic").describe()


REFUSED: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "is empty; wanted a text of 300 characters or more"),
    "blank": (b" \n\n", "is empty"),
    "short": (b"the fox " * 30, "holds 240 of the symbols a to z"),
    "binary": (b"text\0more" * 99, "is no text: byte 4 is zero"),
    "utf-16": ("the fox".encode("utf-16") * 99, "is UTF-16 by its first bytes"),
    "latin-1": ("tr\xe8s bien".encode("latin-1") * 99, "is not UTF-8 (byte 2 is 0xe8)"),
    "other letters": (("Лиса и виноград " * 200).encode(), "are none of the 30 symbols"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_files_that_are_no_text(name: str, tmp_path: Path) -> None:
    content, told = REFUSED[name]
    path = tmp_path / "file.txt"
    path.write_bytes(content)
    with pytest.raises(BadInput) as refused:
        data.load(path=path)
    assert told in str(refused.value)
    assert str(path) in str(refused.value)


def test_where_a_named_text_comes_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ONWARD_DATA", raising=False)
    monkeypatch.setattr(sources, "cache_folder", lambda: tmp_path / "cache")
    for ask in (lambda: data.load("aesop"), lambda: data.verify("aesop")):
        with pytest.raises(BadInput, match=r"put aesop.txt into a folder called aesop"):
            ask()
    with pytest.raises(BadInput, match=r"put aesop\.txt"):
        data.download("aesop")
    with pytest.raises(BadInput, match=r"there is no file .*gone.txt; wanted a text file"):
        data.load("aesop", tmp_path / "gone.txt")
    with pytest.raises(BadInput, match=r"wanted one with aesop.txt, or a text file"):
        data.load("aesop", tmp_path / "nowhere")
    (tmp_path / "aesop").mkdir()
    text_file(tmp_path).rename(tmp_path / "aesop" / "aesop.txt")
    (tmp_path / "aesop" / "NOTE.txt").write_text("made up")
    by_folder, by_parent = data.load("aesop", tmp_path / "aesop"), data.load("aesop", tmp_path)
    any_name = tmp_path / "book"
    any_name.write_bytes((tmp_path / "aesop" / "aesop.txt").read_bytes())
    by_file = data.load("aesop", any_name)
    assert {d.fingerprint() for d in (by_folder, by_parent, by_file)} == {by_file.fingerprint()}
    assert (by_folder.name, by_file.name) == ("aesop", "book")
    assert (by_folder.note or "").endswith("; made up")
    monkeypatch.setenv("ONWARD_DATA", str(tmp_path))
    assert data.load("aesop").fingerprint() == by_file.fingerprint()
    assert "of shape 10 x 30, values from 0 to 1, 30 classes" in data.verify("aesop")
    assert "by its length" in onward("data").out


def test_the_real_fables() -> None:
    if not (REAL / "aesop").is_dir():
        pytest.skip(f"no aesop in {REAL}; set ONWARD_DATA to a folder that holds it")
    loaded = data.load("aesop", REAL)
    assert spelled(loaded.train.x[0].argmax(1)) == "the fox an"
    share = loaded.train.y.bincount(minlength=30).double() / len(loaded.train)
    assert SYMBOLS[int(share.argmax())] == " "
    assert 0.15 < float(share.max()) < 0.25


# Counting.


def test_ngrams_are_those_of_a_slow_reference() -> None:
    rng, kinds = torch.Generator().manual_seed(0), 4
    text = torch.randint(0, kinds - 1, (60,), generator=rng).tolist()
    seen = [text[i : i + 5] for i in range(50)]
    after = [text[i + 5] for i in range(50)]
    asked = [[0, 1, 2, 0, 1], [3, 3, 3, 3, 3], [1, 0, 3, 2, 0]]

    def p(symbol: int, window: list[int], n: int) -> float:
        if n == 0:
            return 1 / kinds
        h = window[len(window) - (n - 1) :]
        pairs = zip(seen, after, strict=True)
        follows = [c for w, c in pairs if w[len(w) - (n - 1) :] == h]
        lower = p(symbol, window, n - 1)
        if not follows:
            return lower
        different = len(set(follows))
        return (follows.count(symbol) + different * lower) / (len(follows) + different)

    came = ngrams.probabilities(
        torch.tensor(seen), torch.tensor(after), torch.tensor(asked), kinds, 4
    )
    for n, each in enumerate(came, 1):
        wanted = [[p(symbol, window, n) for symbol in range(kinds)] for window in asked]
        torch.testing.assert_close(each, torch.tensor(wanted, dtype=torch.float64))
        torch.testing.assert_close(each.sum(1), torch.ones(3, dtype=torch.float64))


def test_bits_are_minus_log2_of_what_came() -> None:
    logs = torch.tensor([[0.7, 0.2, 0.1], [0.25, 0.5, 0.25]]).log()
    found = characters.measured(logs, torch.tensor([0, 2]))
    assert found["accuracy"] == 0.5
    assert math.isclose(found["bits"], (-math.log2(0.7) + 2) / 2, rel_tol=1e-6)


# Roll-outs.


def markov(x: Tensor) -> Tensor:
    """Scores that look at the first and the last symbol of a window."""
    return 3 * torch.roll(x[:, -1], 1, 1) + x[:, 0]


def test_roll_outs_are_those_of_a_slow_reference() -> None:
    begun = windows.spread(torch.tensor([[0, 1, 2], [3, 3, 0]]), 4)
    came = windows.roll_out(begun, 6, markov, torch.Generator().manual_seed(5))
    rng, strings = torch.Generator().manual_seed(5), [[0, 1, 2], [3, 3, 0]]
    for _ in range(6):
        last = torch.tensor([string[-3:] for string in strings])
        scores = markov(torch.nn.functional.one_hot(last, 4).float())
        e = torch.empty(2, 4).exponential_(generator=rng)
        for n, string in enumerate(strings):
            keys = [float(scores[n, k]) - math.log(float(e[n, k])) for k in range(4)]
            string.append(keys.index(max(keys)))
    assert came.tolist() == [string[3:] for string in strings]


def test_symbols_are_drawn_as_the_softmax_says() -> None:
    scores = torch.tensor([[0.0, 1.0, 2.0]]).expand(20_000, 3)
    for temperature in (1.0, 0.5):
        drawn = windows.draw(scores, torch.Generator().manual_seed(0), temperature)
        share = drawn.bincount(minlength=3) / len(drawn)
        assert torch.allclose(share, (scores[0] / temperature).softmax(0), atol=0.015)
    assert bool((windows.draw(scores, torch.Generator(), 0) == 2).all())


# The command.

TEXT = (
    *("--width", "20", "--cells", "2", "--epochs", "2", "--strings", "5", "--batch", "50"),
    *("--threads", "1"),
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small run on text, with its control. Not to be changed."""
    folder = tmp_path_factory.mktemp("text")
    words = ("run", "ff-aesop", *TEXT, "--data", text_file(folder), "--out", folder / "run")
    done = onward(*words)
    assert done.code == 0, done.err
    assert "ff-aesop on story, frozen" in done.out
    assert "bits a character: linear readout" in done.out
    return folder / "run"


def test_a_run_tells_of_the_text_beside_counting(trained: Path) -> None:
    told = record.read(trained)
    assert told["data"]["name"] == "story"
    assert told["command"].endswith("--threads 1 --data story.txt")
    assert (told["data"]["train"], told["data"]["symbols"]) == (5 * 90, SYMBOLS)
    found = told["text"]["test"]
    assert found["samples"] == told["data"]["test"]
    assert math.isclose(1 - found["linear"]["accuracy"], told["test_error"]["linear"])
    assert [gram["n"] for gram in found["ngrams"]] == [1, 2, 3, 4, 5]
    assert found["ngrams"][2]["bits"] < found["ngrams"][0]["bits"]
    assert record.read(trained / "frozen")["text"]["test"]["ngrams"] == found["ngrams"]
    page = (trained / "report.html").read_text()
    assert "Next characters of the test text" in page
    assert "counted 3-gram" in page
    story = made_text()
    assert told["text"]["sample"]["prompt"] == spelled(story.test.x[0].argmax(1))
    assert len(told["text"]["sample"]["text"]) == 200


def test_generate(trained: Path) -> None:
    def text(*words: object) -> str:
        done = onward("generate", trained, *words)
        assert done.code == 0, done.err
        assert done.out.endswith("\n")
        return done.out[:-1]

    start = record.read(trained)["text"]["sample"]["prompt"]
    whole = text()
    assert len(whole) == 10 + 300
    assert whole.startswith(start)
    assert set(whole) <= set(SYMBOLS)
    assert text("--seed", 0) == whole != text("--seed", 1)
    assert text("--length", 7) == whole[:17]
    begun = text("--prompt", "The fox and the Grapes", "--length", 5)
    assert begun.startswith("the fox and the grapes")
    assert len(begun) == 22 + 5
    assert text("--prompt", "a", "--length", 3).startswith("a")
    likely = ("--temperature", 0, "--length", 40)
    assert text(*likely, "--seed", 1) == text(*likely, "--seed", 2)
    dropped = onward("generate", trained, "--prompt", "Stop!", "--length", 2)
    assert dropped.out.startswith("stop")
    assert "dropped from the prompt, being none of the symbols: !" in dropped.err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--length", 0), "--length wants 1 to 1,000,000 characters, and is 0"),
        (("--seed", -1), "--seed wants 0 or more"),
        (("--temperature", "-1"), "--temperature wants a number from 0 up"),
        (("--temperature", "nan"), "--temperature wants a number from 0 up"),
        (("--prompt", "!?"), "--prompt wants letters a to z"),
        (("--length", "many"), "--length"),
    ],
)
def test_generate_refuses(trained: Path, words: tuple[object, ...], told: str) -> None:
    assert told in onward("generate", trained, *words).complaint


def test_generate_refuses_runs_on_other_data(finished: Path, tmp_path: Path) -> None:
    told = onward("generate", finished).complaint
    assert "holds a run on synthetic, and that is no text" in told
    assert "record.json" in onward("generate", tmp_path).complaint


def test_eval_on_another_text_reads_the_same_symbols(trained: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.txt"
    other.write_text(sentences(40, seed=9))
    done = onward("eval", trained, "--data", other)
    assert done.code == 0, done.err
    assert "other, " in done.out
    assert onward("eval", trained).out.startswith("story, ")


def test_backprop_on_the_same_text_and_other_recipes(trained: Path, tmp_path: Path) -> None:
    story = trained.parent / "story.txt"
    words = (
        "--data",
        story,
        "--epochs",
        1,
        "--width",
        12,
        "--threads",
        1,
        "--out",
        tmp_path / "bp",
    )
    done = onward("run", "bp-mnist", *words)
    assert done.code == 0, done.err
    assert record.read(tmp_path / "bp")["text"]["test"]["linear"]["bits"] > 0
    assert len(onward("generate", tmp_path / "bp", "--length", 5).out) == 16
