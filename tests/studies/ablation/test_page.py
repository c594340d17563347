"""The ablation's page and tables, from a made-up table: no number in here was measured."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest

from emosym.errors import UsageError
from emosym.studies.ablation.page import ablation_page
from emosym.studies.ablation.words import ablation_latex, ablation_markdown

EVIL = "<script>|&_%"


def cell(mean: float, change: float | None = None, verdict: str = "base") -> dict[str, Any]:
    bounds = {"low": None, "high": None}
    if change is not None:
        bounds = {"low": change - 0.01, "high": change + 0.01}
    return {"mean": mean, "se": 0.004, "difference": change, **bounds, "verdict": verdict}


def row(arm: str, fraction: float, accuracy: Any, control: bool = False) -> dict[str, Any]:
    values = {"accuracy": accuracy, "nll": {**cell(0.4), "se": None}}
    label = arm.replace("_", " ")
    shown = {"arm": arm, "label": label, "fraction": fraction, "control": control}
    return {**shown, "n": 5, "values": values}


def expectation(text: str, direction: str, change: float, verdict: str) -> dict[str, Any]:
    return {
        **{"text": text, "part": "align", "first": "label_blind", "second": "none"},
        **{"fraction": 0.05, "metric": "accuracy", "direction": direction},
        **{"difference": change, "low": change - 0.01, "high": change + 0.01, "n": 5},
        "verdict": verdict,
    }


@pytest.fixture
def made() -> dict[str, Any]:
    """A made-up table of one part."""
    rows = [
        *(row("none", f, cell(a)) for f, a in ((0.05, 0.70), (0.2, 0.80), (1.0, 0.90))),
        row("label_blind", 0.05, cell(0.75, 0.05, "better")),
        row("label_blind", 0.2, cell(0.82, 0.02, "better")),
        row("label_blind", 1.0, cell(0.905, 0.005, "no difference shown")),
        row("shuffled", 1.0, cell(0.88, -0.02, "worse"), control=True),
    ]
    part = {
        **{"name": "align", "question": f"Does a rationale help? {EVIL}", "metric": "accuracy"},
        **{"higher_is_better": True, "base": "none", "rows": rows},
        "expectations": [
            expectation("Label-blind beats none at 5 %.", "first_higher", 0.05, "confirmed"),
            expectation("Shuffled equals none.", "no_difference", -0.02, "refuted"),
        ],
    }
    about = {"name": "made up", "n_test": 4000, "n_ood": 1000, "seeds": [0, 1, 2, 3, 4]}
    tail = {"created": "2026-01-01", "git": "abc", "versions": {"torch": "2"}, "hardware": "a CPU"}
    return {"schema": "emosym.ablation/1", **about, **tail, "minutes": 61.0, "parts": [part]}


def test_the_page_is_complete_and_safe(made: dict[str, Any], tmp_path: Path) -> None:
    page = ablation_page(json.loads(json.dumps(made)), tmp_path / "a.html").read_text()
    assert "<script>" not in page and not re.search(r'(src|srcset|href)="(?!data:|#)', page)
    assert page.count('<svg class="figure on-wide"') == 3  # expectations, arms, learning curves
    assert all(f'aria-label="{start}' in page for start in ("Forest plot", "accuracy (%) by share"))
    assert "Of 2 expectations: 1 confirmed, 1 refuted." in page
    assert "+5.0 [+4.0, +6.0]" in page and "70.0 ± 0.4" in page
    told = ablation_page({**made, "note": f"Superseded. {EVIL}"}, tmp_path / "c.html").read_text()
    assert "<b>Superseded. &lt;script&gt;" in told and "Superseded" not in page
    again = ablation_page(made, tmp_path / "b.html").read_text()
    assert again == page  # the figures too are the same, byte for byte


def test_a_difference_that_was_not_measured_is_not_drawn(
    made: dict[str, Any], tmp_path: Path
) -> None:
    bare = copy.deepcopy(made)
    for one in bare["parts"][0]["rows"]:
        one["values"]["accuracy"].update(difference=None, low=None, high=None)
    bare["parts"][0]["expectations"] = []
    page = ablation_page(bare, tmp_path / "a.html").read_text()
    assert page.count('<svg class="figure on-wide"') == 1
    assert "Nothing was expected in advance." in page


def test_the_tables(made: dict[str, Any]) -> None:
    lines = ablation_markdown(made).splitlines()
    assert "| label blind | 5 % | 5 | 75.0 ± 0.4 | +5.0 [+4.0, +6.0] | better |" in lines
    assert "| shuffled (control) | 100 % | 5 | 88.0 ± 0.4 | -2.0 [-3.0, -1.0] | worse |" in lines
    assert "| none | 20 % | 5 | 80.0 ± 0.4 | – | base |" in lines
    made["parts"][0]["rows"][0]["label"] = EVIL
    latex = ablation_latex(made)
    assert r"<script>|\&\_\% & 5 \% & 5 & 70.0 $\pm$ 0.4 & -- & base \\" in latex
    assert latex.count(r"\toprule") == latex.count(r"\bottomrule") == 1


def test_wrong_tables_are_named(made: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="schema 'other'"):
        ablation_page({**made, "schema": "other"}, tmp_path / "a.html")
    del made["parts"][0]["rows"][3]["fraction"]
    with pytest.raises(UsageError, match="'align': the row 'label_blind' lacks 'fraction'"):
        ablation_markdown(made)
    del made["parts"][0]["question"]
    with pytest.raises(UsageError, match="Part 'align' of the ablation table lacks 'question'"):
        ablation_latex(made)
    assert not (tmp_path / "a.html").exists()
