"""Who is who between places that do not trust their network: a certificate for each, and one CA.

A folder holds ``ca.crt``, and for the place that runs here ``NAME.crt`` and ``NAME.key``. Places
are called driver, stage-1, stage-2, ..., readout, whatever host they are on: a certificate speaks
for one place, not for an address. Its name is its only DNS name, or where it has none its common
name. No other CA is asked, least of all the system's.

:func:`write` makes such a folder, ``ca.key`` with it: only who signs needs that one.
"""

import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from secrets import token_hex
from typing import Any

from ..authority import Authority
from ..errors import BadInput
from ..files import write_new


def names(stages: int) -> list[str]:
    """What the places are called, by number.

    >>> names(2)
    ['driver', 'stage-1', 'stage-2', 'readout']
    """
    return ["driver", *(f"stage-{number}" for number in range(1, stages + 1)), "readout"]


def name_of(certificate: Mapping[str, Any] | None) -> str:
    """Whom a certificate speaks for, as ``getpeercert`` shows it once it is verified."""
    found = certificate or {}
    given = [value for kind, value in found.get("subjectAltName", ()) if kind == "DNS"]
    common = [v for part in found.get("subject", ()) for k, v in part if k == "commonName"]
    every = given or common
    return str(every[0]) if len(every) == 1 else ""


@dataclass(frozen=True)
class Identity:
    """One place's certificate, ready for both sides of a connection."""

    name: str
    server: ssl.SSLContext
    client: ssl.SSLContext


def load(folder: Path, name: str) -> Identity:
    """The place ``name``'s own identity. Raises BadInput for one that no other would accept."""
    authority, own, key = folder / "ca.crt", folder / f"{name}.crt", folder / f"{name}.key"
    for file in (authority, own, key):
        try:
            file.read_bytes()
        except OSError as error:
            raise BadInput(
                f"{file} could not be read ({error.strerror}): a place wants ca.crt, {name}.crt "
                f"and {name}.key in the folder --certificates, as `onward pipeline certificates "
                "DIR` writes them"
            ) from error
    made = []
    for side in (ssl.PROTOCOL_TLS_SERVER, ssl.PROTOCOL_TLS_CLIENT):
        context = ssl.SSLContext(side)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.check_hostname = False  # names are places, not hosts: name_of, at both sides
        context.verify_mode = ssl.CERT_REQUIRED
        try:
            context.load_verify_locations(authority)
        except ssl.SSLError as error:
            raise BadInput(f"{authority} is no certificate ({_reason(error)})") from error
        try:
            # A key with a password would be asked for at the terminal: none is given.
            context.load_cert_chain(own, key, password=lambda: "")
        except (ssl.SSLError, ValueError) as error:
            raise BadInput(
                f"{own} and {key} are no certificate with its key, without a password "
                f"({_reason(error)})"
            ) from error
        made.append(context)
    server, client = made
    server.num_tickets = 0  # every connection shows its certificates anew
    found = _verified(server, client, own, authority)
    if found != name:
        raise BadInput(
            f"{own} is the certificate of {found or 'nobody'}, and this place is {name}: each "
            "place wants a certificate of its own name"
        )
    return Identity(name, server, client)


def _verified(server: ssl.SSLContext, client: ssl.SSLContext, own: Path, authority: Path) -> str:
    """The name of our own certificate, once it has passed in memory as it would with another."""
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = [
        client.wrap_bio(back, there, server_side=False),
        server.wrap_bio(there, back, server_side=True),
    ]
    try:
        for _ in range(3):  # there, back, and there again
            for side in sides:
                try:
                    side.do_handshake()
                except ssl.SSLWantReadError:
                    continue
    except ssl.SSLCertVerificationError as error:
        raise BadInput(
            f"{own} would be refused by others: {error.verify_message}. It should be valid today, "
            f"and signed by {authority}"
        ) from error
    except ssl.SSLError as error:
        raise BadInput(f"{own} would be refused by others: {_reason(error)}") from error
    return name_of(sides[0].getpeercert())


def _reason(error: Exception) -> str:
    return str(getattr(error, "reason", None) or error)


def write(
    folder: Path, wanted: Sequence[str], days: int = 365, since: datetime | None = None
) -> list[Path]:
    """A CA, and a certificate for each name, into a folder; keys are for their owner's eyes.

    What is there stays: a CA that has its key signs what is missing. Returns the files written.
    Raises BadInput where the package cryptography is missing, or nothing is.
    """
    written: list[Path] = []

    def keep(path: Path, content: bytes, mode: int = 0o644) -> None:
        write_new(path, content, mode)
        written.append(path)

    root, root_key = folder / "ca.crt", folder / "ca.key"
    missing = [name for name in wanted if not (folder / f"{name}.crt").exists()]
    if root.exists() != root_key.exists():
        gone = root_key if root.exists() else root
        raise BadInput(f"{gone} is missing, and no certificate can be signed: name another folder")
    if not root.exists() and len(missing) < len(wanted):
        raise BadInput(f"{folder} holds certificates of a CA that isn't there: name another folder")
    if not missing:
        raise BadInput(f"{folder} has all of these certificates, and nothing is overwritten")
    try:
        given = (root.read_bytes(), root_key.read_bytes()) if root.exists() else None
    except OSError as error:
        raise BadInput(f"{root} and {root_key} can't be read ({error.strerror})") from error
    ca = Authority("onward pipeline " + token_hex(4), days, since, given)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"{folder} could not be made: {error.strerror}") from error
    if given is None:
        keep(root_key, ca.key, 0o600)
        keep(root, ca.certificate)
    for name in missing:
        certificate, key = ca.issue(name, hosts=[name], uses=["server", "client"])
        keep(folder / f"{name}.key", key, 0o600)
        keep(folder / f"{name}.crt", certificate)
    return written
