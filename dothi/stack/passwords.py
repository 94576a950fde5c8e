"""Random passwords, made once per stack folder and kept in it."""

import base64
import hashlib
import json
import os
import secrets
from pathlib import Path

ROLES = ("dothi_writer", "dothi_analyst", "dothi_reader", "dothi_operator", "dothi_admin")
NAMES = ("dothi", *ROLES, "ingest", "gateway")
ITERATIONS = 101  # mosquitto's own default; the passwords are random, so guessing is hopeless anyway


def passwords(folder: Path) -> dict[str, str]:
    """Password by user, from folder/secrets.json (mode 0600); missing ones are made and kept."""
    path = folder / "secrets.json"
    try:
        kept: dict[str, str] = json.loads(path.read_text())
    except FileNotFoundError:
        kept = {}
    missing = {name: secrets.token_urlsafe(24) for name in NAMES if name not in kept}
    if missing:
        write_private(path, json.dumps(kept | missing, indent=2) + "\n")
    return kept | missing


def write_private(path: Path, text: str, mode: int = 0o600) -> None:
    """Write a file that only its owner reads; readers see the old text or the new one, never a half."""
    fresh = path.with_name(f"{path.name}.{os.getpid()}.new")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w") as file:
        file.write(text)
    fresh.chmod(mode)
    fresh.replace(path)


def password_line(user: str, password: str) -> str:
    """A line of mosquitto's password file: PBKDF2 with SHA-512, 64 bytes."""
    salt = secrets.token_bytes(12)
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, ITERATIONS, 64)
    return f"{user}:$7${ITERATIONS}${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"
