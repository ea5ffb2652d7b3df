"""The real incident reports of the shared data, by their path, as they are: no line end is changed."""

import re
from functools import cache

from tests.support.shared_data import shared_data

REPORTS = 83
_REPORT = re.compile(r"chia/20.*\.md|comdex/[^/]+/.*\.md|dfds/PM20.*|posthog/(investigations/)?20.*\.md")


@cache
def real_reports() -> dict[str, str]:
    """Path → text of every report; templates, licences and descriptions are none. Skips without the data."""
    root = shared_data("incidents")
    found = {}
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        if path.is_file() and _REPORT.fullmatch(name):
            found[name] = path.read_bytes().decode()
    return found
