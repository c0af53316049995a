"""A certificate authority of one's own, and what it signs, for places that know each other by name.

P-256 keys, SHA-256, PEM. Wants the package cryptography (extras ``tls`` and ``federated``).
"""

import ipaddress
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from .errors import BadInput

Use = Literal["server", "client"]


class Authority:
    """One that is made anew, or whose certificate and key are given, PEM.

    Its certificates hold for ``days`` from ``since`` on, an hour ago by default: clocks differ.
    Raises BadInput where the package is missing, or what is given can't sign.
    """

    def __init__(
        self,
        name: str,
        days: int = 365,
        since: datetime | None = None,
        given: tuple[bytes, bytes] | None = None,
    ):
        try:
            from cryptography import x509
            from cryptography.hazmat.primitives import serialization
            from cryptography.hazmat.primitives.asymmetric import ec
        except ImportError as error:
            raise BadInput(
                "writing certificates wants the package cryptography: pip install 'onward[tls]'"
            ) from error
        self._x509, self._pem = x509, serialization
        self._begin = since or datetime.now(UTC) - timedelta(hours=1)
        self._end = self._begin + timedelta(days=days)
        self._draw: Callable[[], Any] = lambda: ec.generate_private_key(ec.SECP256R1())
        self._key: Any
        if given is not None:
            try:
                self._key = serialization.load_pem_private_key(given[1], None)
                self._name = x509.load_pem_x509_certificate(given[0]).subject
            except (ValueError, TypeError) as error:
                raise BadInput(f"this is no CA that can sign ({error})") from error
            self.certificate = given[0]
            return
        self._key, self._name = self._draw(), self._called(name)
        limits = [
            (x509.BasicConstraints(True, 0), True),
            (self._use("key_cert_sign", "crl_sign"), True),
        ]
        self.certificate = self._signed(self._name, self._key, limits)

    @property
    def key(self) -> bytes:
        """Its own key: whoever has it can pose as anyone."""
        return self._private(self._key)

    def issue(self, name: str, *, hosts: Sequence[str], uses: Sequence[Use]) -> tuple[bytes, bytes]:
        """A certificate and its key: ``name`` its common name, ``hosts`` all that it speaks for."""
        x509, key = self._x509, self._draw()
        known = {
            "server": x509.ExtendedKeyUsageOID.SERVER_AUTH,
            "client": x509.ExtendedKeyUsageOID.CLIENT_AUTH,
        }
        limits = [
            (x509.BasicConstraints(False, None), True),
            (self._use("digital_signature"), True),
            (x509.ExtendedKeyUsage([known[use] for use in uses]), False),
            (x509.SubjectAlternativeName([self._host(host) for host in hosts]), False),
        ]
        return self._signed(self._called(name), key, limits), self._private(key)

    def _signed(self, name: Any, key: Any, limits: Sequence[tuple[Any, bool]]) -> bytes:
        from cryptography.hazmat.primitives import hashes

        x509, public = self._x509, key.public_key()
        made = x509.CertificateBuilder(self._name, name, public, x509.random_serial_number())
        made = made.not_valid_before(self._begin).not_valid_after(self._end)
        made = made.add_extension(x509.SubjectKeyIdentifier.from_public_key(public), False)
        signer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        made = made.add_extension(signer, False)
        for limit, critical in limits:
            made = made.add_extension(limit, critical)
        signed = made.sign(self._key, hashes.SHA256())
        return bytes(signed.public_bytes(self._pem.Encoding.PEM))

    def _private(self, key: Any) -> bytes:
        none, form = self._pem.NoEncryption(), self._pem.PrivateFormat.PKCS8
        return bytes(key.private_bytes(self._pem.Encoding.PEM, form, none))

    def _called(self, name: str) -> Any:
        x509 = self._x509
        return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])

    def _host(self, host: str) -> Any:
        try:
            return self._x509.IPAddress(ipaddress.ip_address(host))
        except ValueError:
            return self._x509.DNSName(host)

    def _use(self, *of: str) -> Any:
        every = "digital_signature content_commitment key_encipherment data_encipherment "
        every += "key_agreement key_cert_sign crl_sign encipher_only decipher_only"
        return self._x509.KeyUsage(**{one: one in of for one in every.split()})
