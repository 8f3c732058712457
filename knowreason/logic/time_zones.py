"""Names of time zones."""

from __future__ import annotations

from zoneinfo import available_timezones

from knowreason.errors import ProgramError, did_you_mean

UTC_ZONE = "UTC"


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
