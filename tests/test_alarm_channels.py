"""Webhooks and e-mail against servers that answer, refuse, hang, lie and close the door."""

import asyncio
import email
import email.policy
import gc
import hashlib
import hmac
import ssl
import subprocess
import time
from pathlib import Path

import pytest
from aiosmtpd.smtp import AuthResult, LoginPassword

from analytics.delivery.channel import Message, Undelivered, one_line
from analytics.delivery.mail import EmailChannel, letter
from analytics.delivery.routes import Email, Secrets, Webhook
from analytics.delivery.webhook import WebhookChannel, after, signature
from dothi.stack.ports import free_port
from tests.receivers import CLOSE, ENDLESS, HANG, OK, RUBBISH, HttpReceiver, Letters, http_receiver, mail_server, status

MESSAGE = Message("key-1", "alarm-7-x", "[NGUY CẤP] Cháy rừng", "Cháy rừng ở Sơn Động\n.\nhết\n", b'{"what":"raised"}')
SECRET = "0123456789abcdef"


def post(receiver: HttpReceiver | str, limit_s: float = 5.0, message: Message = MESSAGE) -> str:
    url = receiver if isinstance(receiver, str) else receiver.url

    async def send() -> str:
        webhook = Webhook(secret_env="X", url=url, time_limit_s=limit_s)
        async with WebhookChannel(webhook, Secrets(SECRET, url)) as channel:
            return await channel.send(message)

    return asyncio.run(send())


def mail(port: int, message: Message = MESSAGE, secret: str = "", **changes: object) -> str:
    fields: dict[str, object] = {"server": f"127.0.0.1:{port}", "sender": "dothi@example.vn", "security": "none"}
    receiver = Email(**(fields | {"to": ["duty@example.vn"], "time_limit_s": 5.0} | changes))  # type: ignore[arg-type]

    async def send() -> str:
        async with EmailChannel(receiver, Secrets(secret)) as channel:
            return await channel.send(message)

    return asyncio.run(send())


def test_a_webhook_is_signed_and_has_a_key() -> None:
    with http_receiver() as receiver:
        assert post(receiver) == "answered 200"
    (got,) = receiver.got
    assert (got.key, got.body) == ("key-1", MESSAGE.document)
    assert got.headers["content-type"] == "application/json; charset=utf-8"
    at, signed = (part.partition("=")[2] for part in got.headers["dothi-signature"].split(","))
    assert abs(int(at) - time.time()) < 60
    assert signed == hmac.new(SECRET.encode(), f"{at}.".encode() + got.body, hashlib.sha256).hexdigest()
    assert signature(SECRET, got.body, int(at)) == got.headers["dothi-signature"]


@pytest.mark.parametrize(
    ("answer", "said", "sort"),
    [
        (status(500), "answered 500", "away"),
        (status(503, "Retry-After: 7"), "answered 503", "away"),
        (status(429), "answered 429", "away"),
        (status(401), "answered 401", "away"),
        (status(404), "answered 404", "away"),
        (status(400), "answered 400", "refused"),
        (status(422), "answered 422", "refused"),
        (status(410), "answered 410: it wants nothing any more", "gone"),
        (status(302, "Location: http://127.0.0.1:1/"), "answered 302: redirects are not followed", "away"),
        (CLOSE, "no answer", "away"),
        (RUBBISH, "", "away"),
        (HANG, "no answer within 0.5 s", "away"),
    ],
    ids=["500", "503", "429", "401", "404", "400", "422", "410", "redirect", "close", "rubbish", "hang"],
)
def test_whatever_is_no_success_is_told_in_one_line(answer: bytes, said: str, sort: str) -> None:
    with http_receiver(answer) as receiver, pytest.raises(Undelivered) as refusal:
        post(receiver, 0.5 if answer == HANG else 5.0)
    assert refusal.value.said.startswith(said)
    assert refusal.value.said == one_line(refusal.value.said) != ""
    assert refusal.value.sort == sort
    assert refusal.value.after_s == (7.0 if b"Retry-After" in answer else None)
    assert len(receiver.got) == 1, "tried once; when again is not the channel's matter"


def test_an_answer_without_end_is_not_read() -> None:
    with http_receiver(ENDLESS) as receiver:
        assert post(receiver, 2.0) == "answered 200"


def test_nobody_there() -> None:
    with pytest.raises(Undelivered, match="no answer: Connection refused"):
        post(f"http://127.0.0.1:{free_port(set())}/")


def test_an_unknown_host_is_named_as_such() -> None:
    with pytest.raises(Undelivered, match="no answer: "):
        post("http://no-such-host.invalid/")


def test_retry_after_is_seconds_or_a_date_and_bounded() -> None:
    assert after({"retry-after": "120"}) == 120
    assert after({"retry-after": "99999999"}) == 600
    assert after({"retry-after": "soon"}) is after({}) is None
    assert 0 <= (after({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}) or 0) == 0


