"""What detectors find, in words: from words.yaml into the database, where views and dashboards read them."""

from importlib.resources import files
from typing import NamedTuple

import psycopg
import yaml

PUT = """
insert into rollup.detector_words (detector, title_vi, title_en) values (%s, %s, %s)
on conflict (detector) do update set (title_vi, title_en) = (excluded.title_vi, excluded.title_en)
where (rollup.detector_words.title_vi, rollup.detector_words.title_en)
      is distinct from (excluded.title_vi, excluded.title_en)
"""


class Words(NamedTuple):
    """Of one detector, in Vietnamese and in English."""

    vi: str
    en: str


def words() -> dict[str, Words]:
    """By the name of the detector."""
    text = files("analytics").joinpath("detectors/words.yaml").read_text("utf-8")
    return {name: Words(**said) for name, said in yaml.safe_load(text).items()}


def sync_words(connection: psycopg.Connection) -> None:
    """Bring the database's words to those of the file; safe to run twice. What was found by detectors of old keeps
    its words."""
    with connection.transaction(), connection.cursor() as cursor:
        cursor.executemany(PUT, [(name, *said) for name, said in words().items()])
