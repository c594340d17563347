from __future__ import annotations

import numpy as np
import pytest

from emosym.errors import UsageError
from emosym.metrics import control as c

SCENE = np.asarray([[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.6, 0.4, 0.0], [0.1, 0.1, 0.8]])
OBJECTS = np.asarray([[0.9, 0.2, 0.1], [0.5, 0.6, 0.1], [0.1, 0.1, 0.1], [0.4, 0.4, 0.9]])
OBJECT_TRUTH = np.asarray([[1, 0, 0], [1, 0, 0], [0, 0, 1], [0, 0, 1]])


def test_attribute_fidelity_by_hand() -> None:
    found, right = c.attribute_fidelity(
        {"scene": SCENE, "object": OBJECTS}, {"scene": [0, 1, 1, -1], "object": OBJECT_TRUTH}
    )
    # scene, known 3: class 0 P 1/2 R 1 F 2/3, class 1 P 1 R 1/2 F 2/3.
    scene = found["scene"]
    assert (scene.precision, scene.recall, scene.count) == (0.75, 0.75, 3)
    assert (scene.f1, scene.exact) == (pytest.approx(2 / 3), pytest.approx(2 / 3))
    # objects: seen 4 (one wrong), 3 hits of 4 present; images 0 and 3 are exactly right.
    objects = found["object"]
    assert (objects.precision, objects.recall, objects.f1) == (0.75, 0.75, 0.75)
    assert (objects.exact, objects.count) == (0.5, 4)
    assert right == 0.5  # image 0, and image 3 whose scene is not known


def test_nothing_found_is_zero_and_nothing_known_is_refused() -> None:
    blind = np.zeros((4, 3))
    found, right = c.attribute_fidelity({"object": blind}, {"object": OBJECT_TRUTH})
    assert (found["object"].precision, found["object"].recall, found["object"].f1) == (0, 0, 0)
    assert right == 0.0
    with pytest.raises(UsageError, match="No image has a true scene"):
        c.attribute_fidelity({"scene": SCENE}, {"scene": [-1] * 4})


@pytest.mark.parametrize(
    ("found", "truth"),
    [
        ({"scene": SCENE}, {"face": [0, 1, 1, 0]}),
        ({}, {}),
        ({"scene": SCENE}, {"scene": [0, 1, 1]}),
        ({"scene": SCENE}, {"scene": [0, 1, 1, 3]}),
        ({"scene": SCENE}, {"scene": [0, 1, 1, -2]}),
        ({"scene": OBJECTS}, {"scene": [0, 1, 1, 0]}),
        ({"object": OBJECTS}, {"object": OBJECT_TRUTH[:3]}),
        ({"object": OBJECTS}, {"object": OBJECT_TRUTH * 2}),
        ({"object": OBJECTS * 2}, {"object": OBJECT_TRUTH}),
        ({"scene": SCENE[:3], "object": OBJECTS}, {"scene": [0, 1, 1], "object": OBJECT_TRUTH}),
    ],
)
def test_bad_attributes_are_refused(found: dict, truth: dict) -> None:
    with pytest.raises(UsageError):
        c.attribute_fidelity(found, truth)


def test_edge_energy_by_hand() -> None:
    image = np.zeros((1, 2, 3, 3), np.uint8)
    image[0, :, 2] = 255  # one black-to-white edge among two columns steps, none downwards
    assert c.edge_energy(image) == pytest.approx([0.5])


def test_blur_lowers_the_ratio_and_noise_raises_it() -> None:
    rng = np.random.default_rng(0)
    real = np.kron(rng.integers(0, 255, (4, 8, 8, 3)), np.ones((1, 4, 4, 1))).astype(np.uint8)
    blurred = (real.astype(int) + np.roll(real, 1, 2) + np.roll(real, -1, 2)) // 3
    noisy = np.clip(real + rng.normal(0, 40, real.shape), 0, 255)
    assert c.edge_energy_ratio(real, real) == 1.0
    assert c.edge_energy_ratio(blurred.astype(np.uint8), real) < 0.85
    assert c.edge_energy_ratio(noisy.astype(np.uint8), real) > 1.1


