"""Keys of recipes that older versions wrote, under the names they have now."""

from __future__ import annotations

from typing import Any

from emosym.errors import UsageError

WITHOUT_REWARDS = ("supervised", "parity")  # their older recipes held `reward`, and ignored it


def with_present_keys(raw: dict[str, Any], origin: str) -> dict[str, Any]:
    """Return a recipe's mapping with the keys of this version; a recipe of this version as it is.

    Raises:
        UsageError: when a key is given by its old name and by its new one.
    """
    if raw.get("stage") != "rl" or "reward" not in raw:
        return raw
    if "rewards" in raw:
        raise UsageError(
            f"Recipe {origin} has both `reward` and `rewards`. `reward: name` is the older form of "
            "`rewards: {name: 1.0}`; keep `rewards` alone."
        )
    present = {key: value for key, value in raw.items() if key != "reward"}
    if raw["reward"] == "accuracy" and raw.get("objective") in WITHOUT_REWARDS:
        return present
    return {**present, "rewards": {raw["reward"]: 1.0}}
