"""The TLS listener: what certificates are made when, who can connect, and that nothing older than TLS 1.3 is spoken."""

import json
import os
import shutil
import signal
import socket
import ssl
import stat
import subprocess
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from cryptography import x509

from dothi.commands.up import check
from dothi.errors import Refused, WrongUsage
from dothi.stack.broker import Tls, device_address
from dothi.stack.certificates import Certificates, files_in, machine_names, prepare
from dothi.stack.plan import Plan
from tests.stack import RunningStack
from tests.test_gate import Device, admitted, connected, until

NOW = datetime(2026, 6, 1, tzinfo=UTC)
NAMES = ["localhost", "127.0.0.1", "::1", "box"]
EVERYWHERE = "0.0.0.0"  # noqa: S104 -- nothing is bound to it here


def made(folder: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(files_in(folder).chain.read_bytes())


def test_an_authority_and_a_certificate_are_made_once(tmp_path: Path) -> None:
    folder = tmp_path / "tls"
    assert prepare(folder, NAMES, NOW)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert not prepare(folder, NAMES, NOW + timedelta(days=366))
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    for name in ("ca.key", "server.key"):
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600
    authority = x509.load_pem_x509_certificate(files_in(folder).ca.read_bytes())
    assert (authority.not_valid_after_utc - NOW).days == 3652
    there = made(folder).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert there.get_values_for_type(x509.DNSName) == ["localhost", "box"]
    assert [str(one) for one in there.get_values_for_type(x509.IPAddress)] == ["127.0.0.1", "::1"]


@pytest.mark.parametrize(
    ("later", "names"), [(timedelta(days=368), NAMES), (timedelta(0), [*NAMES, "10.1.2.3"]), (timedelta(0), NAMES[:3])]
)
def test_it_is_renewed_in_time_and_for_other_names(tmp_path: Path, later: timedelta, names: list[str]) -> None:
    prepare(tmp_path / "tls", NAMES, NOW)
    ca, first = files_in(tmp_path / "tls").ca.read_bytes(), made(tmp_path / "tls")
    assert prepare(tmp_path / "tls", names, NOW + later)
    assert files_in(tmp_path / "tls").ca.read_bytes() == ca
    assert made(tmp_path / "tls").serial_number != first.serial_number


@pytest.mark.parametrize("name", ["server.crt", "server.key"])
@pytest.mark.parametrize("content", [None, b"", b"\x00\xff", "another"])
def test_a_file_that_is_lost_or_broken_is_made_again(tmp_path: Path, name: str, content: bytes | str | None) -> None:
    prepare(tmp_path / "tls", NAMES, NOW)
    path = tmp_path / "tls" / name
    if content is None:
        path.unlink()
    elif isinstance(content, str):
        prepare(tmp_path / "other", NAMES, NOW)
        shutil.copy(tmp_path / "other" / name, path)
    else:
        path.write_bytes(content)
    assert prepare(tmp_path / "tls", NAMES, NOW)
    assert not prepare(tmp_path / "tls", NAMES, NOW)


def test_an_authority_that_cannot_sign_is_named(tmp_path: Path) -> None:
    prepare(tmp_path / "tls", NAMES, NOW)
    (tmp_path / "tls/ca.key").unlink()
    assert not prepare(tmp_path / "tls", NAMES, NOW)  # kept elsewhere, and not needed
    with pytest.raises(Refused, match=r"put ca\.crt and ca\.key back"):
        prepare(tmp_path / "tls", NAMES, NOW + timedelta(days=370))
    prepare(tmp_path / "other", NAMES, NOW)
    shutil.copy(tmp_path / "other/ca.key", tmp_path / "tls/ca.key")
    with pytest.raises(Refused, match=r"not the key of ca\.crt"):
        prepare(tmp_path / "tls", NAMES, NOW + timedelta(days=370))


def test_near_its_end_the_authority_is_told_of(tmp_path: Path) -> None:
    prepare(tmp_path / "tls", NAMES, NOW)
    assert prepare(tmp_path / "tls", NAMES, NOW + timedelta(days=3600))
    assert (made(tmp_path / "tls").not_valid_after_utc - NOW).days == 3652
    with pytest.raises(Refused, match="ends within 30 days"):
        prepare(tmp_path / "tls", NAMES, NOW + timedelta(days=3640))


def test_names_are_those_by_which_the_machine_is_reached() -> None:
    assert machine_names("127.0.0.1", ["iot.example.vn"])[-2:] == [socket.gethostname(), "iot.example.vn"]
    assert set(machine_names("127.0.0.1")) <= set(machine_names(EVERYWHERE))
    assert "203.0.113.5" in machine_names("203.0.113.5")
    nowhere = Certificates(Path("a"), Path("b"), Path("c"))
    assert device_address(Tls("::1", 8883, nowhere, 1)) == "mqtts://[::1]:8883"
    assert device_address(Tls(EVERYWHERE, 8883, nowhere, 1)) == f"mqtts://{socket.gethostname()}:8883"


@pytest.mark.parametrize(
    ("plan", "named"),
    [
        (Plan(Path("/x"), tls_address="example.vn"), "--tls-address"),
        (Plan(Path("/x"), tls_address="203.0.113.5"), "--tls-address"),
        (Plan(Path("/x"), tls_address=""), "--tls-address"),
        (Plan(Path("/x"), tls_port=0), "--tls-port"),
        (Plan(Path("/x"), tls_port=65_535, shards=2), "--tls-port"),
        (Plan(Path("/x"), tls_names=("a b",)), "--tls-name"),
        (Plan(Path("/x"), tls_names=("",)), "--tls-name"),
        (Plan(Path("/x"), tls_names=("đô-thị.vn",)), "--tls-name"),
    ],
)
def test_what_cannot_be_listened_on_is_refused_in_one_line(plan: Plan, named: str) -> None:
    with pytest.raises(WrongUsage, match=named) as refused:
        check(plan)
    assert "\n" not in str(refused.value)
    assert "allowed" in str(refused.value)


# --- on the real broker


@pytest.fixture(scope="module")
def device(stack: RunningStack) -> Device:
    """One for all of these tests."""
    return admitted(stack, "tls")["tls"]


def test_a_device_comes_in_over_tls_with_its_token(stack: RunningStack, device: Device) -> None:
    with connected(stack, *device, ca=stack.document["ca"]) as client:
        assert client.answers == ["Success"]
        client.publish(f"dothi/v1/213/{device.id}/up", json.dumps({"metrics": {"pm25": 7.5}}), 1)
        stack.wait_for(f"select 1 from city.air_quality where device = '{device.id}'")
    with connected(stack, device.id, "wrong", ca=stack.document["ca"]) as client:
        assert client.answers[0] == "Not authorized"


def test_addresses_are_told(stack: RunningStack) -> None:
    told = json.loads(stack.dothi("status", "--json").stdout)
    assert told["tls"] == stack.document["tls"] == stack.document["brokers"][0]["tls"]
    assert told["ca"] == stack.document["ca"] == str(stack.folder / "tls/ca.crt")
    assert urlsplit(told["tls"]).scheme == "mqtts"
    listening = (stack.folder / "broker-0/mosquitto.conf").read_text().splitlines()
    plain = urlsplit(stack.document["broker"]).port
    assert next(line for line in listening if line.startswith("listener")) == f"listener {plain} 127.0.0.1"


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", socket.gethostname()])
def test_every_name_of_the_machine_is_in_the_certificate(stack: RunningStack, name: str) -> None:
    assert handshake(stack, ssl.create_default_context(cafile=stack.document["ca"]), name) == "TLSv1.3"


def test_nothing_older_is_spoken_and_no_other_authority_trusted(stack: RunningStack, tmp_path: Path) -> None:
    old = ssl.create_default_context(cafile=stack.document["ca"])
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError, match=r"(?i)protocol.version"):
        handshake(stack, old)
    prepare(tmp_path / "other", NAMES, datetime.now(UTC))
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(stack, ssl.create_default_context(cafile=str(files_in(tmp_path / "other").ca)))
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(stack, ssl.create_default_context(cafile=stack.document["ca"]), "example.vn")


