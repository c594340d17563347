"""How words for emotions of one taxonomy stand to those of another: tables only."""

from __future__ import annotations

# Ekman's six emotions, and which of GoEmotions' 27 belong to each (Demszky and others 2020).
EKMAN: dict[str, tuple[str, ...]] = {
    "anger": ("anger", "annoyance", "disapproval"),
    "disgust": ("disgust",),
    "fear": ("fear", "nervousness"),
    "joy": (
        "joy",
        "admiration",
        "amusement",
        "approval",
        "caring",
        "desire",
        "excitement",
        "gratitude",
        "love",
        "optimism",
        "pride",
        "relief",
    ),
    "sadness": ("sadness", "disappointment", "embarrassment", "grief", "remorse"),
    "surprise": ("surprise", "confusion", "curiosity", "realization"),
}
BASIC = {word: basic for basic, group in EKMAN.items() for word in group}
# Other forms of these words in data sets and answers, misspelt ones included.
FORMS: dict[str, tuple[str, ...]] = {
    "anger": (
        "angry",
        "mad",
        "frustrated",
        "frustration",
        "furious",
        "angery",
        "fury",
        "rage",
        "enraged",
    ),
    "annoyance": ("annoyed", "irritated", "irritation"),
    "disgust": ("disgusted", "disgusting", "digust", "revulsion"),
    "fear": ("scared", "afraid", "fearful", "feared", "frightened", "terrified", "terror"),
    "nervousness": ("nervous", "anxious", "anxiety", "worried"),
    "joy": (
        "happy",
        "happiness",
        "happines",
        "joyful",
        "hapiness",
        "happyness",
        "joyous",
        "glad",
        "cheerful",
        "delighted",
        "delight",
    ),
    "sadness": ("sad", "sadnes", "saddness", "unhappy", "unhappiness", "sorrow", "sorrowful"),
    "disappointment": ("disappointed",),
    "surprise": (
        "surprised",
        "suprise",
        "suprised",
        "surprize",
        "astonished",
        "astonishment",
        "shocked",
        "amazed",
        "amazement",
    ),
    "neutral": ("none", "no emotion", "neural", "netural"),
    "excitement": ("excited", "thrilled"),
    "amusement": ("amused",),
    "contentment": ("content", "contented"),
    "awe": ("awed", "awestruck"),
    "positive": ("pos",),
    "negative": ("neg",),
}
