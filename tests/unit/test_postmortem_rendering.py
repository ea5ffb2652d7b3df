"""What a record alone writes, and the five forms it is written out in."""

import sys
from datetime import timedelta
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.documents.document import Document, markdown_of, sha256_of
from backend.documents.printing import pdf_of, refuse_without_library
from backend.documents.text import literal, visible
from backend.documents.webpage import html_of
from backend.errors import WatchfloorError
from backend.incidents.postmortem.finding import finding_of
from backend.incidents.postmortem.prefill import head, prefilled
from backend.incidents.postmortem.report import read_report
from backend.incidents.postmortem.templates import OWN, Template, templates_of
from backend.incidents.postmortem.wording import duration
from backend.policy.load import load_policy
from contract.incidents import Impact, IncidentStatus, Severity
from tests.support.incident_facts import BEGAN, after, facts, line
from tests.support.reports import real_reports

HOSTILE = st.text(
    alphabet=st.sampled_from("ab <>&\"'|#*_`~[]()!\\-+=:1.\n\r\t\x1b\x07\x9b\u202e\u2028\ud7ff中"), max_size=60
)


def template(name: str = OWN) -> Template:
    policy = load_policy("mev")
    return templates_of(policy.incidents.post_mortem, policy.incident_rules.templates)[name]


def test_the_document_s_template_is_filled_from_the_record() -> None:
    made = prefilled(template(), facts())
    assert list(made) == [
        "summary", "timeline", "impact", "root_cause", "resolution", "lessons_learned", "follow_up_actions",
    ]  # fmt: skip
    assert made["summary"] == (
        "Relay refuses bundles: a high incident (availability), declared by officer1 at 2026-11-22 03:04:00 UTC, "
        "commanded by officer1.\nIt was resolved at 2026-11-22 04:15:00 UTC, after 1 h 15 min."
    )
    assert made["impact"].splitlines() == [
        "- **Duration:** 1 h 15 min (2026-11-22 03:00:00 UTC to 2026-11-22 04:15:00 UTC)",
        "- **Affected Services:** execution",
        "- **Financial Impact:** 1,200.5 USD",
        "- **Users Affected:** 12",
        "- **Scopes:** chain:ethereum",
    ]
    assert "| Fix deployed | not recorded |" in made["timeline"]
    assert "| 2026-11-22 03:00:00 | Success rate fell to 0.2 | Watchfloor |" in made["timeline"]
    assert made["root_cause"] == ""
    assert "Isolate affected systems (admin1, 2026-11-22 03:09:00 UTC)" in made["resolution"]
    assert "Prevent further damage" not in made["resolution"]
    assert made["lessons_learned"].startswith("### What went well")
    assert made["follow_up_actions"] == "- [ ] Watch the relay (trader1, due 2026-12-01)"


def test_the_other_template_is_filled_as_well() -> None:
    made = prefilled(template("sre"), facts())
    assert made["detection"].startswith("Detected at 2026-11-22 03:02:00 UTC.\n- LOW\\_SUCCESS\\_RATE")
    assert "relay.log (2,048 bytes, SHA-256 abab" in made["supporting_information"]
    assert made["action_items"] == "- [ ] Watch the relay (trader1, due 2026-12-01)"
    assert {"root_causes", "trigger"} <= {key for key, text in made.items() if not text}


def test_what_nobody_has_said_is_never_a_number() -> None:
    bare = facts(status=IncidentStatus.OPEN, milestones=[], impact=Impact(), steps=[], links=[], commander=None)
    made = prefilled(template(), bare._replace(timeline=(), follow_ups=(), evidence=(), entries=0))
    assert made["impact"].splitlines()[:4] == [
        "- **Duration:** not over; began 2026-11-22 03:04:00 UTC",
        "- **Affected Services:** not recorded",
        "- **Financial Impact:** not recorded",
        "- **Users Affected:** not recorded",
    ]
    assert "The record has no lines." in made["timeline"]
    assert made["follow_up_actions"].startswith("None is recorded.")


