from __future__ import annotations

import numpy as np
import pytest

from emosym.emotions import LabelSpace
from emosym.errors import UsageError
from emosym.evaluation.generated import Networks, evaluate_generated
from emosym.evaluation.results.result import make_result
from emosym.metrics.generation import COMPAT_PAIRS, random_pairs
from emosym.models.judges.extractors import Extractor, PairNet

SPACE = LabelSpace("three", ("calm", "wild", "dull"))


class ColourJudge:
    """A judge by rule whose features are the mean red and green of a picture."""

    name = "judge-b"
    checksum = "bb"
    labels = SPACE.labels

    def features(self, images: np.ndarray) -> np.ndarray:
        return images[..., :2].reshape(len(images), -1, 2).mean(1).astype(np.float32)

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        return np.full((len(images), 3), 1 / 3)


def flat(colours: list[tuple[int, int]]) -> np.ndarray:
    """One 4x4 picture of each (red, green)."""
    images = np.zeros((len(colours), 4, 4, 3), np.uint8)
    images[..., :2] = np.asarray(colours, np.uint8)[:, None, None]
    return images


REAL = flat([(0, 0), (2, 0), (10, 10), (10, 14), (99, 99)])
REAL_LABELS = np.asarray([0, 0, 1, 1, 2])
PAINTED = {"calm": flat([(3, 0), (9, 0)]), "wild": flat([(10, 10), (10, 14)])}


def red(name: str, rows: np.ndarray) -> Extractor:
    """An extractor that gives `rows[red]` of each picture."""
    return Extractor(name, f"sum of {name}", lambda images: rows[images[:, 0, 0, 0]])


def test_with_a_judge_alone_by_hand() -> None:
    values, used = evaluate_generated(PAINTED, REAL, REAL_LABELS, ColourJudge(), space=SPACE)
    assert used == {"judge_b": "bb"}
    assert sorted(key for key in values if "per_emotion" not in key) == [
        "fd_judge_b",
        "pair_distance_judge_b",
        "pair_distance_judge_b_of_real",
    ]
    # calm, red: means 1 and 6, deviations sqrt 2 and 3 sqrt 2; green is 0. wild: the same pictures.
    calm, wild, dull = values["fd_judge_b_per_emotion"]
    assert calm == pytest.approx(25 + (2 * np.sqrt(2)) ** 2)
    assert wild == pytest.approx(0.0, abs=1e-6)
    assert dull is None
    # one pair an emotion: squared differences 36 and 16 over 2 columns; of real ones 4 and 16
    assert values["pair_distance_judge_b_per_emotion"] == [18.0, 8.0, None]
    assert values["pair_distance_judge_b"] == 13.0
    assert values["pair_distance_judge_b_of_real"] == 5.0
    assert values["painted_per_emotion"] == [2, 2, 0]
    assert values["real_per_emotion"] == [2, 2, 0]  # dull was not asked for
    assert values["pairs_per_emotion"] == [1, 1, 0]
    make_result("generated", values, 4, 0, extractors=used)


def test_the_aggregate_is_the_librarys_distance_of_all_pictures() -> None:
    import torch
    from torchmetrics.image.fid import FrechetInceptionDistance

    rng = np.random.default_rng(0)
    real, made = (rng.integers(0, 256, (40, 4, 4, 3), dtype=np.uint8) for _ in range(2))
    kinds = np.repeat([0, 1], 20)
    painted = {"calm": made[:20], "wild": made[20:]}

    class Mean(torch.nn.Module):
        num_features = 2

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x[:, :2].double().mean(dim=(2, 3))

    library = FrechetInceptionDistance(feature=Mean())
    library.update(torch.from_numpy(real).permute(0, 3, 1, 2), real=True)
    library.update(torch.from_numpy(made).permute(0, 3, 1, 2), real=False)
    values, _ = evaluate_generated(painted, real, kinds, ColourJudge(), space=SPACE)
    assert values["fd_judge_b"] == pytest.approx(float(library.compute()), rel=1e-4)
    # pictures under the wrong emotion change the distances inside emotions only
    swapped = {"calm": real[20:], "wild": real[:20]}
    values, _ = evaluate_generated(swapped, real, kinds, ColourJudge(), space=SPACE)
    assert values["fd_judge_b"] == pytest.approx(0.0, abs=1e-6)
    assert min(x for x in values["fd_judge_b_per_emotion"] if x is not None) > 0.1


