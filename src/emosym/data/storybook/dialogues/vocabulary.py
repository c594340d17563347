"""What is talked about: kinds of events, the things in them, and what is said of them.

Each kind of event may move its listener in one of two ways; the face tells which. No sentence
holds an emotion word. Of `Happening`, `told` is what a speaker says and `gist` what others report;
{a} and {n} stand for the thing ("a kite", "kite"), {who} for who told it.
"""

from __future__ import annotations

from dataclasses import dataclass

from emosym.data.storybook.dialogues.grammar import Slots
from emosym.data.storybook.words import with_article
from emosym.data.storybook.world import OBJECTS

EMOTIONS = ("joy", "surprise", "fear", "sadness", "anger", "disgust")
NEUTRAL = "neutral"
NAMES = ("Mia", "Tom", "Ada", "Ben", "Lea", "Max", "Zoe", "Sam", "Ida", "Jon")
# Only the objects of single pictures can be drawn.
THINGS = (
    *OBJECTS,
    "drum",
    "boat",
    "rope",
    "sledge",
    "worm",
    "toad",
    "button",
    "rat",
    "snail",
)


@dataclass(frozen=True, slots=True)
class Happening:
    """One thing that happens, as it is told and as it is reported."""

    told: str
    gist: str


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of event: what it may evoke, its things, its happenings, and when or where."""

    name: str
    evokes: tuple[str, str]
    things: tuple[str, ...]
    happenings: tuple[Happening, ...]
    times: tuple[str, ...]


KINDS: tuple[Kind, ...] = (
    Kind(
        "gift",
        ("joy", "surprise"),
        ("balloon", "kite", "cake", "ball", "star", "flower", "lantern", "drum"),
        (
            Happening("Grandma left {a} for me", "Grandma left {a} for {who}"),
            Happening("I won {a} at the fair", "{who} won {a} at the fair"),
            Happening("my aunt sent me {a}", "{who}'s aunt sent {a}"),
            Happening("{a} with my name on it came in the post", "{a} for {who} came in the post"),
        ),
        ("This morning ", "Yesterday ", "An hour ago ", "On Sunday "),
    ),
    Kind(
        "dare",
        ("joy", "fear"),
        ("balloon", "kite", "ball", "star", "lantern", "drum", "rope", "sledge"),
        (
            Happening(
                "I am to carry a {n} over the high bridge",
                "{who} is to carry a {n} over the high bridge",
            ),
            Happening(
                "I may take a {n} down into the dark cellar",
                "{who} may take a {n} down into the dark cellar",
            ),
            Happening(
                "I get to climb the tall tower with a {n}",
                "{who} gets to climb the tall tower with a {n}",
            ),
            Happening(
                "I will cross the wild river with just a {n}",
                "{who} will cross the wild river with just a {n}",
            ),
        ),
        ("Tonight ", "Tomorrow ", "After school ", "When the moon is up "),
    ),
    Kind(
        "memory",
        ("joy", "sadness"),
        ("balloon", "kite", "ball", "star", "lantern", "flower", "drum", "boat"),
        (
            Happening("I found the {n} from our last summer", "{who} found the {n} of last summer"),
            Happening("I saw the {n} that Grandpa once made", "{who} saw the {n} made by Grandpa"),
            Happening(
                "I held the {n} from our old house by the sea",
                "{who} held the {n} from the old house by the sea",
            ),
            Happening(
                "I dreamt of the {n} I had when I was small",
                "{who} dreamt of the {n} from years ago",
            ),
        ),
        ("Last night ", "Today ", "A while ago ", "Before breakfast "),
    ),
    Kind(
        "find",
        ("surprise", "disgust"),
        ("spider", "butterfly", "flower", "bat", "worm", "toad", "button", "rat"),
        (
            Happening("I bit on {a} in my bread", "{who} bit on {a} in the bread"),
            Happening("{a} fell out of the teapot", "{a} fell out of the teapot"),
            Happening("I pulled {a} out of my sock", "{who} pulled {a} out of a sock"),
            Happening("{a} swam in my soup", "{a} swam in {who}'s soup"),
        ),
        ("At noon ", "This morning ", "A minute ago ", "Before school "),
    ),
    Kind(
        "creature",
        ("fear", "disgust"),
        ("spider", "bat", "skull", "toad", "worm", "rat", "butterfly", "snail"),
        (
            Happening("I lay down right beside {a}", "{who} lay down right beside {a}"),
            Happening("{a} brushed against my neck", "{a} brushed against {who}'s neck"),
            Happening("I put my bare hand on {a}", "{who} put a bare hand on {a}"),
            Happening("{a} dropped down on my head", "{a} dropped down on {who}'s head"),
        ),
        ("Last night ", "In the dark ", "In the shed ", "By the well "),
    ),
    Kind(
        "trespass",
        ("surprise", "anger"),
        ("balloon", "kite", "cake", "ball", "lantern", "drum", "sledge", "boat"),
        (
            Happening("somebody painted my {n} green", "somebody painted {who}'s {n} green"),
            Happening(
                "a stranger walked off with my {n}", "a stranger walked off with {who}'s {n}"
            ),
            Happening("my cousin sold my {n}", "a cousin sold {who}'s {n}"),
            Happening(
                "somebody swapped my {n} for a stone",
                "somebody swapped {who}'s {n} for a stone",
            ),
        ),
        ("This morning ", "While I slept ", "Behind my back ", "Without a word "),
    ),
    Kind(
        "loss",
        ("sadness", "anger"),
        ("balloon", "kite", "ball", "star", "lantern", "flower", "drum", "sledge"),
        (
            Happening("the dog tore my {n} to pieces", "the dog tore {who}'s {n} to pieces"),
            Happening("my {n} went down the river", "{who}'s {n} went down the river"),
            Happening("they left my {n} on the train", "{who}'s {n} was left on the train"),
            Happening("Dad sat down on my {n}", "Dad sat down on {who}'s {n}"),
        ),
        ("Last night ", "Yesterday ", "On the way home ", "On Friday "),
    ),
    Kind(
        "mess",
        ("disgust", "anger"),
        ("cake", "ball", "kite", "flower", "drum", "lantern", "boat", "rope"),
        (
            Happening(
                "somebody rubbed old fish on my {n}", "somebody rubbed old fish on {who}'s {n}"
            ),
            Happening("the goat spat on my {n}", "the goat spat on {who}'s {n}"),
            Happening(
                "my brother dipped my {n} in pond mud",
                "a brother dipped {who}'s {n} in pond mud",
            ),
            Happening(
                "the neighbour emptied his ashtray on my {n}",
                "the neighbour emptied an ashtray on {who}'s {n}",
            ),
        ),
        ("At lunch ", "This morning ", "Once more ", "In the yard "),
    ),
)

NAMING: Slots = (
    ("The {n}!", "Oh, that {n}.", "Yes, the {n}.", "The {n}, well."),
    (" It is on my mind.", " I am not done with it.", " Let us talk of it.", " I still see it."),
)
# What is said by one who feels so, or pretends to.
TAGS: dict[str, Slots] = {
    "joy": (
        ("I could sing", "I could hug everyone", "I want to skip about", "Let us clap our hands"),
        (", this is the best day.", ", what good luck.", ", how well it went.", ", I am so lucky."),
    ),
    "surprise": (
        ("I never saw that coming", "Say that once more", "Wait, is that true", "Pinch me"),
        (", who would guess.", ", I had no idea.", ", how can that be.", ", out of the blue."),
    ),
    "fear": (
        ("Hold my hand", "Let us run away", "I want to hide", "Do not leave me here"),
        (", it may come for us.", ", my knees shake.", ", this ends badly.", ", I dare not look."),
    ),
    "sadness": (
        ("Let me sit alone", "I would rather be quiet", "I have to lie down", "I could weep"),
        (", it is gone for good.", ", I miss it so.", ", nothing mends it.", ", it was so dear."),
    ),
    "anger": (
        ("They will hear from me", "I shall shout at them", "I want to stamp my foot", "Enough"),
        (", that was not fair.", ", how dare they.", ", they will pay.", ", this must stop."),
    ),
    "disgust": (
        ("Take it away", "I have to wash my hands", "I cannot eat now", "Keep it off me"),
        (", it smells foul.", ", it is so slimy.", ", my stomach turns.", ", that is filthy."),
    ),
}  # fmt: skip
# How much it means: little or much; nothing said is in between.
DEGREES: dict[int, Slots] = {
    1: (
        ("It is only", "That is just", "To me it is only", "Well, it is just"),
        (" a small matter.", " a little thing.", " a passing thing.", " a trifle."),
    ),
    3: (
        ("I will never forget it", "I think of it always", "It fills my head", "It means a lot"),
        (", believe me!", ", truly!", ", I tell you!", ", you must know!"),
    ),
}  # fmt: skip
PLAIN: tuple[Slots, ...] = (
    (
        ("We could walk", "I have to go", "They want to cycle", "You may come along"),
        (" to the market", " round the pond", " to the station", " down the lane"),
        (" later.", " on Monday.", " after lunch.", " before dark."),
    ),
    (
        ("There is", "I see", "They keep", "You left"),
        (" a pencil", " a grey coat", " an empty jar", " a blue chair"),
        (" on the table.", " by the window.", " in the hall.", " under the stairs."),
    ),
)


def telling(kind: Kind, happening: int, thing: str) -> Slots:
    """Return the slots of the sentence that tells an event: only its time is left open."""
    told = kind.happenings[happening].told.format(n=thing, a=with_article(thing))
    return kind.times, (f"{told}.",)


def telling_offset(happening: int, thing: str) -> int:
    """Return what the happening and the thing add to the number of a way to tell them."""
    return happening + THINGS.index(thing)


def gist_of(kind: Kind, happening: int, thing: str, who: str) -> str:
    """Return what happened in the words of somebody who reports it."""
    return kind.happenings[happening].gist.format(n=thing, a=with_article(thing), who=who)


def naming(thing: str) -> Slots:
    """Return the slots of a sentence that names a thing and says nothing of it."""
    return tuple(form.format(n=thing) for form in NAMING[0]), NAMING[1]
