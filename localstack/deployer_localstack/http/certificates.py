"""Certificates for servers on this machine, by an authority of our own: one for a day, or one that a directory keeps."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_FILE = "authority.pem"
_DAYS, _RENEWED_BEFORE_DAYS = 365, 30


@dataclass(frozen=True, slots=True)
class Authority:
    """Vouches for servers on loopback."""

    _key: CertificateIssuerPrivateKeyTypes
    _certificate: x509.Certificate

    @classmethod
    def fresh(cls, name: str, days: int = 1) -> Self:
        """A new one, which nobody keeps."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = _named(name)
        builder = (
            _unsigned(subject, subject, key.public_key(), days)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs_certificates=True), critical=True)
        )
        return cls(key, builder.sign(key, hashes.SHA256()))

    @classmethod
    def kept(cls, directory: Path, name: str) -> Self:
        """The one in a directory, so that what trusts it still does after a restart; a new one where there is none, or its time is nearly over."""
        file = directory / _FILE
        try:
            pem = file.read_bytes()
            key = serialization.load_pem_private_key(pem, None)
            found = cls(key, x509.load_pem_x509_certificate(pem))  # type: ignore[arg-type]  # it is of our making
            if found._certificate.not_valid_after_utc > _now() + datetime.timedelta(days=_RENEWED_BEFORE_DAYS):
                return found
        except (OSError, ValueError):
            pass
        made = cls.fresh(name, _DAYS)
        draft = file.with_suffix(".new")
        draft.unlink(missing_ok=True)
        draft.touch(mode=0o600)
        draft.write_bytes(_secret(made._key) + made.certificate)
        draft.replace(file)
        return made

    @property
    def certificate(self) -> bytes:
        """What its clients trust, as PEM."""
        return self._certificate.public_bytes(serialization.Encoding.PEM)

    def server_context(self) -> ssl.SSLContext:
        """What a server at 127.0.0.1, [::1] or localhost shows."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = [x509.DNSName("localhost"), *(x509.IPAddress(ipaddress.ip_address(each)) for each in ("127.0.0.1", "::1"))]
        left = self._certificate.not_valid_after_utc - _now()
        builder = (
            _unsigned(_named("localhost"), self._certificate.subject, key.public_key(), left.total_seconds() / 86400)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._certificate.public_key()), critical=False)  # type: ignore[arg-type]  # an EC key
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
        )
        certificate = builder.sign(self._key, hashes.SHA256())
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with tempfile.TemporaryDirectory() as private:  # Python reads a key from files alone
            pair = Path(private, "pair.pem")
            pair.touch(mode=0o600)
            pair.write_bytes(certificate.public_bytes(serialization.Encoding.PEM) + _secret(key))
            context.load_cert_chain(pair)
        return context


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _unsigned(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, days: float) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(_now() - datetime.timedelta(hours=1))
        .not_valid_after(_now() + datetime.timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _secret(key: CertificateIssuerPrivateKeyTypes) -> bytes:
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
