"""Templates of post-mortems: which sections in which order. Pure; the titles are the policy's."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from backend.incidents.postmortem.wording import slug
from backend.policy.programme import PostMortem

OWN: Final = "incident"
"""The compliance document's template."""


class Section(NamedTuple):
    """A section of a template."""

    key: str
    title: str


class Template(NamedTuple):
    """What a post-mortem is made of."""

    name: str
    fields: tuple[str, ...]
    """Shown at its head."""
    sections: tuple[Section, ...]
    impact_fields: tuple[str, ...]
    lessons: tuple[str, ...]
    follow_up_actions: tuple[str, ...]
    """What the template suggests where nothing has been written down."""
    timeline_events: tuple[str, ...]


def templates_of(own: PostMortem, others: Mapping[str, PostMortem]) -> dict[str, Template]:
    """Every template of a policy by its name."""
    return {name: _template(name, stated) for name, stated in {**others, OWN: own}.items()}


def _template(name: str, stated: PostMortem) -> Template:
    return Template(
        name,
        tuple(stated.fields),
        tuple(Section(slug(title), title) for title in stated.sections),
        tuple(stated.impact_fields),
        tuple(stated.lessons),
        tuple(stated.follow_up_actions),
        tuple(stated.timeline_events),
    )