def test_bad_images_are_refused() -> None:
    good = np.random.default_rng(0).integers(0, 255, (2, 4, 4, 3)).astype(np.uint8)
    for wrong in (good.astype(float), good[0], good[..., :1], good[:0], good[:, :1]):
        with pytest.raises(UsageError):
            c.edge_energy(wrong)
    with pytest.raises(UsageError, match="same size"):
        c.edge_energy_ratio(good[:, :3], good)
    with pytest.raises(UsageError, match="flat"):
        c.edge_energy_ratio(good, np.zeros_like(good))


def test_intensity_consistency() -> None:
    levels = np.tile(np.repeat(np.linspace(0.2, 1.0, 5), 16), 3)
    kinds = np.repeat([0, 1, 2], 80)
    judged = np.where(kinds == 0, levels, np.where(kinds == 1, 1.0 - levels, 0.5))
    values = c.intensity_consistency(levels, judged, kinds, 4)
    assert values == [pytest.approx(1.0), pytest.approx(-1.0), None, None]
    with pytest.raises(UsageError, match="15 images"):
        c.intensity_consistency(levels[1:], judged[1:], kinds[1:], 4)
    with pytest.raises(UsageError, match="4 intensities"):
        c.intensity_consistency(levels[16:], judged[16:], kinds[16:], 4)
    with pytest.raises(UsageError, match="same length"):
        c.intensity_consistency(levels, judged[1:], kinds, 4)


def test_mix_rank_correlation_by_hand() -> None:
    asked = [[0.7, 0.3, 0.0], [0.7, 0.3, 0.0], [0.5, 0.5, 0.0]]
    judged = [[0.5, 0.3, 0.2], [0.2, 0.3, 0.5], [1 / 3, 1 / 3, 1 / 3]]
    assert c.mix_rank_correlation(asked[:1], judged[:1]) == pytest.approx(1.0)
    assert c.mix_rank_correlation(asked, judged) == pytest.approx(0.0)
    with pytest.raises(UsageError, match="no ranking"):
        c.mix_rank_correlation([[0.5, 0.5]], [[0.9, 0.1]])
    with pytest.raises(UsageError, match="3 columns"):
        c.mix_rank_correlation(asked, [[0.5, 0.5]] * 3)


NORMS = [[8.0, 2.0, 5.0], [2.0, 6.0, 5.0]]


def test_affect_control_by_hand() -> None:
    asked = [[8.0, 2.0], [5.0, 4.0], [2.0, 6.0]]
    shares = [[1.0, 0.0], [0.75, 0.25], [0.0, 1.0]]
    values = c.affect_control(asked, shares, NORMS)
    # judged valence 8, 6.5, 2 and arousal 2, 3, 6: off by 0, 1.5, 0 and 0, 1, 0
    assert values["valence_rmse"] == pytest.approx(np.sqrt(1.5**2 / 3))
    assert values["arousal_rmse"] == pytest.approx(np.sqrt(1 / 3))
    want = np.corrcoef([8.0, 6.5, 2.0], [8.0, 5.0, 2.0])[0, 1]
    assert values["valence_pearson"] == pytest.approx(want)
    backwards = c.affect_control(asked[::-1], shares, NORMS)["arousal_pearson"]
    assert backwards is not None
    assert backwards < -0.9
    same = c.affect_control(asked, [[0.5, 0.5]] * 3, NORMS)
    assert same["valence_pearson"] is None
    assert same["valence_rmse"] == pytest.approx(np.sqrt(6.0))


@pytest.mark.parametrize(
    ("asked", "shares", "norms", "message"),
    [
        ([[5.0, 5.0]], [[1.0, 0.0]], NORMS, "at least 2"),
        ([[0.5, 5.0]] * 2, [[1.0, 0.0]] * 2, NORMS, "requested must lie"),
        ([[5.0, 5.0]] * 2, [[1.0, 0.0]] * 2, [[-1.0, 1.0]] * 2, "norms must lie"),
        ([[5.0, 5.0]] * 2, [[1.0, 0.0, 0.0]] * 2, NORMS, "2 columns"),
        ([[5.0]] * 2, [[1.0, 0.0]] * 2, NORMS, r"requested must be \(N, 2\)"),
        ([[np.nan, 5.0]] * 2, [[1.0, 0.0]] * 2, NORMS, "NaN"),
        ([[5.0, 5.0]] * 3, [[1.0, 0.0]] * 2, NORMS, "same length"),
    ],
)
def test_affect_control_refuses(
    asked: list[list[float]], shares: list[list[float]], norms: list[list[float]], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        c.affect_control(asked, shares, norms)
