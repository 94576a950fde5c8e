"""SCRAM-SHA-256 (RFC 5802, RFC 7677) of a client, as PostgreSQL asks it: who has a password proves it, to a server that
proves that it knows it too. Pure.
"""

import hmac
from base64 import b64decode, b64encode
from hashlib import pbkdf2_hmac, sha256

MECHANISM = "SCRAM-SHA-256"
NO_CHANNEL = "n,,"  # the connection has no TLS to bind to


class Unproved(Exception):
    """What the server said is no SCRAM, or it does not know the password; the message says which."""


class Proof:
    """One login. `nonce` is 18 random bytes in base64, `user` is nothing for PostgreSQL, which knows it already."""

    def __init__(self, password: str, nonce: str, user: str = "") -> None:
        self._password = password.encode("ascii")
        self._nonce = nonce
        self._bare = f"n={user},r={nonce}"
        self._expected = b""

    def first(self) -> bytes:
        """What begins it."""
        return (NO_CHANNEL + self._bare).encode()

    def final(self, challenge: bytes) -> bytes:
        """What answers the server's challenge. Raises Unproved."""
        said = fields(challenge)
        try:
            nonce, salt, rounds = said["r"], b64decode(said["s"], validate=True), int(said["i"])
        except (KeyError, ValueError):
            raise Unproved(f"the server's challenge is no SCRAM: {challenge[:80]!r}") from None
        if not nonce.startswith(self._nonce) or rounds < 1:
            raise Unproved("the server's challenge does not answer what was said")
        salted = pbkdf2_hmac("sha256", self._password, salt, rounds)
        without_proof = f"c={b64encode(NO_CHANNEL.encode()).decode()},r={nonce}"
        told = f"{self._bare},{challenge.decode()},{without_proof}".encode()
        key = keyed(salted, b"Client Key")
        signature = keyed(sha256(key).digest(), told)
        self._expected = keyed(keyed(salted, b"Server Key"), told)
        proof = bytes(a ^ b for a, b in zip(key, signature, strict=True))
        return f"{without_proof},p={b64encode(proof).decode()}".encode()

    def check(self, outcome: bytes) -> None:
        """Whether the server knows the password. Raises Unproved."""
        if not self._expected or fields(outcome).get("v") != b64encode(self._expected).decode():
            raise Unproved("the server does not prove that it knows the password")


def keyed(key: bytes, text: bytes) -> bytes:
    """HMAC-SHA-256."""
    return hmac.digest(key, text, "sha256")


def fields(said: bytes) -> dict[str, str]:
    """What stands in a message, by letter.

    >>> fields(b"r=abc,s=QSXCR+Q6sek8bf92,i=4096")
    {'r': 'abc', 's': 'QSXCR+Q6sek8bf92', 'i': '4096'}
    """
    parts = (part.partition("=") for part in said.decode("ascii", "replace").split(","))
    return {name: value for name, _, value in parts}
