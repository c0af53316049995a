"""Who is who between places that do not trust their network: a certificate for each, and one CA.

A folder holds ``ca.crt``, and for the place that runs here ``NAME.crt`` and ``NAME.key``. Places
are called driver, stage-1, stage-2, ..., readout, whatever host they are on: a certificate speaks
for one place, not for an address. Its name is its only DNS name, or where it has none its common
name. No other CA is asked, least of all the system's.

:func:`write` makes such a folder, ``ca.key`` with it: only who signs needs that one.
"""

import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

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
    try:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.x509.oid import ExtendedKeyUsageOID as usage  # noqa: N813
    except ImportError as error:
        raise BadInput(
            "writing certificates wants the package cryptography: pip install 'onward[tls]'"
        ) from error
    written: list[Path] = []
    begin = since or datetime.now(UTC) - timedelta(hours=1)  # clocks differ
    pem = serialization.Encoding.PEM

    def keep(path: Path, content: bytes, mode: int = 0o644) -> None:
        write_new(path, content, mode)
        written.append(path)

    def secret(path: Path) -> ec.EllipticCurvePrivateKey:
        key = ec.generate_private_key(ec.SECP256R1())
        none = serialization.NoEncryption()
        keep(path, key.private_bytes(pem, serialization.PrivateFormat.PKCS8, none), 0o600)
        return key

    def certified(
        name: str, key: Any, by: Any, issuer: x509.Name, more: Callable[[Any], Any]
    ) -> bytes:
        public = key.public_key()
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        made = x509.CertificateBuilder(issuer, subject, public, x509.random_serial_number())
        made = made.not_valid_before(begin).not_valid_after(begin + timedelta(days=days))
        made = made.add_extension(x509.SubjectKeyIdentifier.from_public_key(public), False)
        signer = x509.AuthorityKeyIdentifier.from_issuer_public_key(by.public_key())
        made = more(made.add_extension(signer, False))
        return bytes(made.sign(by, hashes.SHA256()).public_bytes(pem))

    def use(*of: str) -> x509.KeyUsage:
        every = "digital_signature content_commitment key_encipherment data_encipherment "
        every += "key_agreement key_cert_sign crl_sign encipher_only decipher_only"
        return x509.KeyUsage(**{one: one in of for one in every.split()})

    def authority(made: Any) -> Any:
        made = made.add_extension(x509.BasicConstraints(True, 0), True)
        return made.add_extension(use("key_cert_sign", "crl_sign"), True)

    def place(name: str) -> Callable[[Any], Any]:
        both = [usage.SERVER_AUTH, usage.CLIENT_AUTH]

        def told(made: Any) -> Any:
            made = made.add_extension(x509.BasicConstraints(False, None), True)
            made = made.add_extension(use("digital_signature"), True)
            made = made.add_extension(x509.ExtendedKeyUsage(both), False)
            return made.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), False)

        return told

    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"{folder} could not be made: {error.strerror}") from error
    root, root_key = folder / "ca.crt", folder / "ca.key"
    missing = [name for name in wanted if not (folder / f"{name}.crt").exists()]
    if root.exists() != root_key.exists():
        gone = root_key if root.exists() else root
        raise BadInput(f"{gone} is missing, and no certificate can be signed: name another folder")
    if not root.exists() and len(missing) < len(wanted):
        raise BadInput(f"{folder} holds certificates of a CA that isn't there: name another folder")
    if not missing:
        raise BadInput(f"{folder} has all of these certificates, and nothing is overwritten")
    if root.exists():
        try:
            by: Any = serialization.load_pem_private_key(root_key.read_bytes(), None)
            issuer = x509.load_pem_x509_certificate(root.read_bytes()).subject
        except (OSError, ValueError, TypeError) as error:
            raise BadInput(f"{root} and {root_key} are no CA that can sign ({error})") from error
    else:
        by = secret(root_key)
        told = "onward pipeline " + x509.random_serial_number().to_bytes(20, "big").hex()[:8]
        issuer = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, told)])
        keep(root, certified(told, by, by, issuer, authority))
    for name in missing:
        key = secret(folder / f"{name}.key")
        keep(folder / f"{name}.crt", certified(name, key, by, issuer, place(name)))
    return written
