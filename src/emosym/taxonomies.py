"""How words for emotions of one taxonomy stand to those of another: tables only."""

from __future__ import annotations

# Ekman's six emotions, and which of GoEmotions' 27 belong to each (Demszky and others 2020).
EKMAN: dict[str, tuple[str, ...]] = {
    "anger": ("anger", "annoyance", "disapproval"),
    "disgust": ("disgust",),
    "fear": ("fear", "nervousness"),
    "joy": (
        *("joy", "admiration", "amusement", "approval", "caring", "desire", "excitement"),
        *("gratitude", "love", "optimism", "pride", "relief"),
    ),
    "sadness": ("sadness", "disappointment", "embarrassment", "grief", "remorse"),
    "surprise": ("surprise", "confusion", "curiosity", "realization"),
}
BASIC = {word: basic for basic, group in EKMAN.items() for word in group}
# Other forms of these words in data sets and answers, misspelt ones included.
FORMS: dict[str, tuple[str, ...]] = {
    "anger": ("angry", "mad", "frustrated", "frustration", "furious", "angery"),
    "disgust": ("disgusted", "digust"),
    "fear": ("scared", "afraid", "fearful", "feared"),
    "joy": ("happy", "happiness", "happines", "joyful", "hapiness", "happyness"),
    "sadness": ("sad", "sadnes", "saddness"),
    "surprise": ("surprised", "suprise", "suprised", "surprize"),
    "neutral": ("none", "no emotion", "neural", "netural"),
    "excitement": ("excited",),
    "amusement": ("amused",),
    "positive": ("pos",),
    "negative": ("neg",),
}
