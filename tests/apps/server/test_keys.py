"""Keys: where they come from, who is who, and what is never shown."""

from __future__ import annotations

import pytest

from emosym.apps.server.keys import NOBODY, Keys, check_bind, is_loopback, read_keys
from emosym.errors import UsageError

FIRST, SECOND = "first-key-of-24-signs-xx", "second-key-of-24-signs-x"


def test_keys_of_a_file_and_of_the_environment(tmp_path) -> None:
    file = tmp_path / "keys"
    file.write_text(f"# ours\n\n{FIRST}  # the page\n")
    keys = read_keys(file, {"EMOSYM_API_KEY": SECOND})
    assert keys.owner_of(f"Bearer {FIRST}") == "key 1"
    assert keys.owner_of(f"bearer {SECOND} ") == "key 2"
    for wrong in (None, "", FIRST, f"Basic {FIRST}", "Bearer", f"Bearer {FIRST}x", "Bearer \udcff"):
        assert keys.owner_of(wrong) is None
    assert FIRST not in repr(keys) and "digest" not in repr(keys)


def test_without_keys_all_are_one() -> None:
    assert read_keys(None, {}) == Keys()
    assert Keys().owner_of(None) == Keys().owner_of("Bearer x") == NOBODY


@pytest.mark.parametrize("text", ["short", "two words of a long key", ""])
def test_a_weak_key_is_refused_and_not_shown(tmp_path, text) -> None:
    file = tmp_path / "keys"
    file.write_text(text + "\n")
    with pytest.raises(UsageError) as told:
        read_keys(file, {})
    assert not text or text not in str(told.value)


def test_beyond_this_machine_only_with_a_key(tmp_path) -> None:
    for host in ("127.0.0.1", "localhost", "::1", "[::1]", "127.8.0.1"):
        assert is_loopback(host)
        check_bind(host, Keys(), False)
    for host in ("0.0.0.0", "::", "192.168.0.7", "example.org", "127.0.0.1.example.org"):
        assert not is_loopback(host)
        with pytest.raises(UsageError, match="--api-key-file"):
            check_bind(host, Keys(), False)
        check_bind(host, Keys(), True)
        check_bind(host, Keys((b"x",)), False)
