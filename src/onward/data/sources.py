"""Where the files of named data sets come from: local folders, the cache, the download.

A local folder is read by our own readers, which check magic numbers and sizes: the same images
compressed again have another checksum than the official archive. Only the cache of downloads is
held against the official md5 sums, and only there may a file be replaced.
"""

import hashlib
import os
from pathlib import Path
from types import TracebackType
from urllib.parse import urlsplit

from onward.data.formats import CIFAR_ARCHIVE, CIFAR_TEST, CIFAR_TRAIN
from onward.data.table import SETS, Entry, entry
from onward.errors import BadInput

MIRRORS: dict[str, tuple[str, ...]] = {
    "mnist": (
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ),
    "fashion_mnist": (
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
    ),
    "cifar10": ("https://www.cs.toronto.edu/~kriz/",),
}
"""Base URLs by data set, tried in this order; a file's URL is the base followed by its name."""

ENVIRONMENT = "ONWARD_DATA"

# Seconds to connect and to wait for the next bytes. Short, so that a machine without network
# hears of it soon: a host with several addresses has each of them tried this long.
_TIMEOUT = (2.0, 30.0)
_CHUNK = 1 << 18

_PICKLES = (
    "cifar-10-batches-py",
    "cifar-10-python.tar.gz",
    "batches.meta",
    "test_batch",
    *(name.removesuffix(".bin") for name in CIFAR_TRAIN),
)
_BINARY_WANTED = (
    f"wanted the binary version of CIFAR-10: {CIFAR_TRAIN[0]} to {CIFAR_TRAIN[-1]} and "
    f"{CIFAR_TEST}, or {CIFAR_ARCHIVE} (https://www.cs.toronto.edu/~kriz/{CIFAR_ARCHIVE})"
)


def local_folder(name: str, path: Path) -> Path:
    """The folder that holds the files of `name`: a sub-folder of `path` named for it, or `path`.

    Raises `BadInput` if `path` is no folder, is empty, is named for another data set, or holds
    none of the files, and for the Python pickles of CIFAR-10.
    """
    wanted = entry(name)
    if not wanted.files:
        with_files = ", ".join(other for other, row in SETS.items() if row.files)
        raise BadInput(
            f"{name} needs no files, but the path {path} came with it; leave the path out, or "
            f"name the data set that lies there ({with_files})"
        )
    if path.name in _PICKLES and path.exists():
        raise BadInput(f"{path} holds Python pickles, which are never read; {_BINARY_WANTED}")
    if path.is_file():
        raise BadInput(
            f"{path} is a file, wanted a folder with {_wanted(wanted)}, an .npz file or a text "
            "(.txt); name the folder the file lies in"
        )
    if not path.is_dir():
        raise BadInput(
            f"there is no folder {path}; wanted one with {_wanted(wanted)}, or "
            + ("a text file" if wanted.text else "an .npz file")
        )
    if (found := _search(name, path)) is not None:
        return found
    if _named_for_another(name, path):
        raise BadInput(
            f"{path} is named for {path.absolute().name}, but {name} was asked for; name the "
            "right folder or the right data set"
        )
    inside = _listing(path)
    for folder in (path, *(path / sub for sub in wanted.folders)):
        if name == "cifar10" and any((folder / pickle).exists() for pickle in _PICKLES):
            raise BadInput(f"{folder} holds Python pickles, which are never read; {_BINARY_WANTED}")
    came = f"it holds {', '.join(inside)}" if inside else "it is empty"
    raise BadInput(f"{path} does not hold {name}: wanted {_wanted(wanted)}; {came}")


def find_file(folder: Path, name: str) -> Path:
    """`folder`/`name` or the same with .gz; `BadInput` naming what the folder holds instead."""
    for path in (folder / name, folder / f"{name}.gz"):
        if path.is_file():
            return path
    raise BadInput(
        f"{folder / name} (or .gz) is missing; the folder holds {', '.join(_listing(folder))}; "
        "put all files of the data set there"
    )


def environment_folder(name: str) -> Path | None:
    """The folder with `name` under the folder that ONWARD_DATA names, if it is there."""
    named = os.environ.get(ENVIRONMENT)
    if not named:
        return None
    return _search(name, Path(named).expanduser())


def read_note(folder: Path) -> str | None:
    """The first line of NOTE.txt in a folder of data, at most 200 characters, or None."""
    path = folder / "NOTE.txt"
    if not path.is_file():
        return None
    with path.open(encoding="utf-8", errors="replace") as file:
        return file.readline(200).strip() or None


def cache_folder() -> Path:
    """Where downloads are kept: the operating system's cache folder of this user, `onward`."""
    import pooch

    return Path(pooch.os_cache("onward"))


def is_cached(name: str) -> bool:
    """Whether all files of the download of `name` lie in the cache (their sums are not read)."""
    wanted = entry(name)
    return bool(wanted.downloads) and all(
        (cache_folder() / name / file).is_file() for file in wanted.downloads
    )


def check_sums(name: str) -> None:
    """Hold the cached download of `name` against its md5 sums; `BadInput` naming a damaged file."""
    for file, md5 in entry(name).downloads.items():
        path = cache_folder() / name / file
        with path.open("rb") as stream:
            came = hashlib.file_digest(stream, _md5).hexdigest()
        if came != md5:
            raise BadInput(
                f"{path} is damaged: md5 {came}, wanted {md5}; delete it and download {name} again"
            )


