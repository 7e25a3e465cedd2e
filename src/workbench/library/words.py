"""The words of a text as they are compared with those of another, and where they stand in it.

English, German and French have rules of their own: words that claim nothing, endings, and whether a capital makes a
name. Other languages that put spaces between words are read by the English rules; Chinese, Japanese and Korean by pairs
of neighbouring characters, as search engines read them.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass
from typing import NamedTuple


class Word(NamedTuple):
    """A word of a text."""

    plain: str
    """As it is compared: lower case, without accents."""
    exact: bool
    """Whether it must stand in the other text as it is: a name or a number."""
    start: int
    """Offset in the text."""
    end: int


@dataclass(frozen=True)
class Language:
    """How the words of a language are read. All words are plain."""

    stop_words: frozenset[str]
    """Those that claim nothing by themselves, and those with which an answer speaks about its passages."""
    endings: tuple[str, ...]
    """Cut from a word where three letters are left, the longest first."""
    telltales: frozenset[str]
    """Words that hardly any text of the language does without, and that others do not have."""
    names_by_capital: bool = True
    """Whether a capital inside a sentence makes a name; in German it makes a noun."""
    elisions: tuple[str, ...] = ()
    """What is cut from the beginning of a word: the l' of l'eau."""

    def stem(self, word: str) -> str:
        """Without its ending where three letters are left: enough to take walks, walked and walking for one."""
        for ending in self.endings:
            if word.endswith(ending) and len(word) - len(ending) >= 3:
                return word.removesuffix(ending)
        return word


def _language(
    stop_words: str, endings: str, telltales: str, *, names_by_capital: bool = True, elisions: str = ""
) -> Language:
    longest_first = tuple(sorted(endings.split(), key=len, reverse=True))
    return Language(
        frozenset(stop_words.split()),
        longest_first,
        frozenset(telltales.split()),
        names_by_capital,
        tuple(elisions.split()),
    )


ENGLISH = _language(
    """
    a about above after again against all also although am an and any are as at be became because become been before
    being below between both but by can cannot could did do does doing done down during each either else even ever every
    few for from further get had has have having he her here hers herself him himself his how however i if in into is it
    its itself just let like many may me might more most much must my myself neither no nor not now of off often on once
    one only onto or other others our ours out over own per rather s same shall she should since so some still such t
    than that the their theirs them themselves then there therefore these they this those though through thus to too
    toward towards under until up upon us very was we were what when where whether which while who whom whose why will
    with within without would yes yet you your yours yourself
    answer answers passage passages text texts document documents according based context given question states stated
    mentions mentioned says said tells called known
    """,
    "ations ation ments ment ings ions ing ion ies ied ers er ed es ly s e y",
    "the of and to is was that with",
)
GERMAN = _language(
    """
    ab aber alle allem allen aller alles als also am an ander andere anderen auch auf aus bei beim bereits bin bis bist
    da dabei dadurch daher damit dann darauf daruber das dass davon dazu dem den denn der deren des deshalb dessen die
    dies diese diesem diesen dieser dieses doch dort du durch ein eine einem einen einer eines er es etwas euch euer fur
    ganz gegen gibt hab habe haben hat hatte hatten hier hinter ich ihm ihn ihnen ihr ihre ihrem ihren ihrer im immer in
    indem ins ist ja jede jedem jeden jeder jedes jedoch jene kann kannst kein keine keinem keinen keiner konnen konnte
    man mehr mein meine mich mir mit mussen muss nach nachdem neben nein nicht nichts noch nun nur ob oder ohne schon
    sehr sein seine seinem seinen seiner seit sich sie sind so solche sollen sollte sondern sowie uber um und uns unser
    unsere unter vom von vor wahrend war waren warum was weder wegen weil welche welchem welchen welcher wenn wer werden
    werde wie wieder will wir wird wo wurde wurden zu zum zur zwar zwischen
    antwort frage laut passage passagen abschnitt text texte dokument dokumente angaben steht
    """,
    "ungen ung innen heiten heit keiten keit lichen liche lich ischen ische isch ern en em er es et e n s t",
    "der die und das ist nicht mit ein",
    names_by_capital=False,
)
FRENCH = _language(
    """
    a afin ai ainsi alors apres au aucun aucune aussi autre autres aux avait avant avec avoir bien c car ce ceci cela
    celle celles celui ces cet cette ceux chaque chez ci comme comment d dans de depuis des donc dont du elle elles en
    encore entre est et etaient etait etant ete etre eu eux fait il ils j je jusqu jusque l la le les leur leurs lors
    lui m ma mais me meme memes mes mon n ne ni nos notre nous on ont ou par parce pas pendant peu peut plus pour
    pourquoi qu quand que quel quelle quelles quels qui quoi s sa sans se selon sera ses si sien soit son sont sous sur
    t ta te tes toi ton tous tout toute toutes tres tu un une vers vos votre vous y
    reponse question passage passages texte textes document documents extrait extraits
    """,
    "issements issement ements ement ations ation ions ion eurs eur euses euse ives ive ees ee es er ez ent e s",
    "le les et est des une dans du",
    elisions="l' d' j' n' s' c' m' t' qu' jusqu' lorsqu' puisqu'",
)
_OTHERS = (GERMAN, FRENCH)

_NUMBER_WORDS = "two three four five six seven eight nine ten eleven twelve"
_NUMBERS: dict[str, str] = {word: str(number) for number, word in enumerate(_NUMBER_WORDS.split(), 2)}
# Citations, the beginnings of lists, quotations and headings, bold.
_MARKUP = re.compile(r"\[\d+(?:\s*,\s*\d+)*\]|(?m:^[ \t]*(?:[-*•#>]+|\d+[.)])[ \t]+)|[*_`]+")
_UNSPACED = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003134f"
# Marks that belong to the letter before them: accents written apart, and the vowels of Hebrew, Arabic, Devanagari.
_MARKS = "\u0300-\u036f\u0591-\u05c7\u064b-\u065f\u0670\u0900-\u0903\u093a-\u094f\u0951-\u0957"
_LETTER = rf"(?:[^\W\d_{_UNSPACED}][{_MARKS}]*)"
_WORD = re.compile(rf"\d+(?:[.,:]\d+)*|[{_UNSPACED}]+|{_LETTER}+(?:['\u2019]{_LETTER}+)*|\w")
_UNSPACED_WORD = re.compile(f"[{_UNSPACED}]")
_HIRAGANA = re.compile("[\u3040-\u309f]+")


def read_words(text: str, language: Language = ENGLISH) -> list[Word]:
    """The words of a text in their order; markup and citations are passed over."""
    found: list[Word] = []
    blank = _MARKUP.sub(lambda match: " " * len(match[0]), text)  # as long: offsets stay true
    for match in _WORD.finditer(blank):
        start, end = match.span()
        if _UNSPACED_WORD.match(match[0]):
            last = max(start + 1, end - 1)
            found += (Word(_plain(text[at : at + 2]), False, at, min(at + 2, end)) for at in range(start, last))
            continue
        plain = _plain(match[0])
        for elided in language.elisions:
            if plain.startswith(elided) and len(plain) > len(elided):
                plain = plain.removeprefix(elided)
                break
        plain = _NUMBERS.get(plain, plain)
        name = language.names_by_capital and bool(found) and match[0][0].isupper()
        found.append(Word(plain, name or plain[:1].isdigit(), start, end))
    return found


def claims(word: Word, language: Language) -> bool:
    """Whether a word claims anything. In Japanese, what is written in hiragana alone is grammar."""
    return word.plain not in language.stop_words and not _HIRAGANA.fullmatch(word.plain)


def language_of(words: Collection[str]) -> Language:
    """The language that most of the telltale words are of; English where it is not clear.

    Args:
        words: the plain words of a text, each once.
    """
    counts = [(sum(word in words for word in language.telltales), language) for language in (ENGLISH, *_OTHERS)]
    return max(counts, key=lambda each: each[0])[1]


def _plain(word: str) -> str:
    """Lower case, without accents, a possessive s and the commas of a number."""
    if word.isascii():
        bare = word.lower().removesuffix("'s")
    else:
        folded = unicodedata.normalize("NFKD", word.casefold().replace("\u2019", "'"))
        bare = "".join(letter for letter in folded if not unicodedata.combining(letter)).removesuffix("'s")
    return bare.replace(",", "") if bare[:1].isdigit() else bare
