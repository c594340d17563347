"""Prompts as text: where the emotion goes, and what is refused there."""

from __future__ import annotations

import pytest

from emosym.errors import UsageError
from emosym.models.painter.prompt import fill_placeholders, without_placeholders


def test_placeholders_go_where_the_braces_are() -> None:
    assert fill_placeholders("a {} street", 2) == "a <|emo|><|ctx|><|ctx|> street"
    assert fill_placeholders("a street", 1) == "<|emo|><|ctx|> a street"
    assert fill_placeholders("", 0) == "<|emo|>"
    assert without_placeholders("a {} street") == "a street"
    assert without_placeholders("two  spaces") == "two  spaces"
    with pytest.raises(UsageError, match="may hold one"):
        fill_placeholders("{} and {}", 1)
    with pytest.raises(UsageError, match="not its tokens"):
        fill_placeholders("a <|ctx|> street", 1)
