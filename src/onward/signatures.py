"""Who wrote a file: Ed25519 keys, and signatures that stand in a file beside the signed one.

``NAME.key`` stays with whoever signs, ``NAME.pub`` is for all others, both PEM; ``FILE.sig`` is one
line, the signature in base64. Wants the package cryptography (extra ``tls``).
"""

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .errors import BadInput
from .files import write_atomically, write_new

_PURPOSE = b"onward signature 1\n"
"""Before what is signed, so that no signature made for something else fits."""


def make(name: Path) -> tuple[Path, Path]:
    """A new key, and what others know it by: NAME.key and NAME.pub.  -> their paths.

    Raises BadInput where one of them is there already, or the package is missing.
    """
    ed25519, serialization = _package()
    key = ed25519.Ed25519PrivateKey.generate()
    pem, none = serialization.Encoding.PEM, serialization.NoEncryption()
    own, known = name.with_name(f"{name.name}.key"), name.with_name(f"{name.name}.pub")
    if known.exists():
        raise BadInput(f"{known} is there already, and is not overwritten: move it away")
    write_new(own, key.private_bytes(pem, serialization.PrivateFormat.PKCS8, none), 0o600)
    told = serialization.PublicFormat.SubjectPublicKeyInfo
    write_new(known, key.public_key().public_bytes(pem, told))
    return own, known


def sign(path: Path, content: bytes, key: Path) -> Path:
    """Sign ``content``, which stands for the file ``path``, into PATH.sig.  -> its path."""
    ed25519, serialization = _package()
    pem = _read(key)
    try:
        own = serialization.load_pem_private_key(pem, None)
    except (ValueError, TypeError) as error:
        raise BadInput(f"{key} is no private key without a password: {_WANTED}") from error
    if not isinstance(own, ed25519.Ed25519PrivateKey):
        raise BadInput(f"{key} is a key of another kind: {_WANTED}")
    beside = _beside(path)
    write_atomically(beside, base64.b64encode(own.sign(_PURPOSE + content)) + b"\n")
    return beside


def signer(path: Path, content: bytes, keys: Sequence[Path]) -> Path:
    """Which of the public ``keys`` signed ``content``, as PATH.sig says.

    Raises BadInput where there is no signature, or none of these keys made it for this content.
    """
    ed25519, serialization = _package()
    from cryptography.exceptions import InvalidSignature

    beside, told = _beside(path), ", ".join(map(str, keys))
    if not beside.is_file():
        raise BadInput(
            f"{path} is not signed: {beside.name} is missing beside it, and it is to be signed by "
            f"{told}. Ask for that file too, or leave --signed_by out"
        )
    written = _read(beside)
    try:
        signature = base64.b64decode(written.strip(), validate=True)
    except ValueError as error:
        raise BadInput(f"{beside} is no signature: fetch it again") from error
    for key in keys:
        pem = _read(key)
        try:
            known = serialization.load_pem_public_key(pem)
        except (ValueError, TypeError) as error:
            raise BadInput(f"{key} is no public key: {_WANTED}") from error
        if not isinstance(known, ed25519.Ed25519PublicKey):
            raise BadInput(f"{key} is a key of another kind: {_WANTED}")
        try:
            known.verify(signature, _PURPOSE + content)
        except InvalidSignature:
            continue
        return key
    raise BadInput(
        f"{path} is not what {told} signed: it was changed since, or someone else signed it. "
        "Fetch both files again from where they were written"
    )


_WANTED = "wanted one of Ed25519, as `onward relay keys NAME` makes them"


def _package() -> Any:
    try:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ed25519
    except ImportError as error:
        raise BadInput(
            "signatures want the package cryptography: pip install 'onward[tls]'"
        ) from error
    return ed25519, serialization


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.name}.sig")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadInput(f"{path} can't be read: {error.strerror or error}") from error
