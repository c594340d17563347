"""Words that name what a viewer feels: a label-blind rationale holds none of them.

Names of feelings and words that attribute one to a picture ("gloomy", "eerie") count. What can be
seen does not: a smile, tears, clapping. Neither do words about feelings that name none ("mood").
"""

from __future__ import annotations

import re
from collections.abc import Sequence

# By family; each entry is a regular expression of one word with its forms, matched as a whole.
FAMILIES: dict[str, tuple[str, ...]] = {
    "amusement": (
        r"amus(e|es|ed|ing|ingly|ement|ements)",
        r"fun|funny|funnier|funniest|hilari(ous|ously|ty)",
        r"humou?r(s|ous|ously)?|comical(ly)?|playful(ly|ness)?|silly|silliness|whimsical(ly)?",
    ),
    "awe": (
        r"awe(s|d|some|somely|struck)?|awestruck|awful(ly)?",
        r"wonder(s|ful|fully|ment|struck)?|wondrous(ly)?|marvel(s|led|ous|ously)?",
        r"amaz(e|es|ed|ing|ingly|ement)|astonish(es|ed|ing|ingly|ment)?|breathtaking(ly)?",
        r"majestic(ally)?|sublime(ly)?|reveren(t|tly|ce)|admir(e|es|ed|ing|ation)",
    ),
    "contentment": (
        # "the content of the picture" names no feeling
        r"content(?!\s+of\b)|contented(ly|ness)?|contentments?",
        r"calm(s|er|est|ed|ing|ly|ness)?|peace|peaceful(ly|ness)?|seren(e|ely|ity)",
        r"tranquil(ly|lity|ity)?|relax(es|ed|ing|ation)?|sooth(e|es|ed|ing|ingly)|blissful(ly)?",
        r"bliss|cos(y|ily|iness)|coz(y|ily|iness)|satisf(y|ied|ying|action)|comforting(ly)?",
    ),
    "excitement": (
        r"excit(e|es|ed|edly|ing|ingly|ement|ements)|exhilarat(e|ed|ing|ingly|ion)",
        r"thrill(s|ed|ing|ingly|er)?|enthusias(m|tic|tically)|eager(ly|ness)?|ecsta(sy|tic)",
        r"elat(ed|ion)|euphori(a|c)|exuberan(t|tly|ce)",
    ),
    "joy": (
        r"joy(s|ful|fully|fulness|ous|ously|ousness|less)?|enjoy(s|ed|ing|able|ment)?",
        r"(un)?happ(y|ier|iest|ily|iness)|glad(ly|ness)?|cheer(ful|fully|fulness|y|ily)|cheerless",
        r"delight(s|ed|edly|ful|fully|ing)?|merr(y|ily|iment)|jolly|gleeful(ly)?|glee|jubila(nt|tion)",
        r"pleas(ed|ing|ingly|ant|antly|antness|ure|ures|urable)|unpleasant(ly|ness)?",
        r"love(s|d|ly|liness)?|loving(ly)?|affection(s|ate|ately)?|tender(ly|ness)",
        r"adorabl(e|y)|charm(ing|ingly)|hope(s|ful|fully|fulness)?|pride|proud(ly)?",
        r"nostalgi(a|c|cally)|uplift(s|ed|ing)?|grat(itude|eful|efully)|optimis(m|tic)",
    ),
    "anger": (
        r"anger(s|ed|ing)?|angr(y|ier|iest|ily)|rage(s|d|ful)?|outrag(e|ed|eous)|enrag(e|ed|ing)",
        r"fur(y|ious|iously)|mad|madly|madness|madden(s|ed|ing)?|irritat(e|ed|ing|ion)",
        r"annoy(s|ed|ing|ance)?|hat(e|es|ed|ing|red|eful|efully)|hostil(e|ity)|resent(ful|ment)",
        r"wrath(ful)?|frustrat(e|ed|ing|ion)|indigna(nt|tion)|aggressive(ly|ness)?",
    ),
    "disgust": (
        r"disgust(s|ed|edly|ing|ingly)?|gross|grossly|nast(y|ier|iest|ily|iness)|revolt(ed|ing)",
        r"repuls(e|ed|ive|ion)|revulsion|loath(e|ed|ing|some)|nausea(ted|ting)?|nauseous",
        r"repugnan(t|ce)|sicken(ed|ing)|contempt(uous|uously)?|offensive(ly)?|repellent",
    ),
    "fear": (
        r"fear(s|ed|ful|fully|fulness|ing|some|less|lessly)?|afraid|fright(en|ens|ened|ening|eningly)?",
        r"frightful(ly)?|scar(y|ier|iest|ed|e|es|ing)|terror(s|ize|izing)?",
        r"terrif(y|ies|ied|ying|ic)|terribl(e|y)|horror(s)?|horrif(y|ied|ying|ic)|horribl(e|y)",
        r"dread(s|ed|ful|fully|ing)?|panic(s|ked|king|ky)?|anxi(ous|ously|ety)|nervous(ly|ness)?",
        r"worr(y|ies|ied|ying)|creep(y|ily|iness)|spook(y|ily|ed)|eer(ie|ily|iness)|ominous(ly)?",
        r"menac(e|ing|ingly)|sinister(ly)?|unsettl(ed|ing|ingly)|disturb(ed|ing|ingly)",
        r"uneas(y|ily|e|iness)|alarm(ed|ing|ingly)|foreboding",
    ),
    "sadness": (
        r"sad|sadd(er|est|en|ens|ened|ening)|sadly|sadness|sorrow(s|ful|fully)?|grie(f|ve|ves|ved)",
        r"griev(ing|ous|ously)|mourn(s|ed|ful|fully|ing|er|ers)?|melanchol(y|ic|ia)|gloom",
        r"gloom(y|ier|iest|ily|iness)|lonel(y|ier|iest|iness)|lonesome|despair(s|ed|ing)?",
        r"depress(ed|ing|ingly|ion|ive)|miser(y|able|ably)|somber|sombre|somb(er|re)ly|tragic(ally)?",
        r"heart(broken|breaking|ache)|regret(s|ted|ful|fully)?|upset(s|ting)?|desolat(e|ion)",
        r"hopeless(ly|ness)?|sorrowing|forlorn(ly)?|bleak(ly|ness)?|poignan(t|tly|cy)|dreary",
        r"wistful(ly)?|downcast|dejected(ly)?|disappoint(s|ed|ing|ment)?|boring|bored(om)?",
    ),
    "surprise": (
        r"surpris(e|es|ed|ing|ingly)|shock(s|ed|ing|ingly)?|startl(e|es|ed|ing|ingly)",
        r"bewilder(ed|ing|ment)|astound(ed|ing|ingly)?",
    ),
}
_ANY = re.compile(
    rf"\b(?:{'|'.join(form for forms in FAMILIES.values() for form in forms)})\b", re.IGNORECASE
)


def emotion_words(text: str, labels: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the emotion words of a text, lower-case, in order, each once.

    `labels` of a label space count too, as they are: one may be no feeling ("neutral").
    """
    plain = text.replace("_", " ")
    found = [(match.start(), match[0].lower()) for match in _ANY.finditer(plain)]
    if labels:
        own = re.compile(rf"\b(?:{'|'.join(map(re.escape, labels))})\b", re.IGNORECASE)
        found += [(match.start(), match[0].lower()) for match in own.finditer(plain)]
    return tuple(dict.fromkeys(word for _, word in sorted(found)))