def test_every_network_by_hand_under_its_own_name() -> None:
    rows = np.arange(256.0)[:, None]
    scenes, objects = np.full((256, 2), 0.5), np.full((256, 2), 0.5)
    scenes[3], scenes[9], objects[9] = (0.8, 0.2), (0.6, 0.4), (0.3, 0.7)

    def gap(first: np.ndarray, second: np.ndarray, compat: bool) -> np.ndarray:
        apart = np.abs(first.astype(float) - second).max(axis=(1, 2, 3))
        return np.asarray(apart * (1.0 if compat else 2.0))

    networks = Networks(
        inception=red("inception", rows),
        lpips=PairNet("alexnet", "ll", gap),
        clip=red("clip", rows),
        scenes=red("places365", scenes),
        objects=red("imagenet", objects),
    )
    corrected, compat = (
        evaluate_generated(
            PAINTED, REAL, REAL_LABELS, ColourJudge(), networks, space=SPACE, mode=mode
        )
        for mode in ("corrected", "compat")
    )
    values, used = corrected
    assert used == {
        "judge_b": "bb",
        "inception": "sum of inception",
        "alexnet": "ll",
        "clip": "sum of clip",
        "places365": "sum of places365",
        "imagenet": "sum of imagenet",
    }
    assert values["fid_inception_per_emotion"][0] == pytest.approx(25 + 8)
    assert values["lpips_alexnet_per_emotion"] == [12.0, 8.0, None]
    assert values["lpips_alexnet_of_real"] == (4.0 + 8.0) / 2
    assert values["sem_d_clip_per_emotion"] == [36.0, 0.0, None]
    assert values["sem_d_clip"] == 18.0
    # red 3, 9, 10, 10: the larger of .8, .5; of .6, .7; .5; .5
    assert values["sem_c_places365_imagenet"] == pytest.approx((0.8 + 0.7 + 0.5 + 0.5) / 4)
    assert values["sem_c_places365_imagenet_of_real"] == 0.5
    # compat: the same 10 pairs for both, calm's of calm alone, wild's of both; LPIPS in [0, 1]
    drawn = random_pairs([0, 0, 1, 1], 3, 0, COMPAT_PAIRS, "compat")
    colours = np.asarray([(3.0, 0.0), (9.0, 0.0), (10.0, 10.0), (10.0, 14.0)])
    apart = np.abs(np.diff(colours[drawn[1]], axis=1))[:, 0]  # (10, 2) red, green of wild's pairs
    lpips, square = apart.max(axis=1).mean(), (apart[:, 0] ** 2).mean()
    assert compat[0]["pairs_per_emotion"] == [10, 10, 0]
    assert compat[0]["lpips_alexnet_per_emotion"] == [6.0, pytest.approx(lpips), None]
    assert compat[0]["sem_d_clip_per_emotion"] == [36.0, pytest.approx(square), None]
    assert compat[0]["sem_d_clip"] == pytest.approx((36.0 + square) / 2)
    assert square > 0.0  # pairs cross emotions: inside wild all are alike in red
    assert compat[0]["fid_inception"] == values["fid_inception"]
    make_result("generated", compat[0], 4, 0, mode="compat", extractors=compat[1])


def test_the_seed_draws_the_pairs() -> None:
    rng = np.random.default_rng(1)
    real = rng.integers(0, 256, (120, 4, 4, 3), dtype=np.uint8)
    found = [
        evaluate_generated(
            {"calm": real[:60]}, real[60:], np.zeros(60), ColourJudge(), seed=seed, space=SPACE
        )[0]
        for seed in (0, 0, 1)
    ]
    assert found[0] == found[1]
    assert found[0]["pairs_per_emotion"] == [1000, 0, 0]
    assert found[0]["pair_distance_judge_b"] != found[2]["pair_distance_judge_b"]
    assert found[0]["fd_judge_b"] == found[2]["fd_judge_b"]


def test_refusals() -> None:
    judge, whole = ColourJudge(), {"calm": PAINTED["calm"]}
    with pytest.raises(UsageError, match="calm has 1 painted and 2 real"):
        evaluate_generated({"calm": PAINTED["calm"][:1]}, REAL, REAL_LABELS, judge, space=SPACE)
    with pytest.raises(UsageError, match="dull has 2 painted and 1 real"):
        evaluate_generated({"dull": PAINTED["calm"]}, REAL, REAL_LABELS, judge, space=SPACE)
    with pytest.raises(UsageError, match="no paintings"):
        evaluate_generated({"calm": REAL[:0]}, REAL, REAL_LABELS, judge, space=SPACE)
    with pytest.raises(UsageError, match="calmm"):
        evaluate_generated({"calmm": REAL}, REAL, REAL_LABELS, judge, space=SPACE)
    with pytest.raises(UsageError, match="outside the label space"):
        evaluate_generated(whole, REAL, REAL_LABELS + 1, judge, space=SPACE)
    with pytest.raises(UsageError, match="same length"):
        evaluate_generated(whole, REAL, REAL_LABELS[:4], judge, space=SPACE)
    with pytest.raises(UsageError, match="same size"):
        evaluate_generated(whole, np.zeros((5, 8, 8, 3), np.uint8), REAL_LABELS, judge, space=SPACE)
    with pytest.raises(UsageError, match="1000 pairs"):
        evaluate_generated(whole, REAL, REAL_LABELS, judge, space=SPACE, pairs=10)
    with pytest.raises(UsageError, match="mode"):
        evaluate_generated(whole, REAL, REAL_LABELS, judge, space=SPACE, mode="published")
    alone = Networks(scenes=red("places365", np.full((256, 2), 0.5)))
    with pytest.raises(UsageError, match="both a scene and an object"):
        evaluate_generated(whole, REAL, REAL_LABELS, judge, alone, space=SPACE)
    broken = Networks(clip=red("clip", np.full((256, 1), np.nan)))
    with pytest.raises(UsageError, match="NaN"):
        evaluate_generated(whole, REAL, REAL_LABELS, judge, broken, space=SPACE)
