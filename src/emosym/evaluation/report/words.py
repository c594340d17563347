"""What each measured value is called in a report, how it is written, and what it means."""

from __future__ import annotations

from dataclasses import dataclass

NO_BREAK = "\N{NO-BREAK SPACE}"

_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    NO_BREAK: r"\,",
    "±": r"$\pm$",
    "–": "--",
    **{mark: "\\" + mark for mark in "&%$#_{}"},
}


def latex(words: str) -> str:
    """Return text with everything escaped that LaTeX would act on."""
    return "".join(_LATEX.get(mark, mark) for mark in words)


def percent(value: float | None, digits: int = 1) -> str:
    """Return .912 as '91.2 %' (with a space that does not break) and None as a dash."""
    return "–" if value is None else f"{100 * value:.{digits}f}{NO_BREAK}%"


def number(value: float | None) -> str:
    """Return a number with three significant digits, whole numbers whole, None as a dash."""
    if value is None:
        return "–"
    if float(value).is_integer() and abs(value) < 1e9:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"


@dataclass(frozen=True, slots=True)
class Word:
    """A metric's title, its meaning in one sentence, and whether it is a share (percent)."""

    title: str
    meaning: str
    share: bool = True


WORDS: dict[str, Word] = {
    "accuracy": Word("Accuracy", "Share of pictures whose likeliest emotion is the labelled one."),
    "best_accuracy": Word(
        "Best achievable",
        "What a reader who knows this world's exact rules would score on the same pictures; the "
        "rest is chance in how the pictures were drawn.",
    ),
    "of_best": Word("Of the best achievable", "Accuracy divided by the best achievable one."),
    "macro_f1": Word("Macro F1", "F1 averaged over the emotions, each counting alike."),
    "polarity_accuracy": Word(
        "Polarity", "Share of pictures rightly read as pleasant or unpleasant, four emotions each."
    ),
    "ece": Word(
        "Calibration error (ECE)",
        "How far stated confidence lies from what came true, averaged over ten bins; 0 is perfect.",
    ),
    "brier_multiclass": Word(
        "Brier score",
        "Squared error of all probabilities of a picture, 0 to 2; lower is better.",
        False,
    ),
    "brier": Word(
        "Brier score (votes)",
        "The same on validation pictures, against the annotators' votes where there are several.",
        False,
    ),
    "pictures": Word("Pictures", "How many were drawn.", False),
    "brier_confidence": Word(
        "Brier score of confidence", "Squared gap between confidence and being right.", False
    ),
    "nll": Word(
        "Log loss",
        "Mean surprise at the true label in nats; lower is better, 2.08 is guessing.",
        False,
    ),
    "roc_auc": Word(
        "Confidence AUC",
        "Chance that a right reading is surer than a wrong one; 0.5 means confidence says nothing.",
        False,
    ),
    "votes_kl": Word("KL to the votes", "Distance from the annotators' votes, in nats.", False),
    "emo_a_judge_a": Word(
        "Emo-A, judge a",
        "Share of paintings that judge a, a network trained on real pictures only, reads as asked.",
    ),
    "emo_a_judge_b": Word(
        "Emo-A, judge b", "The same by a second judge of another architecture and other weights."
    ),
    "emo_a_judge_a_of_real": Word(
        "Judge a on real pictures",
        "What the judge scores on real pictures: about as far as Emo-A goes.",
    ),
    "emo_a_judge_b_of_real": Word("Judge b on real pictures", "The same for judge b."),
    "coverage": Word(
        "Coverage",
        "Share of real pictures with a painting among their five nearest neighbours: low when the "
        "painter repeats itself.",
    ),
    "coverage_of_real": Word(
        "Coverage by real pictures",
        "What as many other real pictures reach; the practical ceiling.",
    ),
    "distance_relative": Word(
        "Variety", "Mean distance between paintings of one emotion, over that of real pictures."
    ),
    "fidelity_relative": Word(
        "What belongs is there",
        "How often a third network clearly finds a scene, object, face ... that goes with the "
        "emotion, over how often it does in real pictures.",
    ),
    "self_agreement": Word(
        "Agrees with itself", "Share of paintings that the model itself reads as it was asked."
    ),
    "outside_share": Word(
        "Called outside", "Share of these pictures that the model calls outside what it has seen."
    ),
    "edge_energy_ratio": Word(
        "Sharpness", "Edge energy of paintings over that of real pictures: 1 is as sharp.", False
    ),
    "best_brier_multiclass": Word(
        "Best achievable Brier", "Brier score of the reader who knows the rules.", False
    ),
}
# Spellings that stage tables may use for the same thing.
ALIASES = {"emo_a": "emo_a_judge_a", "f1": "macro_f1"}
SHARES = ("accuracy", "coverage", "fidelity", "recall", "_relative", "emo_a", "_share")


def word_of(metric: str) -> Word:
    """Return the words for a metric; an unknown one is called by its name."""
    known = WORDS.get(metric) or WORDS.get(ALIASES.get(metric, ""))
    if known is not None:
        return known
    return Word(metric.replace("_", " "), "", any(part in metric for part in SHARES))


def written(metric: str, value: object) -> str:
    """Return a value as a person would write it: '91.2 %', '0.134', or a dash for None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "–" if value is None else str(value)
    # A "share" far outside 0..1 is something else by that name: never write 31400 %.
    share = word_of(metric).share and -0.001 <= value <= 2.0
    return percent(value) if share else number(value)
