"""Owns how screens ask the backend: one worker per topic that posts its answer as a message.

A worker never touches a widget: it knows the client and where to post. An answer carries the number of its question, so
that a screen can drop one it no longer waits for.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any

from textual.message import Message
from textual.message_pump import MessagePump

if TYPE_CHECKING:
    from console.client.api import Api
    from console.client.errors import ClientError

Call = Callable[[Any], Awaitable[Any]]
"""One use of the client, given the signed-in `Api`."""

_numbers = count(1)


@dataclass(frozen=True)
class Question:
    """What was asked, and which asking of it this was."""

    number: int
    topic: str
    about: str = ""
    """The id of what it is about, so that an answer finds its row."""


class Answered(Message):
    """The backend answered."""

    def __init__(self, question: Question, value: Any) -> None:
        super().__init__()
        self.question = question
        self.value = value


class Refused(Message):
    """The backend refused, or could not be asked."""

    def __init__(self, question: Question, error: "ClientError") -> None:
        super().__init__()
        self.question = question
        self.error = error


class Died(Message):
    """The worker failed in a way nobody foresaw: no answer will come, and what the backend did is not known."""

    def __init__(self, question: Question) -> None:
        super().__init__()
        self.question = question


class Told(Message):
    """Something that has to be read while the answer is waited for, such as that a key has to be touched."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text


class Questions:
    """The latest question of each topic: an answer to an earlier one is stale."""

    def __init__(self) -> None:
        self._latest: dict[str, int] = {}

    def put(self, topic: str, about: str = "") -> Question:
        """Number a new question; it replaces the one before it on the same topic."""
        question = Question(next(_numbers), topic, about)
        self._latest[topic] = question.number
        return question

    def is_current(self, question: Question) -> bool:
        """Whether the answer to it is still waited for."""
        return self._latest.get(question.topic) == question.number

    def is_waiting(self, topic: str) -> bool:
        """Whether a question of the topic has no answer yet."""
        return topic in self._latest

    def settle(self, question: Question) -> bool:
        """Take an answer in; False if it is stale and must be dropped."""
        if not self.is_current(question):
            return False
        del self._latest[question.topic]
        return True

    def forget(self, topic: str) -> None:
        """Drop whatever is still to come on a topic."""
        self._latest.pop(topic, None)


async def ask_backend(poster: MessagePump, api: "Api | None", question: Question, call: Call) -> None:
    """Ask, and post what came of it. Any other error than the client's own also reaches the central worker handler.

    A request that breaks the contract is refused before it is sent: nobody has to wonder what the backend did.
    """
    from pydantic import ValidationError

    from console.client.errors import ClientError

    try:
        value = await call(api)
    except ClientError as error:
        poster.post_message(Refused(question, error))
    except ValidationError as error:
        from console.state.unsendable import why_not_sent

        poster.post_message(Refused(question, ClientError(why_not_sent(error))))
    except Exception:
        poster.post_message(Died(question))  # nobody may wait for it for ever
        raise
    else:
        poster.post_message(Answered(question, value))
