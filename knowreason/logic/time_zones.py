"""Names of time zones."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo, available_timezones

from knowreason.errors import ProgramError, did_you_mean

UTC_ZONE = "UTC"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def check_zone(name: str) -> str:
    """The name, if it is a zone of the IANA database.

    Raises:
        ProgramError: KR107.

    >>> check_zone("Europe/Vienna")
    'Europe/Vienna'
    """
    if name != UTC_ZONE and name not in available_timezones():
        raise ProgramError(
            f"no time zone is called `{name}`",
            code="KR107",
            help=did_you_mean(name, sorted(available_timezones()))
            or 'zones have IANA names, as "Europe/Vienna"',
        )
    return name


def zone_info(name: str) -> tzinfo:
    """The zone of a name; UTC needs no database."""
    return UTC if name == UTC_ZONE else ZoneInfo(name)


def moment_in(microseconds: int, zone: str) -> datetime:
    """A time since 1970 as clocks of a zone show it; in UTC where their calendar ends before it.

    >>> str(moment_in(0, "Asia/Tokyo"))
    '1970-01-01 09:00:00+09:00'
    """
    moment = EPOCH + timedelta(microseconds=microseconds)
    try:
        return moment.astimezone(zone_info(zone))
    except OverflowError:  # a few hours from the year 10,000, which stands for never
        return moment
