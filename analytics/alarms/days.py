"""The follower that counts the alarms of days that are over: with boards' other figures, for it may take seconds."""

from datetime import datetime, timedelta

import psycopg

from analytics.bulletins.bulletin import Every
from analytics.columns import Columns

EVERY = timedelta(seconds=60)
DAYS_AT_ONCE = 10
COUNT = "select rollup.count_alarm_days(%s)"


class AlarmDays:
    """Follower `alarm-days`."""

    name = "alarm-days"

    def __init__(self) -> None:
        self._every = Every(EVERY)

    def reset(self, connection: psycopg.Connection) -> None:
        """Days that are counted are in the database."""

    def take(self, connection: psycopg.Connection, columns: Columns) -> None:
        """Readings are no alarms."""

    def tick(self, connection: psycopg.Connection, now: datetime) -> None:
        """Count some days, the newest first."""
        if self._every.passed(now):
            connection.execute(COUNT, (DAYS_AT_ONCE,))