SUITES = {"TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256", "TLS_AES_128_GCM_SHA256"}


def test_the_suites_are_those_of_tls_1_3_and_no_data_come_early(stack: RunningStack) -> None:
    """Old versions with their suites, compression and renegotiation are not there to be tried: TLS 1.3 has none of them
    (RFC 8446, 1.2). What it has and may not be on is early data, which can be replayed (8)."""
    address = urlsplit(stack.document["tls"])
    context = ssl.create_default_context(cafile=stack.document["ca"])
    plain = socket.create_connection((address.hostname or "", address.port or 0), timeout=60)
    with plain, context.wrap_socket(plain, server_hostname="localhost") as secured:
        assert (secured.cipher() or ("",))[0] in SUITES
        assert secured.compression() is None
    if not shutil.which("openssl"):
        pytest.skip("the rest asks openssl")
    for suite in ("TLS_AES_128_CCM_SHA256", "TLS_AES_128_CCM_8_SHA256"):
        assert "Cipher is (NONE)" in s_client(stack, "-ciphersuites", suite)
    for version in ("-tls1", "-tls1_1", "-tls1_2"):
        assert "Cipher is (NONE)" in s_client(stack, version, "-cipher", "ALL:@SECLEVEL=0")
    told = s_client(stack)
    assert "Cipher is TLS_" in told
    assert "Max Early Data: 0" in told or "Max Early Data" not in told
    assert "Verify return code: 0 (ok)" in told


