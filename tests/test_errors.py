"""Errors name what was got, what is valid, and the nearest name."""

from __future__ import annotations

from emosym.errors import EmoSymError, UsageError, nearest, unknown_name


def test_exit_codes() -> None:
    assert (EmoSymError.exit_code, UsageError.exit_code) == (1, 2)
    assert issubclass(UsageError, EmoSymError)


def test_nearest_ignores_case_and_gives_up_on_nonsense() -> None:
    assert nearest("SADNES", ("anger", "Sadness")) == "Sadness"
    assert nearest("zzzz", ("anger", "sadness")) is None
    assert nearest("a", ()) is None


def test_the_message_is_whole() -> None:
    error = unknown_name("emotion", "angr", iter(("anger", "awe")), "Try again.")
    assert isinstance(error, UsageError)
    assert str(error) == (
        "Unknown emotion 'angr'. Did you mean 'anger'? Valid: anger, awe. Try again."
    )
    assert str(unknown_name("emotion", "zzzz", ("awe",))) == "Unknown emotion 'zzzz'. Valid: awe."
