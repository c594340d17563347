"""The anatomy on photographs, with encoders and language models of random weights."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scripts import photo_anatomy as script
from tests.models.photo.makers import published_weights, rated_pictures
from tests.models.reader.test_text_models import SMALL, write_model
from transformers import LlamaConfig

from emosym.evaluation.results.result import read_result
from emosym.models.photo.convert import convert_lite
from emosym.studies.photo_anatomy import study
from emosym.studies.photo_anatomy.folds import (
    ARMS,
    SHIPPED,
    Photographs,
    Settings,
    Told,
    centred,
    train_and_read,
)
from emosym.studies.photo_anatomy.network import (
    SHARE,
    Projector,
    Rating,
    RatingHead,
    build_network,
    gaussian_loss,
    rate,
)
from emosym.studies.photo_anatomy.study import Asked, Opened, difference, measured, open_all
from emosym.training.photo import dealt, open_rated

QUICK = Settings(folds=2, steps=3, batch_size=4, lr=1e-2)


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    root = tmp_path_factory.mktemp("anatomy")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EMOSYM_CACHE", str(root / "cache"))
        published = published_weights(root / "published.pth")
        convert_lite(published, root / "cache" / "models" / "efficientnet-lite1")
        rated_pictures(root / "oasis")
        base = root / "base"
        write_model(base / "reader", LlamaConfig(**SMALL))
        yield Asked(root / "oasis", root / "out", QUICK, 2, base=str(base), dtype="float32")


@pytest.fixture(scope="module")
def opened(asked: Asked) -> Opened:
    asked.out.mkdir()
    return open_all(asked, open_rated(asked.root))


def test_the_question_is_read_once_and_pictures_go_on_from_it(opened: Opened) -> None:
    photographs = opened.photographs
    sizes = [block.shape[1] for block in photographs.blocks]
    assert sizes == [112, 192, 1000] and len(opened.prompt.mask) == 1
    network = build_network(opened.chat, opened.prompt, sizes, 1, 0)
    blocks = [block[:3] for block in photographs.blocks]
    with torch.no_grad():
        together = rate(network, blocks)
        alone = rate(network, [block[1:2] for block in blocks])
        tokens = network.projector(blocks)
        table = opened.chat.backbone.get_input_embeddings()
        own = network.reasoner.latent_tokens
        asked_ids = script_ids(opened)
        row = torch.cat([table(asked_ids), tokens[0], own.context_inputs(), own.emotion_embed])
        whole = opened.chat.backbone.model(inputs_embeds=row[None]).last_hidden_state[0]
    torch.testing.assert_close(together.mean[1:2], alone.mean, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(together.context[0, 0], whole[-2], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(together.mean[0], network.head(whole[-1])[:2], atol=1e-4, rtol=1e-4)


def script_ids(opened: Opened) -> torch.Tensor:
    from emosym.models.render import row_tokens
    from emosym.studies.photo_anatomy.network import QUESTION
    from emosym.types import Message

    return torch.tensor(row_tokens(opened.chat, (Message("user", (QUESTION,)),), ())[0])


def test_only_what_is_new_learns(opened: Opened) -> None:
    held = np.asarray(opened.photographs.themes == "ThingC")
    before = {name: t.clone() for name, t in opened.chat.backbone.state_dict().items()}
    for arm in ARMS:
        found = train_and_read(opened.chat, opened.prompt, opened.photographs, held, arm, QUICK, 0)
        assert found.mean.shape == found.deviation.shape == (3, 2) and (found.deviation > 0).all()
        again = train_and_read(opened.chat, opened.prompt, opened.photographs, held, arm, QUICK, 0)
        np.testing.assert_array_equal(found.mean, again.mean)
    after = opened.chat.backbone.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_what_is_held_out_teaches_nothing(opened: Opened) -> None:
    photographs = opened.photographs
    held = np.asarray(photographs.themes == "ThingC")
    other = photographs.ratings.copy()
    other[held] += 3
    words = photographs.words.clone()
    words[torch.from_numpy(held)] = 0
    changed = Photographs(photographs.blocks, other, photographs.themes, words)
    for arm in ARMS[:2]:
        one, two = (
            train_and_read(opened.chat, opened.prompt, some, held, arm, QUICK, 0)
            for some in (photographs, changed)
        )
        np.testing.assert_array_equal(one.mean, two.mean)


def test_it_learns_what_there_is_to_learn(opened: Opened) -> None:
    held = np.isin(opened.photographs.themes, ["ThingC", "ThingF"])
    longer = replace(QUICK, steps=60, batch_size=18, dropout=0.0)
    found = train_and_read(opened.chat, opened.prompt, opened.photographs, held, ARMS[0], longer, 0)
    truth = opened.photographs.ratings[held]
    assert np.corrcoef(found.mean[:, 0], truth[:, 0])[0, 1] > 0.8


def test_the_loss_is_that_of_a_gaussian() -> None:
    mean, log_deviation = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 0.5]]).exp().log()
    truth = torch.tensor([[2.0, -1.0]])
    wanted = -torch.distributions.Normal(mean, log_deviation.exp()).log_prob(truth).mean()
    found = gaussian_loss(Rating(mean, log_deviation, None), truth)
    torch.testing.assert_close(found, wanted)


@torch.no_grad()
def test_a_token_is_a_word_and_a_little_of_the_picture() -> None:
    projector = Projector((5, 70), 64, 0.1, torch.Generator().manual_seed(0))
    tokens = projector([torch.randn(200, 5), torch.randn(200, 70)])
    assert tokens.shape == (200, 2, 64)
    assert float(tokens.mean(dim=0).std()) == pytest.approx(0.1, rel=0.2)
    assert float(tokens.std(dim=0).mean()) == pytest.approx(SHARE * 0.1, rel=0.2)
    words = torch.nn.functional.normalize(torch.tensor([[9.0, 1.0], [9.0, -1.0]]), dim=1)
    torch.testing.assert_close(centred(words), torch.tensor([[0.0, 1.0], [0.0, -1.0]]))


def test_the_head_makes_latents_even_before_it_reads_them() -> None:
    head = RatingHead(3)
    latents = torch.tensor([[500.0, 1.0, 0.0], [502.0, 1.0, 0.1], [504.0, 1.0, 0.2]])
    head.settle(latents)
    even = (latents - head.mean) / head.deviation
    torch.testing.assert_close(even[:, 0], torch.tensor([-1.0, 0.0, 1.0]), atol=1e-3, rtol=0)
    torch.testing.assert_close(head(latents), head.net(even))


def test_measures_by_hand(opened: Opened) -> None:
    rated = opened.rated
    folds = dealt(rated.themes, 2, 0)
    perfect = Told(rated.ratings.copy(), np.full_like(rated.ratings, 0.1))
    values = measured(perfect, rated.ratings, folds)
    assert values["valence_r"] == pytest.approx(1) and values["arousal_interval_holds"] == 1
    assert values["valence_gaussian_holds"] == 1 and values["valence_mean_absolute_error"] == 0
    wrong = Told(-rated.ratings, perfect.deviation)
    assert difference([perfect], [wrong], rated, 0) == pytest.approx([2, 2, 2])
    assert measured(wrong, rated.ratings, folds)["arousal_gaussian_holds"] == 0


def test_the_script_compares_and_goes_on(
    asked: Asked, tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(study, "DRAWS", 100)
    out, result = tmp_path / "out", tmp_path / "result.json"
    words = [str(asked.root), "--out", str(out), "--result", str(result), "--base", asked.base]
    words += ["--seeds", "2", "--folds", "2", "--steps", "2", "--dtype", "float32"]
    assert script.main([*words, "--arm", ARMS[0]]) == 0
    kept = {path.name: path.stat().st_mtime_ns for path in (out / "told").iterdir()}
    assert sorted(kept) == [f"aligned-{seed}-{fold}.json" for seed in (0, 1) for fold in (0, 1)]
    assert script.main(words) == 0
    assert {name: (out / "told" / name).stat().st_mtime_ns for name in kept} == kept
    values = read_result(result)["values"]
    assert len(values["not_aligned_valence_r"]) == 2
    mean = np.mean(values["kernel_arousal_r"])
    assert values[f"{SHIPPED}_arousal_r_mean"] == pytest.approx(mean)
    low, high = values["aligned_less_kernel_valence_r"][1:]
    assert low <= values["aligned_less_kernel_valence_r"][0] <= high
    assert json.loads((out / "settings.json").read_text())["steps"] == 2
    assert script.main([*words, "--lr", "0.5"]) == 2
    assert "holds a study of other pictures or with other settings" in capsys.readouterr().err
