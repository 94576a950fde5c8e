"""Zones, units, targets and profiles of the code → the registry's tables."""

from typing import Any

import psycopg

from devices.area import PLAN, UNITS, ZONES, people_2030
from devices.profile import PROFILES


def sync_catalogue(connection: psycopg.Connection[Any]) -> None:
    """Bring zones, units, targets and profiles of the code into the registry; safe to run twice."""
    with connection.cursor() as cursor:
        cursor.executemany(
            "insert into registry.area (id, code, name_vi, name_en, province, people_2019, people_2030, lat, lon) "
            "values (%s, %s, %s, %s, %s, %s, %s, %s, %s) on conflict (id) do update set "
            "(name_vi, name_en, province, people_2019, people_2030, lat, lon) = (excluded.name_vi, excluded.name_en, "
            "excluded.province, excluded.people_2019, excluded.people_2030, excluded.lat, excluded.lon)",
            [
                (z.id, z.code, z.name_vi, z.name_en, z.province, z.people_2019, people_2030(z), z.lat, z.lon)
                for z in ZONES
            ],
        )
        cursor.executemany(
            "insert into registry.unit (code, level, name, parent, area, valid_from, valid_to, successor, source) "
            "values (%s, %s, %s, %s, %s, %s, %s, %s, %s) on conflict (level, code, valid_from) do update set "
            "(name, parent, area, valid_to, successor, source) = (excluded.name, excluded.parent, excluded.area, "
            "excluded.valid_to, excluded.successor, excluded.source)",
            [
                (u.code, u.level, u.name, u.parent, u.zone, u.valid_from, u.valid_to, u.successor, u.source)
                for u in UNITS
            ],
        )
        cursor.executemany(
            "insert into registry.target (year, low, high, source) values (%s, %s, %s, %s) "
            "on conflict (year) do update set (low, high, source) = (excluded.low, excluded.high, excluded.source)",
            [(t.year, t.low, t.high, t.source) for t in PLAN],
        )
        cursor.executemany(
            "insert into registry.profile (profile, family, title_vi, title_en, interval_s) "
            "values (%s, %s, %s, %s, %s) "
            "on conflict (profile) do update set (family, title_vi, title_en, interval_s) = "
            "(excluded.family, excluded.title_vi, excluded.title_en, excluded.interval_s)",
            [(p.name, p.family.name, p.title["vi"], p.title["en"], p.interval_s) for p in PROFILES.values()],
        )
