"""Errors name what was got, what is valid, and the nearest name."""

from __future__ import annotations

import pickle

from emosym.errors import EmoSymError, StoppedEarly, UsageError, nearest, unknown_name


def test_exit_codes() -> None:
    kinds = (EmoSymError, UsageError, StoppedEarly)
    assert [kind.exit_code for kind in kinds] == [1, 2, 75]
    assert all(issubclass(kind, EmoSymError) for kind in kinds)


def test_errors_come_back_whole_from_another_process() -> None:
    again = pickle.loads(pickle.dumps(StoppedEarly("unet at step 20 of 300")))
    assert type(again) is StoppedEarly and str(again) == "unet at step 20 of 300"


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
