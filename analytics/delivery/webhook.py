"""A program is told by HTTP: JSON, signed, under a key that is the same in every try."""

import asyncio
import hashlib
import hmac
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from analytics.delivery.channel import Message, Undelivered, reason
from analytics.delivery.routes import Secrets, Webhook

if TYPE_CHECKING:
    import niquests

SIGNATURE = "Dothi-Signature"
KEY = "Idempotency-Key"
REFUSED = frozenset((400, 405, 406, 409, 411, 413, 414, 415, 422))
"""Of this message, not of all: what another try will hardly change."""
LONGEST_ASKED_S = 600.0


def signature(secret: str, body: bytes, at: int) -> str:
    """What proves who sent it and when: `t=<s since 1970>,v1=<HMAC-SHA256 of "<t>.<body>" in hex>`.

    >>> signature("0123456789abcdef", b"{}", 1767225600)
    't=1767225600,v1=99902517b3069f78750aa0520b0493482454c2d30a579c7acc839f3363ca1b88'
    """
    signed = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={signed}"


class WebhookChannel:
    """Connections to one receiver, kept while they last."""

    def __init__(self, receiver: Webhook, secrets: Secrets) -> None:
        self._receiver = receiver
        self._secrets = secrets
        self._session: niquests.AsyncSession | None = None

    async def __aenter__(self) -> Self:
        """Nothing is opened yet."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close what is open."""
        if self._session:
            await self._session.close()

    def session(self) -> "niquests.AsyncSession":
        """Made when it is first needed: the library costs a third of a second."""
        import niquests

        if self._session is None:
            # Neither asks others about certificates, nor follows where the receiver points: what we send is secret.
            self._session = niquests.AsyncSession(
                retries=0, disable_http3=True, revocation_configuration=None, pool_maxsize=self._receiver.at_once
            )
            self._session.trust_env = False
            self._session.verify = self._receiver.ca or True
        return self._session

    async def send(self, message: Message) -> str:
        """Tell it; what it answered. Raises Undelivered."""
        limit = self._receiver.time_limit_s
        try:
            async with asyncio.timeout(limit):
                return await self._post(message)
        except TimeoutError:
            raise Undelivered(f"no answer within {limit:g} s") from None

    async def _post(self, message: Message) -> str:
        import niquests

        body, at = message.document, int(time.time())
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "User-Agent": "dothi",
            KEY: message.key,
            SIGNATURE: signature(self._secrets.secret, body, at),
        }
        try:
            answer = await self.session().post(
                self._secrets.url,
                data=body,
                headers=headers,
                allow_redirects=False,
                stream=True,  # the status is the answer; whatever follows is not read
                timeout=self._receiver.time_limit_s,
            )
        except (niquests.exceptions.RequestException, OSError) as error:
            raise Undelivered(f"no answer: {reason(error)}") from None
        except Exception as error:  # what is no HTTP reaches us as whatever its reader stumbled over
            raise Undelivered(f"answers what is no HTTP ({type(error).__name__})") from None
        status, asked = answer.status_code or 0, after(answer.headers)
        await answer.close()
        return judged(status, asked)


def judged(status: int, after_s: float | None) -> str:
    """What a status means: taken, or Undelivered."""
    if 200 <= status < 300:
        return f"answered {status}"
    if status == 410:
        raise Undelivered("answered 410: it wants nothing any more", "gone")
    if 300 <= status < 400:
        raise Undelivered(f"answered {status}: redirects are not followed, give the address itself")
    raise Undelivered(f"answered {status}", "refused" if status in REFUSED else "away", after_s)


def after(headers: Mapping[str, Any]) -> float | None:
    """Seconds after which a receiver asks to be tried again, by Retry-After; None: it does not say."""
    said = str(headers.get("retry-after") or "").strip()
    try:
        seconds = float(said) if said.isdecimal() else parsedate_to_datetime(said).timestamp() - time.time()
    except (TypeError, ValueError):
        return None
    return min(max(0.0, seconds), LONGEST_ASKED_S)
