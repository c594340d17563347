"""One recipe class a stage: what a YAML may say. Config objects stop at constructors."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from emosym.config.schema import (
    DataSection,
    Folder,
    LatentSection,
    LoraSection,
    OptimSection,
    Place,
    Recipe,
    Section,
)
from emosym.config.talk_recipes import M2seRecipe
from emosym.config.text_recipes import PreferenceRecipe, RlTextRecipe


class ReaderSection(Section):
    """Pretraining of the toy reader: describe pictures, say what stands out, answer questions.

    `says` names what it learns to say of these; of nothing else it sees a word.
    """

    hidden_size: int = 192
    layers: int = 4
    says: tuple[Literal["caption", "rationale", "questions"], ...] = Field(
        ("caption", "rationale", "questions"), min_length=1
    )
    optim: OptimSection = OptimSection()


class PainterSection(Section):
    """Pretraining of the toy painter: autoencoder, then text encoder and U-Net together."""

    autoencoder_steps: int = Field(2000, ge=0)
    autoencoder_batch_size: int = Field(16, ge=1)
    unet_steps: int = Field(8000, ge=0)
    batch_size: int = Field(32, ge=1)


class JudgeSection(Section):
    """Training of the two emotion judges and the attribute judge, on real pictures only."""

    count: int = Field(20000, ge=1)
    steps: int = Field(1500, ge=0)
    batch_size: int = Field(64, ge=1)


class BaseRecipe(Section):
    """Pretrain storybook-base, without any emotion word, and the judges (which see labels).

    `level` is that of the storybook whose pictures are described. Where rationales name appraisals,
    no base may have seen them, and the judges of the level `cues` judge its attributes.
    """

    stage: Literal["base"]
    seed: int = 0
    out: Folder
    count: int = Field(60000, ge=64)
    workers: int = Field(2, ge=1)
    parts: tuple[Literal["reader", "painter", "judges"], ...] = ("reader", "painter", "judges")
    reader: ReaderSection = ReaderSection()
    painter: PainterSection = PainterSection()
    judges: JudgeSection = JudgeSection()
    level: Literal["cues", "appraisal", "tales"] = "cues"

    @model_validator(mode="after")
    def _has_seen_no_appraisal(self) -> BaseRecipe:
        """Refuse a base of a level with appraisals that reads them, and judges of such a level."""
        if self.level != "cues" and "rationale" in self.reader.says:
            raise ValueError(
                f"rationales of the level {self.level!r} name appraisals, which a base must not "
                "have seen: set reader.says=[caption]"
            )
        if self.level != "cues" and "judges" in self.parts:
            raise ValueError(
                f"there are no judges of the level {self.level!r}: leave them out of `parts`; "
                "those of storybook-base judge its attributes"
            )
        return self


class DialogueBaseRecipe(Section):
    """Let a storybook base's reader see conversations: their words and pictures, and no emotion.

    `dialogues` conversations are told in words, `pictures` of theirs described; as many single
    pictures keep it from forgetting these.
    """

    stage: Literal["dialogue_base"]
    seed: int = 0
    out: Folder
    init: Place = "storybook-base"
    dialogues: int = Field(20000, ge=1)
    pictures: int = Field(8000, ge=1)
    workers: int = Field(2, ge=1)
    optim: OptimSection = OptimSection()


class PhotoRecipe(Section):
    """Valence and arousal of photographs, from a frozen vision encoder's features.

    `root` is a folder of rated pictures (OASIS), `encoder` EfficientNet-Lite1, a folder, or the hub
    id of a vision model. Of the kernels, one of `gammas` and one of `noises` is chosen. What the
    run reports is of pictures whose theme was left out, each theme alone, or with `folds` so many
    of themes dealt at random.
    """

    stage: Literal["photo"]
    seed: int = 0
    out: Folder
    root: Folder = Path("runs/data/oasis")
    encoder: Place = "efficientnet-lite1"
    gammas: tuple[float, ...] = (0.5, 1.0, 1.5)
    noises: tuple[float, ...] = (0.03, 0.1, 0.3)
    folds: int = Field(0, ge=0)
    batch_size: int = Field(16, ge=1)


class AlignRecipe(Recipe):
    """Stage 1: compress emotional reasoning into [EMO] and the context tokens.

    `reader` and `painter`, folders or hub ids, take the place of those of the preset `init`;
    `max_pixels` bounds what a picture may cost. With `w_cls: 0` it learns from rationales alone and
    uses no label; `rl` with `objective: supervised` can then learn from few. `init` may also be a
    checkpoint, whose adapter and tokens learn more; `fresh_head` starts its head anew. `also` are
    more data sets, each with a label space, and so a head, of its own: batches mix their rows.

    Ways to make the latents carry the reasoning, all off by default. `bottleneck` is the share of
    rows in which [EMO] does not see the prefix, nor the rationale [EMO]. `w_steps` lets every
    latent say its own step (`steps` of a sample, as storybook's levels with appraisals have them),
    `w_step_words` lets its state name the step's words. `w_words` lets the states of [EMO] and,
    but for `w_step_words`, of all latents name the rationale's. `w_distill` pulls [EMO] towards its
    state after the spoken steps, and in the first share `curriculum` of the training steps spoken
    ones give way to latent ones, one after another.
    """

    stage: Literal["align"]
    also: tuple[DataSection, ...] = ()
    reader: Place | None = None
    painter: Place | None = None
    max_pixels: int | None = Field(None, ge=28 * 28)
    fresh_head: bool = False
    latents: LatentSection = LatentSection()
    lora: LoraSection = LoraSection()
    rationale: Literal[
        "label_blind", "label_aware", "shuffled", "shuffled_within", "caption", "none"
    ] = "label_blind"
    w_cls: float = Field(0.5, ge=0)
    w_align: float = Field(0.5, ge=0)
    w_say: float = Field(0.25, ge=0)
    gist_probability: float = Field(0.5, ge=0, le=1)
    symmetric: bool = True
    bottleneck: float = Field(0.0, ge=0, le=1)
    w_step_words: float = Field(0.0, ge=0)
    w_words: float = Field(0.0, ge=0)
    w_steps: float = Field(0.0, ge=0)
    w_distill: float = Field(0.0, ge=0)
    curriculum: float = Field(0.0, ge=0, le=1)

    @model_validator(mode="after")
    def _has_latents_to_carry(self) -> AlignRecipe:
        """Refuse what needs context tokens where there are none, and steps without rationales."""
        aloud = {"w_distill": self.w_distill, "curriculum": self.curriculum}
        asked = [name for name, value in aloud.items() if value]
        if asked and self.latents.after != "prompt":
            raise ValueError(
                f"{asked[0]} speaks steps after the prompt: latents.after is {self.latents.after!r}"
            )
        latent = {"bottleneck": self.bottleneck, "w_steps": self.w_steps}
        latent |= {"w_step_words": self.w_step_words, "curriculum": self.curriculum}
        asked = [name for name, value in latent.items() if value]
        if asked and not self.latents.num_context_tokens:
            raise ValueError(f"{asked[0]} needs context tokens: latents.num_context_tokens is 0")
        spoken = {"w_steps": self.w_steps, "w_distill": self.w_distill}
        spoken |= {"w_step_words": self.w_step_words, "curriculum": self.curriculum}
        asked = [name for name, value in spoken.items() if value]
        if asked and self.rationale in ("none", "caption"):
            raise ValueError(
                f"{asked[0]} learns from rationales, and rationale is {self.rationale!r}"
            )
        if self.w_words and self.rationale == "none":
            raise ValueError("w_words names the words of a text, and rationale is 'none'")
        return self


class BanditSection(Section):
    """Feedback of one number a query: named words and a confidence are judged, no label is shown.

    `learner`: grpo; star learns the single words that were taken for right (rejection
    fine-tuning); revealed hears as many labels, with the same noise; labels knows the true ones;
    random is grpo on random numbers. `noise` is the share of queries that are answered by a wrong
    label, `w_confidence` weighs the Brier score of the confidence. `exact` takes the expectation
    over all answers by what may be believed of the label instead of the answer that was drawn.
    `w_latents` weighs what the latents gain beside what the answer gains; their log-probability is
    a sum over all their dimensions, whose noise can drown the answer's few.
    """

    learner: Literal["grpo", "star", "revealed", "labels", "random"] = "grpo"
    noise: float = Field(0.2, ge=0, lt=1)
    w_confidence: float = Field(1.0, ge=0)
    clip_latents: float = Field(0.2, gt=0)
    w_latents: float = Field(1.0, ge=0)
    exact: bool = False


class RlRecipe(Recipe):
    """Stage 2: verifiable rewards against the frozen stage-1 policy.

    `rewards` are names and weights; `expected` and `grpo` sum them, and take accuracy where none is
    given. Controls: `supervised` takes as many steps on the labels themselves, and
    `shuffled_labels` rewards every picture by the label of another one. With `bandit` no label is
    shown: each of `num_generations` queries a picture hears one number.
    """

    stage: Literal["rl"]
    objective: Literal["expected", "grpo", "parity", "supervised", "bandit"] = "expected"
    bandit: BanditSection = BanditSection()
    rewards: dict[str, float] = Field(default_factory=dict)
    shuffled_labels: bool = False
    proper_weight: float = Field(1.0, ge=0)
    beta: float = Field(0.1, ge=0)
    sigma: float = Field(0.1, gt=0)
    num_generations: int = Field(8, ge=2)
    clip: float = Field(0.2, gt=0)
    inner_steps: int = Field(2, ge=1)

    @model_validator(mode="before")
    @classmethod
    def _say_the_reward(cls, raw: Any) -> Any:
        """Write down the reward that is taken where none is given."""
        takes = isinstance(raw, dict) and raw.get("objective", "expected") in ("expected", "grpo")
        return {**raw, "rewards": {"accuracy": 1.0}} if takes and not raw.get("rewards") else raw


class JointRecipe(Recipe):
    """Stage 3: condition embeddings through the painter's text encoder, then the emotion space.

    `worded` is the share of prompts that hold words of the picture beside the emotion; `condition`
    is what the painter gets: e and c (ours), e alone at one place or at as many, rows learned for
    each emotion, its word.
    """

    stage: Literal["joint"]
    prompt: str = "{}"
    condition: Literal[
        "emotion_context", "emotion", "emotion_repeated", "inversion", "class_word"
    ] = "emotion_context"
    worded: float = Field(0.0, ge=0, le=1)
    w_cls: float = Field(0.1, ge=0)
    w_attr: float = Field(0.1, ge=0)
    condition_dropout: float = Field(0.1, ge=0, lt=1)
    unet_lora_r: int = Field(0, ge=0)
    reader_lr_scale: float = Field(0.2, gt=0)
    cache_prefixes: bool = True


class FeedbackRecipe(Recipe):
    """Stage 4: paint, score, select, remember, train on, keep the best on held-out real data.

    `keep: last` keeps the last round whatever it does, for measuring what training on does. With
    `ratio: 0` nothing is painted.
    """

    stage: Literal["feedback"]
    scope: Literal["head", "lora"] = "head"
    rounds: int = Field(2, ge=1)
    paint_per_emotion: int = Field(16, ge=1)
    num_inference_steps: int = Field(10, ge=1)
    guidance_scale: float = Field(3.0, ge=1)
    admission: str = "agree_informative"
    eviction: str = "oldest"
    quota: int = Field(64, ge=1)
    capacity: int = Field(4096, ge=1)
    duplicate_similarity: float = Field(0.995, gt=0, le=1)
    ratio: float = Field(0.25, ge=0)
    keep: Literal["best", "last"] = "best"
    cache_prefixes: bool = True


StageRecipe = (
    BaseRecipe
    | DialogueBaseRecipe
    | PhotoRecipe
    | AlignRecipe
    | RlRecipe
    | JointRecipe
    | FeedbackRecipe
    | M2seRecipe
    | RlTextRecipe
    | PreferenceRecipe
)
STAGES: dict[str, type[Section]] = {
    "base": BaseRecipe,
    "dialogue_base": DialogueBaseRecipe,
    "photo": PhotoRecipe,
    "align": AlignRecipe,
    "rl": RlRecipe,
    "joint": JointRecipe,
    "feedback": FeedbackRecipe,
    "m2se": M2seRecipe,
    "rl_text": RlTextRecipe,
    "preference": PreferenceRecipe,
}
