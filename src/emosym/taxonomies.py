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

# Parrott's tree of emotions (2001, after Shaver and others 1987): primary, secondary, tertiary.
PARROTT: dict[str, dict[str, str]] = {
    "love": {
        "affection": "adoration fondness liking attraction caring tenderness compassion "
        "sentimentality",
        "lust": "arousal desire passion infatuation",
        "longing": "",
    },
    "joy": {
        "cheerfulness": "amusement bliss gaiety glee jolliness joviality delight enjoyment "
        "gladness happiness jubilation elation satisfaction ecstasy euphoria",
        "zest": "enthusiasm zeal excitement thrill exhilaration",
        "contentment": "pleasure",
        "pride": "triumph",
        "optimism": "eagerness hope",
        "enthrallment": "rapture",
        "relief": "",
    },
    "surprise": {"surprise": "amazement astonishment"},
    "anger": {
        "irritation": "aggravation agitation annoyance grouchiness grumpiness",
        "exasperation": "frustration",
        "rage": "outrage fury wrath hostility ferocity bitterness hate loathing scorn spite "
        "vengefulness dislike resentment",
        "disgust": "revulsion contempt",
        "envy": "jealousy",
        "torment": "",
    },
    "sadness": {
        "suffering": "agony hurt anguish",
        "sadness": "depression despair hopelessness gloom glumness unhappiness grief sorrow woe "
        "misery melancholy",
        "disappointment": "dismay displeasure",
        "shame": "guilt regret remorse",
        "neglect": "alienation isolation loneliness rejection homesickness defeat dejection "
        "insecurity embarrassment humiliation insult",
        "sympathy": "pity",
    },
    "fear": {
        "horror": "alarm shock fright terror panic hysteria mortification",
        "nervousness": "anxiety tenseness uneasiness apprehension worry distress dread",
    },
}
# Plutchik's eight emotions (1980), each in three strengths: weak, itself, strong.
PLUTCHIK: dict[str, dict[str, str]] = {
    "joy": {"serenity": "", "ecstasy": ""},
    "trust": {"acceptance": "", "admiration": ""},
    "fear": {"apprehension": "", "terror": ""},
    "surprise": {"distraction": "", "amazement": ""},
    "sadness": {"pensiveness": "", "grief": ""},
    "disgust": {"boredom": "", "loathing": ""},
    "anger": {"annoyance": "", "rage": ""},
    "anticipation": {"interest": "", "vigilance": ""},
}
TREES = {"parrott": PARROTT, "plutchik": PLUTCHIK}
# The polarity of what stands at the root of a tree.
ROOTS = {
    **dict.fromkeys(("love", "joy", "trust"), "positive"),
    **dict.fromkeys(("anger", "sadness", "fear", "disgust"), "negative"),
    **dict.fromkeys(("surprise", "anticipation"), "neutral"),
}
