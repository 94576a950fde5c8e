"""Tokens for one device and for very many: 256 random bits each, kept as a hash alone."""

import base64
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from devices import credentials
from devices.credentials import NoCredential
from devices.enroll import Row
from devices.registry import enroll
from tests.stack import RunningStack

Database = psycopg.Connection[Any]
KEPT = """
select d.device, c.hash from registry.credential c join registry.device d on d.id = c.device
where d.device like 'bulk-%%' and c.slot = %s and c.revoked is null order by d.device desc
"""


@pytest.fixture
def database(stack: RunningStack) -> Iterator[Database]:
    """A connection of the owner."""
    with psycopg.connect(stack.document["database"], autocommit=True) as connection:
        yield connection


@pytest.mark.parametrize("count", [0, 1, 2, 1000])
def test_a_token_is_256_random_bits_in_letters_that_need_no_quoting(count: int) -> None:
    tokens = credentials.new_tokens(count)
    assert (tokens.dtype, tokens.shape) == ("S43", (count,))
    assert len(set(tokens.tolist())) == count
    for token in tokens.tolist():
        bits = base64.urlsafe_b64decode(token + b"=")
        assert len(bits) == 32
        assert base64.urlsafe_b64encode(bits).rstrip(b"=") == token


@pytest.mark.stack
def test_many_tokens_come_in_the_order_of_their_devices_and_replace_what_was(database: Database) -> None:
    devices = [f"bulk-{number}" for number in range(5, 0, -1)]
    enroll(database, [Row(device, "native-meter", "215") for device in devices])
    credentials.issue(database, devices[1:3])
    credentials.rotate(database, devices[1:2])
    tokens = credentials.issue_tokens(database, devices).tolist()
    wanted = [(device, credentials.hash_of(token.decode())) for device, token in zip(devices, tokens, strict=True)]
    assert database.execute(KEPT, (0,)).fetchall() == wanted
    assert database.execute(KEPT, (1,)).fetchall() == []


@pytest.mark.stack
@pytest.mark.parametrize("stranger", ["bulk-nobody", "Token\t1", "\\.", ""])
def test_for_a_stranger_nobody_gets_a_token(database: Database, stranger: str) -> None:
    enroll(database, [Row("bulkless-1", "native-meter", "215")])
    for make in (credentials.issue, credentials.rotate):
        with pytest.raises(NoCredential, match=r"not enrolled|no token"):
            make(database, ["bulkless-1", stranger])
    known = "select count(*) from registry.credential c join registry.device d on d.id = c.device where d.device = %s"
    assert database.execute(known, ("bulkless-1",)).fetchone() == (0,)