def test_a_letter_arrives_whole() -> None:
    letters = Letters()
    with mail_server(letters) as port:
        assert "taken" in mail(port)
    (got,) = letters.got
    assert (got.mail_from, got.rcpt_tos) == ("dothi@example.vn", ["duty@example.vn"])
    made = email.message_from_bytes(bytes(got.content or b""), policy=email.policy.default)
    assert made["Subject"] == MESSAGE.subject
    assert made["Message-ID"] == "<key-1@example.vn>"
    assert made["References"] == "<alarm-7-x@example.vn>"
    assert made["Auto-Submitted"] == "auto-generated"
    assert made.get_content().replace("\r\n", "\n") == MESSAGE.body


def test_a_subject_cannot_add_a_header() -> None:
    receiver = Email(server="x:25", sender="a@b.vn", to=["c@d.vn"])
    made = letter(MESSAGE._replace(subject="hot\r\nBcc: thief@x.vn\x00"), receiver)
    assert made["Bcc"] is None
    assert made["Subject"] == "hot Bcc: thief@x.vn"


@pytest.mark.parametrize(
    ("answer", "sort"),
    [
        ("451 try later", "away"),
        ("421 closing", "away"),
        ("554 looks like spam", "refused"),
        ("552 too big", "refused"),
    ],
)
def test_a_refused_letter_is_told_apart_from_a_busy_server(answer: str, sort: str) -> None:
    with mail_server(Letters(lambda _: answer)) as port, pytest.raises(Undelivered) as refusal:
        mail(port)
    assert refusal.value.said == answer
    assert refusal.value.sort == sort


def test_a_recipient_who_does_not_exist_does_not_cost_the_others_their_letter() -> None:
    letters = Letters(refuses=["gone@example.vn"])
    with mail_server(letters) as port:
        assert "not for gone@example.vn" in mail(port, to=["gone@example.vn", "duty@example.vn"])
        with pytest.raises(Undelivered, match=r"gone@example\.vn: 550 no such user") as refusal:
            mail(port, to=["gone@example.vn"])
    assert refusal.value.sort == "refused"
    assert [got.rcpt_tos for got in letters.got] == [["duty@example.vn"]]


def test_no_mail_server_and_one_that_hangs() -> None:
    with pytest.raises(Undelivered, match="no answer: "):
        mail(free_port(set()))
    with http_receiver(HANG) as silent, pytest.raises(Undelivered, match=r"no answer"):
        mail(silent.port, time_limit_s=0.5)


@pytest.mark.parametrize("limit_s", [1.5, 30.0])
def test_a_letter_is_told_when_it_is_accepted_even_if_the_server_hangs_at_the_farewell(limit_s: float) -> None:
    letters = Letters(quit_s=3600.0)
    with mail_server(letters) as port:
        assert "taken" in mail(port, time_limit_s=limit_s)
    assert len(letters.got) == letters.tries == 1


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate of this machine's own."""
    folder = tmp_path_factory.mktemp("tls")
    chain, key = folder / "chain.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    command += ["-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*command, "-keyout", str(key), "-out", str(chain)], check=True, capture_output=True)
    return chain, key


def knows(_server: object, _session: object, _envelope: object, _mechanism: str, given: object) -> AuthResult:
    good = isinstance(given, LoginPassword) and (given.login, given.password) == (b"dothi", b"hunter2")
    return AuthResult(success=good, handled=False)


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # asyncio leaves a transport whose handshake was refused
def test_starttls_with_a_login(certificate: tuple[Path, Path]) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificate)
    letters = Letters()
    options = {"tls_context": context, "authenticator": knows, "auth_required": True}
    with mail_server(letters, **options) as port:
        ca = str(certificate[0])
        assert "taken" in mail(port, secret="hunter2", security="starttls", ca=ca, user="dothi")
        with pytest.raises(Undelivered, match="login refused: 535") as refusal:
            mail(port, secret="wrong-one", security="starttls", ca=ca, user="dothi")
        assert refusal.value.sort == "away"
        with pytest.raises(Undelivered, match="no answer: ") as refusal:
            mail(port, secret="hunter2", security="starttls", user="dothi")
        assert "hunter2" not in refusal.value.said
    gc.collect()  # that transport, while it may
    assert len(letters.got) == 1


def test_a_server_without_tls_gets_nothing_when_tls_is_asked_for() -> None:
    letters = Letters()
    with mail_server(letters) as port, pytest.raises(Undelivered):
        mail(port, security="starttls")
    assert letters.tries == 0


def test_the_next_message_finds_a_receiver_that_has_recovered() -> None:
    with http_receiver(CLOSE, OK) as receiver:
        with pytest.raises(Undelivered):
            post(receiver)
        assert post(receiver) == "answered 200"
