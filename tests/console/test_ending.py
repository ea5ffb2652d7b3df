"""A console that ends while something it waits for hangs: what still arrives has no screen to be drawn on."""

from tests.console.driving import running


async def test_what_arrives_while_the_console_ends_is_drawn_nowhere() -> None:
    async with running() as run:
        app = run.app
    assert not app._screen_stack
    app._arrived()
    app._tick()
    app.repaint()
    assert app.latest is not None
