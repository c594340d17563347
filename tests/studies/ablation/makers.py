"""A small study, shared by the tests of the ablation."""

from __future__ import annotations

from typing import Any


def small() -> dict[str, Any]:
    """Two parts: align with three arms, and rl on one of them."""
    return {
        "study": "small",
        "seeds": 2,
        "stages": {
            "align": {"lora": {"r": 2}, "optim": {"steps": 3}},
            "rl": {"optim": {"steps": 2}},
        },
        "parts": [
            {
                "name": "align", "title": "Stage 1", "stage": "align", "question": "?",
                "base": "none", "fractions": [0.5, 1.0],
                "arms": {
                    "ours": {"label": "ours", "seeds": {0.5: 3, 1.0: 2}},
                    "none": {"label": "none", "set": {"rationale": "none", "optim.steps": 5}},
                },
            },
            {
                "name": "rl", "title": "Stage 2", "stage": "rl", "question": "?", "base": "start",
                "init": "align/ours",
                "arms": {
                    "start": {"label": "before", "same_as": "align/ours"},
                    "grpo": {"label": "grpo", "set": {"objective": "grpo"}},
                },
            },
        ],
        "expect": [
            {"text": "ours is better", "part": "align", "first": "ours", "second": "none",
             "direction": "first_higher"},
        ],
        "full": {"all_seeds": 4, "stages": {"align": {"optim": {"steps": 30}}}},
    }  # fmt: skip
