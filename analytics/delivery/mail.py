"""People are told by e-mail: one letter for each step of an alarm, those of one alarm in one thread."""

import asyncio
import contextlib
import ssl
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from types import TracebackType
from typing import TYPE_CHECKING, Self

from analytics.delivery.channel import Message, Undelivered, one_line, reason
from analytics.delivery.routes import Email, Secrets

if TYPE_CHECKING:
    import aiosmtplib

FAREWELL_S = 2.0


class EmailChannel:
    """The way through one SMTP server; a connection for each letter.

    A letter is told once the server has accepted it: nobody waits for its farewell, and no time limit includes it.
    """

    def __init__(self, receiver: Email, secrets: Secrets) -> None:
        self._receiver = receiver
        self._secrets = secrets
        self._farewells: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        """Nothing is opened."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take leave of the servers that have accepted a letter."""
        await asyncio.gather(*self._farewells)

    async def send(self, message: Message) -> str:
        """Hand a letter to the server; what it answered. Raises Undelivered."""
        limit = self._receiver.time_limit_s
        try:
            async with asyncio.timeout(limit):
                return await self._send(letter(message, self._receiver))
        except TimeoutError:
            raise Undelivered(f"no answer within {limit:g} s") from None

    async def _send(self, made: EmailMessage) -> str:
        receiver, client = self._receiver, self._client()
        try:
            await client.connect()
            if receiver.user:
                await client.login(receiver.user, self._secrets.secret)
            refused, said = await client.send_message(made, sender=receiver.sender, recipients=receiver.to)
        except Exception as error:
            client.close()
            raise undelivered(error) from None
        except BaseException:  # our time is over
            client.close()
            raise
        leaving = asyncio.create_task(farewell(client))
        self._farewells.add(leaving)
        leaving.add_done_callback(self._farewells.discard)
        return one_line(said if not refused else f"{said}; not for {', '.join(sorted(refused))}")

    def _client(self) -> "aiosmtplib.SMTP":
        import aiosmtplib

        receiver = self._receiver
        host, _, port = receiver.server.rpartition(":")
        context = None
        if receiver.security != "none":
            context = ssl.create_default_context(cafile=receiver.ca or None)
        return aiosmtplib.SMTP(
            hostname=host.strip("[]"),
            port=int(port),
            timeout=receiver.time_limit_s,
            use_tls=receiver.security == "tls",
            start_tls=receiver.security == "starttls",
            tls_context=context,
        )


async def farewell(client: "aiosmtplib.SMTP") -> None:
    """QUIT. The letter is accepted: whatever goes wrong here must not send it again."""
    try:
        with contextlib.suppress(Exception):
            async with asyncio.timeout(FAREWELL_S):
                await client.quit()
    finally:
        client.close()


def undelivered(error: Exception) -> Undelivered:
    """What a failure means: a server that is away or refuses our login is asked again, a letter it refuses hardly."""
    import aiosmtplib

    if isinstance(error, aiosmtplib.SMTPRecipientsRefused):
        worst = max((one.code for one in error.recipients), default=0)
        said = "; ".join(f"{one.recipient}: {one.code} {one.message}" for one in error.recipients)
        return Undelivered(said, "refused" if worst >= 500 else "away")
    if isinstance(error, aiosmtplib.SMTPAuthenticationError):
        return Undelivered(f"login refused: {error.code}")  # its own words may repeat what we sent
    if isinstance(error, aiosmtplib.SMTPResponseException):
        return Undelivered(f"{error.code} {error.message}", "refused" if permanent(error) else "away")
    if isinstance(error, OSError):
        return Undelivered(f"no answer: {reason(error)}")
    return Undelivered(f"no answer: {one_line(str(error)) or type(error).__name__}")


def permanent(error: Exception) -> bool:
    """Whether the server has judged this letter, not itself or us."""
    import aiosmtplib

    return isinstance(error, aiosmtplib.SMTPDataError) and error.code >= 500


def letter(message: Message, receiver: Email) -> EmailMessage:
    """A letter. Its Message-ID is the same in every try, so that a mailbox that has it already knows it again."""
    made = EmailMessage(policy=SMTP)
    domain = receiver.sender.rpartition("@")[2]
    made["From"] = Address("dothi", addr_spec=receiver.sender)
    made["To"] = [Address(addr_spec=one) for one in receiver.to]
    made["Subject"] = one_line(message.subject)
    made["Date"] = datetime.now(UTC)
    made["Message-ID"] = f"<{message.key}@{domain}>"
    made["References"] = made["In-Reply-To"] = f"<{message.thread}@{domain}>"
    made["Auto-Submitted"] = "auto-generated"  # no answers from mailboxes whose owner is away
    made.set_content(message.body, charset="utf-8", cte="base64")
    return made
