"""Reports written elsewhere: what is found in the real ones, and that nothing of any text is lost."""

from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.incidents.postmortem.report import Report, read_report
from tests.support.reports import REPORTS, real_reports


def read(text: str, name: str = "report.md") -> Report:
    return read_report(name, text)


def test_every_real_report_has_a_title_a_date_and_its_sections_and_loses_nothing() -> None:
    reports = real_reports()
    assert len(reports) == REPORTS
    for name, text in reports.items():
        found = read_report(name, text)
        assert "".join(section.text for section in found.sections) == text
        assert found.title, name
        assert found.date, name
        headings = [section.title for section in found.sections if section.title]
        assert headings or "decide is down" in name, name
    total = sum(len(read_report(name, text).sections) for name, text in reports.items())
    assert total > 5 * REPORTS


@pytest.mark.parametrize(
    ("end", "title", "day", "sections"),
    [
        (
            "2021-05-09-negative-coin-values.md",
            "negative coin values",
            date(2021, 5, 9),
            ["Issue summary", "Timeline (UTC) All Times Approximate", "Root Cause", "Resolution and Recovery"],
        ),
        ("04-25-User_Account_Compromise.md", "User Account Compromise", date(2023, 4, 21), ["ISSUE NAME"]),
        (
            "incentives_epoch_miss_12th_march_23.md",
            "INCIDENT REPORT: cSwap Reward Distribution Failure",
            date(2023, 3, 12),
            ["INCIDENT REPORT: cSwap Reward Distribution Failure", "Date: 12th March 2023"],
        ),
        ("PM2020-003 - Postmortem for ADSync migration.md", "ADSync migration issues", date(2020, 1, 16), []),
        ("PM2022-006 - ALB 502 errors.md", "ALB 502 Errors", date(2022, 5, 25), ["ALB 502 Errors", "Summary"]),
        (
            "2025-11-15-persons-db-migration.md",
            "PostHog Data Processing Delays - Events & Persons Ingestion (November 2025)",
            date(2025, 11, 15),
            [],
        ),
        ("2024-02-28-decide is down.md", "decide is down", date(2024, 2, 28), [""]),
    ],
)
def test_awkward_real_reports(end: str, title: str, day: date, sections: list[str]) -> None:
    name, text = next((name, text) for name, text in real_reports().items() if name.endswith(end))
    found = read_report(name, text)
    assert (found.title, found.date) == (title, day)
    assert [section.title for section in found.sections][: len(sections)] == sections


@given(st.text(alphabet=st.sampled_from("# \n\r\t=-`~>*_[]()|ab1\u2028\x85\x0b<!"), max_size=80))
def test_no_text_loses_anything(text: str) -> None:
    assert "".join(section.text for section in read(text).sections) == text


def test_headings_inside_code_are_none() -> None:
    found = read("# One\n\n```\n# not one\n```\n\n    # nor this\n\nTwo\n---\nend")
    assert [(section.title, section.level) for section in found.sections] == [("One", 1), ("Two", 2)]


def test_marks_of_a_heading_are_no_part_of_its_title() -> None:
    assert read("# **Outage** of [the site](https://example.com) in `a_b` and c_d_e").title == (
        "Outage of the site in a_b and c_d_e"
    )


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("# X\n\n**Date:** January 14-19, 2026", date(2026, 1, 14)),
        ("# X\n\nDate: 9th of June 2020", date(2020, 6, 9)),
        ("# X on 5-26-21", date(2021, 5, 26)),
        ("# X\n\nIt began on Nov 8, 2022 and ended on 2022-11-10.", date(2022, 11, 8)),
        ("# X\n\nOn 2022-13-45 nothing happened.", None),
        ("# X\n\nIn May we saw 20 of them; on June 3 as well.", None),
        ("# X\n\nversion 20202-01-16", None),
    ],
)
def test_dates_are_what_the_report_says(text: str, day: date | None) -> None:
    assert read(text).date == day


def test_a_name_says_the_year_of_dates_without_one() -> None:
    assert read_report("2022/PM-1.md", "# X\n\nOn June 3 it broke.").date == date(2022, 6, 3)


def test_thousands_of_headings_are_kept_in_the_last_section() -> None:
    text = "# a\n" * 3_000
    found = read(text)
    assert len(found.sections) == 1_000
    assert "".join(section.text for section in found.sections) == text


def test_shared_reports_are_found_where_they_lie() -> None:
    assert all(Path(name).parts[0] in {"chia", "comdex", "dfds", "posthog"} for name in real_reports())
