"""What `watchfloor` understands before anything is imported."""

import pytest

from watchfloor.entry import _options


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        ([], {}),
        (["--url", "http://127.0.0.1:1"], {"--url": "http://127.0.0.1:1"}),
        (["--theme=light", "--url=http://127.0.0.1:1"], {"--theme": "light", "--url": "http://127.0.0.1:1"}),
        (["--url"], None),
        (["--url", "a", "--url", "b"], None),
        (["--colour", "x"], None),
        (["url"], None),
    ],
)
def test_options_of_the_console(arguments: list[str], options: dict[str, str] | None) -> None:
    assert _options(arguments) == options
