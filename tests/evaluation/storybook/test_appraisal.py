"""Readers of true cues: who knows the appraisals needs few labels, a sum learns nothing."""

from __future__ import annotations

import numpy as np
from sklearn.linear_model import LogisticRegression

from emosym.data.storybook.appraisal.world import draw_appraisal_story
from emosym.evaluation.storybook.appraisal import fitted_accuracy, true_appraisals, true_cues


def test_true_cues_name_each_value_once() -> None:
    stories = [draw_appraisal_story(1, index) for index in range(40)]
    found = true_cues(stories)
    assert found.shape == (40, 48)
    counts = np.array([len(story.objects) for story in stories])
    assert (found.sum(axis=1) == 5 + counts).all()  # scene, light, count, face, action, objects
    assert set(np.unique(true_appraisals(stories))) == {-1.0, 1.0}


def test_who_knows_the_appraisals_needs_few_labels() -> None:
    def added_up(_: int) -> LogisticRegression:
        return LogisticRegression(max_iter=300)

    assert fitted_accuracy(true_appraisals, added_up, 50, seed=3, repeats=1) > 0.9
    assert fitted_accuracy(true_cues, added_up, 400, seed=3, repeats=1) < 0.2