def fetch(name: str) -> Path:
    """Bring the download of `name` into the cache, if it is not there, and return its folder.

    Files that are there with the right sum stay, damaged ones are fetched again. Each file is
    asked of every mirror in turn (once more where it broke off or came with a wrong sum), and
    appears under its name only when complete and with the right sum. Progress goes to
    stderr if that is a terminal. Raises `BadInput` when no mirror gives the file.
    """
    wanted = entry(name)
    if not wanted.downloads:
        raise BadInput(
            f"{name} is not on this machine, and is not offered for download: put "
            f"{', '.join(wanted.files)} into a folder called {name}, and name that folder or the "
            f"file itself with --data PATH, or the folder it is in with {ENVIRONMENT}=PATH"
        )
    mirrors = list(MIRRORS[name])
    for file, md5 in wanted.downloads.items():
        failures: dict[str, str] = {}
        waiting = [(base, True) for base in mirrors]
        while waiting:
            base, again = waiting.pop(0)
            failure = _fetch_file(name, file, md5, base)
            if failure is None:
                # A mirror that works is asked first for the next file.
                mirrors = [base, *(other for other in mirrors if other != base)]
                break
            failures[urlsplit(base).netloc], passing = failure
            if again and passing:
                waiting.append((base, False))
        else:
            reasons = "; ".join(f"{host}: {reason}" for host, reason in failures.items())
            asked = os.environ.get(ENVIRONMENT)
            nothing = f"; no folder {name} lies in {ENVIRONMENT}={asked}" if asked else ""
            raise BadInput(
                f"could not download {file} of {name} ({reasons}{nothing}); put "
                f"{', '.join(wanted.downloads)} into a folder called {name} and name that folder "
                f"with --data PATH or {ENVIRONMENT}=PATH"
            )
    return cache_folder() / name


def _fetch_file(name: str, file: str, md5: str, base: str) -> tuple[str, bool] | None:
    """Try one file at one mirror; why it failed, and whether asking again may help, or None."""
    import pooch

    pooch.get_logger().setLevel("WARNING")
    # Both MNISTs use the same four file names; the folder in the key keeps them apart.
    key = f"{name}/{file}"
    try:
        with _ProgressBar(key) as bar:
            manager = pooch.create(
                path=cache_folder(),
                base_url="",
                urls={key: base + file},
                registry={key: f"md5:{md5}"},
            )
            manager.fetch(
                key,
                downloader=pooch.HTTPDownloader(
                    progressbar=bar, chunk_size=_CHUNK, timeout=_TIMEOUT
                ),
            )
    except (OSError, ValueError) as error:  # what requests raises is an OSError
        from requests.exceptions import ConnectionError as NoConnection

        response = getattr(error, "response", None)
        if response is not None:
            return f"answered {response.status_code}", response.status_code >= 500
        if isinstance(error, NoConnection):
            # Asking again at once would only double the wait on a machine without network.
            return "no connection", False
        if isinstance(error, OSError):
            return error.strerror or f"broke off, {type(error).__name__}", not error.strerror
        return "the file has a wrong checksum", True
    return None


class _ProgressBar:
    """What pooch drives as a progress bar (`total`, `update`, `reset`, `close`), shown by rich."""

    def __init__(self, label: str) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

        console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        # Not shown before the first bytes come: a cached file needs no bar.
        self._task = self._progress.add_task(label, total=None, visible=False)
        self._total = 0

    def __enter__(self) -> "_ProgressBar":
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    @property
    def total(self) -> int:
        return self._total

    @total.setter
    def total(self, size: int) -> None:
        self._total = size
        self._progress.update(self._task, total=size or None, visible=True)

    def update(self, size: int) -> None:
        self._progress.advance(self._task, size)

    def reset(self) -> None:
        self._progress.update(self._task, completed=0)

    def close(self) -> None:
        self._progress.refresh()


def _search(name: str, path: Path) -> Path | None:
    """The first of the sub-folders named for the set and `path` that holds any of its files."""
    wanted = entry(name)
    folders = [path / sub for sub in wanted.folders]
    if not _named_for_another(name, path):
        folders.append(path)
    for folder in folders:
        for file in (*wanted.files, *wanted.downloads):
            if (folder / file).is_file():
                return folder
    return None


def _named_for_another(name: str, path: Path) -> bool:
    """Both MNISTs use the same file names, so nothing but the folder's name tells them apart."""
    called = path.absolute().name
    return called in SETS and called != name and bool(SETS[called].files)


def _listing(folder: Path, most: int = 6) -> list[str]:
    names = sorted(path.name for path in folder.iterdir())
    return names[:most] + (["..."] if len(names) > most else [])


def _wanted(row: Entry) -> str:
    if CIFAR_ARCHIVE in row.downloads:
        return f"{CIFAR_TRAIN[0]} to {CIFAR_TRAIN[-1]} and {CIFAR_TEST}, or {CIFAR_ARCHIVE}"
    if row.text:
        return ", ".join(row.files)
    return ", ".join(row.files) + " (each plain or .gz)"


def _md5() -> "hashlib._Hash":
    # Not for security here, which machines in a strict mode want to be told.
    return hashlib.md5(usedforsecurity=False)