def s_client(stack: RunningStack, *options: str) -> str:
    """What openssl says of a connection to the listener."""
    address = urlsplit(stack.document["tls"])
    command = ["openssl", "s_client", "-connect", f"{address.hostname}:{address.port}", "-CAfile", stack.document["ca"]]
    # Something must be said, and answered by hanging up: the tickets come behind the handshake.
    done = subprocess.run([*command, *options], input=b"GET\r\n", capture_output=True, timeout=60, check=False)
    return done.stdout.decode(errors="replace") + done.stderr.decode(errors="replace")


def test_a_certificate_that_has_ended_is_refused(stack: RunningStack) -> None:
    folder = stack.folder / "tls"
    account = (folder / "server.key").stat()
    kept = {name: (folder / name).read_bytes() for name in ("server.crt", "server.key")}
    trusting = ssl.create_default_context(cafile=stack.document["ca"])
    try:
        assert prepare(folder, [*machine_names("127.0.0.1"), "ended.example"], datetime.now(UTC) - timedelta(days=398))
        os.chown(folder / "server.key", account.st_uid, account.st_gid)
        os.kill(stack.document["processes"]["broker"][0], signal.SIGHUP)

        def is_refused() -> bool:
            try:
                handshake(stack, trusting)
            except ssl.SSLCertVerificationError as refused:
                return "expired" in str(refused)
            return False

        until(is_refused)
    finally:
        for name, content in kept.items():
            (folder / name).write_bytes(content)
        os.kill(stack.document["processes"]["broker"][0], signal.SIGHUP)
    until(lambda: serves(stack, trusting, "localhost"))


PLAIN = b"\x10\x0d\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x00"
"""A CONNECT without TLS."""


@pytest.mark.parametrize("first", [PLAIN, b"\x16\x03\x01\xff\xff", b"GET / HTTP/1.1\r\n\r\n"])
def test_what_is_no_tls_is_not_answered(stack: RunningStack, device: Device, first: bytes) -> None:
    address = urlsplit(stack.document["tls"])
    with socket.create_connection((address.hostname or "", address.port or 0), timeout=60) as plain:
        answer = b""
        with suppress(OSError):  # the other side may have hung up
            plain.sendall(first)
            plain.shutdown(socket.SHUT_WR)
            while got := plain.recv(4096):
                answer += got
    assert answer[:1] in (b"", b"\x15")  # nothing, or an alert
    with connected(stack, *device, ca=stack.document["ca"]) as client:
        assert client.answers == ["Success"]


def test_a_renewed_certificate_is_served_and_connections_stand(stack: RunningStack, device: Device) -> None:
    folder = stack.folder / "tls"
    account = (folder / "server.key").stat()
    with connected(stack, *device, ca=stack.document["ca"]) as client:
        names = [*machine_names("127.0.0.1"), "renewed.example"]
        assert prepare(folder, names, datetime.now(UTC))
        os.chown(folder / "server.key", account.st_uid, account.st_gid)
        os.kill(stack.document["processes"]["broker"][0], signal.SIGHUP)
        trusting = ssl.create_default_context(cafile=stack.document["ca"])
        until(lambda: serves(stack, trusting, "renewed.example"))
        assert client.answers == ["Success"]


def serves(stack: RunningStack, trusting: ssl.SSLContext, name: str) -> bool:
    try:
        return handshake(stack, trusting, name) == "TLSv1.3"
    except ssl.SSLError:
        return False


def handshake(stack: RunningStack, context: ssl.SSLContext, name: str = "localhost") -> str | None:
    """The version that is spoken with the listener."""
    address = urlsplit(stack.document["tls"])
    plain = socket.create_connection((address.hostname or "", address.port or 0), timeout=60)
    with plain, context.wrap_socket(plain, server_hostname=name) as secured:
        return secured.version()
