"""The certificates of the brokers' TLS listeners: an authority of the stack's own, and a server certificate under it.

Made with the `cryptography` package: its wheels bring their own OpenSSL, so it is the same on every machine, and no
key passes through a command line or a temporary file. Keys are ECDSA P-256 (RFC 8446 requires it of every TLS 1.3
client, small boards verify it quickly); extensions as RFC 5280 wants them.
"""

import ipaddress
import socket
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import psutil
import structlog
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from dothi.errors import Refused
from dothi.stack.passwords import write_private

AUTHORITY_LIFE = timedelta(days=3652)
SERVER_LIFE = timedelta(days=397)  # what browsers and strict clients accept at most
RENEWED_BEFORE = timedelta(days=30)
WARNED_BEFORE = timedelta(days=365)  # devices have to be given the next authority by then
BACKDATED = timedelta(days=1)  # for devices whose clock is behind
LOOPBACK = ("localhost", "127.0.0.1", "::1")

log = structlog.get_logger("dothi.stack")


class Certificates(NamedTuple):
    """Files: the authority that devices trust, and the broker's chain and key (mode 0600)."""

    ca: Path
    chain: Path
    key: Path


class Authority(NamedTuple):
    """Who signs."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def files_in(folder: Path) -> Certificates:
    """Where the files lie."""
    return Certificates(folder / "ca.crt", folder / "server.crt", folder / "server.key")


def prepare(folder: Path, names: Sequence[str], now: datetime) -> bool:
    """Make or renew the certificates in `folder` if need be; whether the server's is a new one.

    Renewed when fewer than 30 days are left or the names (of hosts, IP addresses) are others. Raises Refused when the
    authority cannot sign.
    """
    folder.mkdir(mode=0o755, exist_ok=True)
    files = files_in(folder)
    if not files.ca.exists():
        keep(folder / "ca.key", files.ca, *new_authority(now))
    if is_good(files, names, now):
        return False
    authority = read_authority(folder, now)
    if authority.certificate.not_valid_after_utc - now < WARNED_BEFORE:
        log.warning("the authority of the TLS listener ends; give devices another", ends=str(files.ca))
    certificate, key = new_server(authority, names, now)
    keep(files.key, files.chain, certificate, key)
    log.info("server certificate made", ends=str(certificate.not_valid_after_utc.date()), names=", ".join(names))
    return True


def machine_names(address: str, more: Sequence[str] = ()) -> list[str]:
    """Names under which devices reach a listener on `address`: this machine, its addresses if served, and `more`."""
    host = socket.gethostname()
    names = [*LOOPBACK, *([host] if host.isascii() and host else [])]
    listening = ipaddress.ip_address(address)
    if listening.is_unspecified:
        found = [one.address.partition("%")[0] for all_of in psutil.net_if_addrs().values() for one in all_of]
        names += sorted(one for one in found if is_address(one) and not ipaddress.ip_address(one).is_link_local)
    elif not listening.is_loopback:
        names.append(address)
    return list(dict.fromkeys([*names, *more]))


def is_address(text: str) -> bool:
    """Whether it is an IP address."""
    with suppress(ValueError):
        return bool(ipaddress.ip_address(text))
    return False


def is_good(files: Certificates, names: Sequence[str], now: datetime) -> bool:
    """Whether the server's certificate fits its key and authority, has these names, and lasts for another month."""
    try:
        found = x509.load_pem_x509_certificate(files.chain.read_bytes())
        key = serialization.load_pem_private_key(files.key.read_bytes(), None)
        found.verify_directly_issued_by(x509.load_pem_x509_certificate(files.ca.read_bytes()))
        there = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (OSError, ValueError, TypeError, x509.ExtensionNotFound):
        return False
    except Exception as error:  # a signature that does not fit has an exception without a common base
        log.warning("server certificate does not fit its authority", reason=type(error).__name__)
        return False
    lasts = found.not_valid_after_utc - now >= RENEWED_BEFORE and found.not_valid_before_utc <= now
    return lasts and key.public_key() == found.public_key() and set(there) == set(alternatives(names))


def new_authority(now: datetime) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    """A key and a certificate that signs itself, for ten years."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"dothi {socket.gethostname()}"[:64])])
    usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
    builder = begun(name, name, key.public_key(), now, AUTHORITY_LIFE, key.public_key())
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    return builder.add_extension(usage, critical=True).sign(key, hashes.SHA256()), key


def new_server(
    authority: Authority, names: Sequence[str], now: datetime
) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    """A new key and a certificate for it, which does not outlive the authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "dothi broker")])
    life = min(SERVER_LIFE, authority.certificate.not_valid_after_utc - now)
    usage = x509.KeyUsage(True, False, False, False, False, False, False, False, False)
    builder = begun(
        name, authority.certificate.subject, key.public_key(), now, life, authority.certificate.public_key()
    )
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(usage, critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    builder = builder.add_extension(x509.SubjectAlternativeName(alternatives(names)), critical=False)
    return builder.sign(authority.key, hashes.SHA256()), key


def begun(
    name: x509.Name,
    issuer: x509.Name,
    public: ec.EllipticCurvePublicKey,
    now: datetime,
    life: timedelta,
    signer: object,
) -> x509.CertificateBuilder:
    """What both kinds of certificate have."""
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + life)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer), critical=False)  # type: ignore[arg-type]  # of an authority's certificate
    )


def alternatives(names: Sequence[str]) -> list[x509.GeneralName]:
    """Names as a certificate has them."""
    return [x509.IPAddress(ipaddress.ip_address(one)) if is_address(one) else x509.DNSName(one) for one in names]


def keep(
    key_path: Path, certificate_path: Path, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey
) -> None:
    """Write both; the key first, so that a certificate never stands without one."""
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    write_private(key_path, key.private_bytes(*form).decode())
    write_private(certificate_path, certificate.public_bytes(serialization.Encoding.PEM).decode(), 0o644)


def read_authority(folder: Path, now: datetime) -> Authority:
    """Who signs, from its files. Raises Refused."""
    try:
        certificate = x509.load_pem_x509_certificate((folder / "ca.crt").read_bytes())
        key = serialization.load_pem_private_key((folder / "ca.key").read_bytes(), None)
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
            raise ValueError("ca.key is not the key of ca.crt")
        if certificate.not_valid_after_utc <= now + RENEWED_BEFORE:
            raise ValueError("it ends within 30 days")
    except (OSError, ValueError, TypeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise Refused(
            f"the authority in {folder} cannot sign a new server certificate: {reason}; put ca.crt and ca.key back, or "
            f"remove {folder} (a new authority is made then, and devices need the new ca.crt)"
        ) from None
    return Authority(certificate, key)