def test_a_long_record_is_cut_and_says_by_how_much() -> None:
    lines = tuple(line(number, "word " * 200, minutes=number) for number in range(1, 1_001))
    made = prefilled(template(), facts()._replace(timeline=lines, entries=1_234))["timeline"]
    shown = made.count("officer1")
    assert 0 < shown < 1_000
    assert made.endswith(f"{1_234 - shown} more lines are in the record of INC-2026-001.")
    assert len(made) < 100_000


def test_a_corrected_line_is_struck_out() -> None:
    corrected = line(1, "It was the relay", corrected_by="line-2")
    made = prefilled(template(), facts()._replace(timeline=(corrected,), entries=1))
    assert "| ~~It was the relay~~ (corrected by a later line) |" in made["timeline"]


class _Seen(HTMLParser):
    """Which tags and addresses a page has, and its text."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.addresses: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.addresses += [value or "" for name, value in attrs if name in {"href", "src"}]
        assert not [name for name, _ in attrs if name.startswith("on") or name == "id"]
        assert all((value or "").startswith("text-align:") for name, value in attrs if name == "style")

    def handle_data(self, data: str) -> None:
        self.text += data


def page(document: Document) -> _Seen:
    seen = _Seen()
    seen.feed(html_of(document, ["Approved by officer1"]))
    return seen


@settings(deadline=None)
@given(HOSTILE)
def test_foreign_text_shows_as_itself_and_as_nothing_else(text: str) -> None:
    document = Document(f"INC-2026-001: {literal(text)}", (), (("Timeline", f"| {literal(text)} |\n| --- |\n"),))
    seen = page(document)
    frame = {"html", "head", "meta", "title", "style", "body", "h1", "h2", "ul", "footer", "p"}
    assert seen.tags <= frame | {"table", "thead", "tr", "th"}
    assert " ".join(visible(text).split()) in " ".join(seen.text.split())


@settings(deadline=None)
@given(HOSTILE)
def test_no_section_runs_or_loads_anything_or_swallows_the_next(text: str) -> None:
    seen = page(Document("x", (("Date", text),), (("One", text), ("Two", "the second"))))
    assert not seen.tags & {"script", "img", "iframe", "object", "embed", "link", "svg", "form", "base"}
    assert all(one.startswith(("http://", "https://", "mailto:", "#")) for one in seen.addresses)
    assert "the second" in seen.text
    assert not {"\x1b", "\u202e", "\x9b", "\x07"} & set(html_of(Document("x", (), (("One", text),))))


@pytest.mark.parametrize(
    "text",
    [
        "[a](javascript:alert(1))", "[a](JaVaScRiPt:alert(1))", "[a](data:text/html,x)", "<a href='x'>",
        "![a](https://x/y.png)",
        "[a](//evil.example)", "[a](file:///etc/passwd)", "[a][b]\n\n[b]: vbscript:x", "&#x202e;", "<javascript:x>",
    ],
)  # fmt: skip
def test_addresses_are_of_the_web_and_of_mail_only(text: str) -> None:
    seen = page(Document("x", (), (("One", text),)))
    assert not [one for one in seen.addresses if not one.startswith("https://x/y.png")]
    assert "img" not in seen.tags
    assert "\u202e" not in html_of(Document("x", (), (("One", text),)))


def document() -> Document:
    record = facts()
    made = prefilled(template(), record)
    sections = tuple((section.title, made[section.key]) for section in template().sections)
    return Document(
        f"{record.incident.id}: {literal(record.incident.title)}", tuple(head(template(), record, ())), sections
    )


def test_markdown_is_the_same_for_the_same_facts_and_reads_back() -> None:
    text = markdown_of(document())
    assert text == markdown_of(document())
    assert sha256_of(text) != sha256_of(text + " ")
    found = read_report("INC-2026-001.md", text)
    assert [section.title for section in found.sections if section.level == 2] == [
        section.title for section in template().sections
    ]
    assert str(found.date) == "2026-11-22"
    assert text.startswith("# INC-2026-001: Relay refuses bundles\n\n- **Incident ID:** INC-2026-001\n")


def test_markdown_has_nothing_that_a_terminal_obeys() -> None:
    text = markdown_of(Document("x", (), (("One", "a\x1b[2Jb\r\nc\u202ed"),)))
    assert text == "# x\n\n\n## One\n\na\ufffd[2Jb\nc\ufffdd\n"


@settings(max_examples=30, deadline=None)
@given(HOSTILE)
def test_pdf_takes_any_text(text: str) -> None:
    made = pdf_of(
        Document(literal(text), (("Date", text),), (("One", text), ("Two", f"- {text}\n\n| a |\n|-|\n| b |")))
    )
    assert made.startswith(b"%PDF-")


def test_pdf_is_the_same_for_the_same_document() -> None:
    assert pdf_of(document(), ["Approved by officer1"]) == pdf_of(document(), ["Approved by officer1"])


@pytest.mark.parametrize(
    "text",
    ["w" * 20_000, f"| a | b |\n| - | - |\n| {'long ' * 5_000} | x |", "- a\n" * 500, "> " * 90 + "deep",
     "```\n" + "x" * 9_000],
    ids=["one word", "cell higher than a page", "list", "nested", "code"],
)  # fmt: skip
def test_pdf_breaks_what_does_not_fit_on_a_page(text: str) -> None:
    assert pdf_of(Document("x", (), (("One", text),))).startswith(b"%PDF-")


def test_every_real_report_can_be_written_out() -> None:
    for name, text in list(real_reports().items())[::4]:
        found = read_report(name, text)
        made = Document(literal(found.title), (), tuple((one.title, one.text) for one in found.sections))
        assert pdf_of(made).startswith(b"%PDF-")
        assert not page(made).tags & {"script", "img"}


def test_pdf_is_refused_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "reportlab", None)
    with pytest.raises(WatchfloorError, match="cannot write PDF") as refused:
        refuse_without_library()
    assert "watchfloor[pdf]" in (refused.value.hint or "")


REQUIRED = {
    "activity_id", "category_uid", "class_uid", "type_uid", "time", "severity_id", "status_id", "metadata",
    "finding_info_list",
}  # fmt: skip
"""Of an Incident Finding; and one of assignee and assignee_group."""


@pytest.mark.parametrize("status", IncidentStatus)
@pytest.mark.parametrize("severity", Severity)
def test_a_finding_has_what_its_class_requires(status: IncidentStatus, severity: Severity) -> None:
    finding: dict[str, Any] = finding_of(facts(status=status, severity=severity, links=[], commander=None))
    assert set(finding) >= REQUIRED
    assert finding["type_uid"] == 200500 + finding["activity_id"]
    assert finding["time"] == after(4).timestamp() * 1_000
    assert finding["start_time"] == BEGAN.timestamp() * 1_000
    assert finding["severity_id"] in {2, 3, 4, 5}
    assert finding["status_id"] in {2, 4, 5}
    assert "incident" in finding["metadata"]["profiles"]
    assert finding["assignee"]["name"] == "officer1"
    assert all(one["uid"] for one in finding["finding_info_list"])
    assert "verdict_id" not in finding


def test_a_drill_is_found_to_be_a_test() -> None:
    finding = finding_of(facts(drill=True))
    assert (finding["verdict_id"], finding["finding_info_list"][0]["uid"]) == (6, "alert:a1")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59, "59 s"), (61, "1 min 1 s"), (3_600, "1 h"), (3_661, "1 h 1 min"), (90_000, "1 d 1 h"),
     (-61, "minus 1 min 1 s")],
)  # fmt: skip
def test_durations_read_well(seconds: int, text: str) -> None:
    assert duration(timedelta(seconds=seconds)) == text
