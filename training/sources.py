"""Every sound that the judge is trained, tuned or tested on, with its licence, and which part has it.

All are packages of Debian 12, main; the rest is made of seeded noise and sines (`augment.py`). A voice,
a composer, a key belongs to one part only. The licences are those of each package's copyright file.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple


class Package(NamedTuple):
    """One Debian package."""

    name: str
    version: str
    licence: str
    use: str


_GAME = "free to use, change and pass on; no fee for the game by itself (Debian: main)"

PACKAGES = (
    Package("asterisk-core-sounds-ru-wav", "1.6.1-1", "CC-BY-3.0", "a woman's voice, Russian"),
    Package("asterisk-core-sounds-en-wav", "1.6.1-1", "CC-BY-SA-3.0", "a woman's voice, English"),
    Package("asterisk-core-sounds-es-wav", "1.6.1-1", "CC-BY-SA-3.0", "the same, Spanish"),
    Package("asterisk-core-sounds-it-wav", "1.6.1-1", "CC-BY-SA-3.0", "a man's voice, Italian"),
    Package("asterisk-core-sounds-fr-wav", "1.6.1-1", "CC-BY-SA-3.0", "a woman's voice, French"),
    Package("fillets-ng-data-cs", "1.0.1-1.1", "GPL-2", "actors, Czech"),
    Package("fillets-ng-data-nl", "1.0.1-1.1", "GPL-2", "actors, Dutch"),
    Package("klettres-data", "4:22.12.3-1", "GPL-2+", "syllables, one voice a language"),
    Package("asterisk-moh-opsound-wav", "2.03-1.1", "CC-BY-SA-3.0", "hold music"),
    Package("singularity-music", "007-2", "CC-BY-SA-3.0", "music of Max McCracken"),
    Package("planetblupi-music-ogg", "1.14.2-3", "GPL-3+", "music"),
    Package("hyperrogue-music", "12.0q-1", "CC-BY-SA-3.0", "music: Parrotte, Savino, Domina"),
    Package("asc-music", "1.3-6", "GPL-2+", "music"),
    Package("lincity-ng-data", "2.9~git20150314-5", "GPL-2+ and CC-BY-SA-2.0", "music"),
    Package("frozen-bubble-data", "2.212-11", "GPL-2", "music"),
    Package("bucklespring-data", "1.4.0-2", "GPL-2+", "key clicks"),
    Package("beneath-a-steel-sky", "0.0372-8", _GAME, "some twenty actors, English"),
    Package("flight-of-the-amazon-queen", "1.0.0-9", _GAME, "some fifteen actors, English"),
    Package("drascula", "1.0+ds4-2", _GAME, "actors, English"),
    Package("drascula-spanish", "1.0+ds4-2", _GAME, "actors, Spanish"),
    Package("drascula-italian", "1.0+ds4-2", _GAME, "actors, Italian"),
    Package("tuxpaint-stamps-default", "2022.06.04-1", "GPL-2+", "names of things, many languages"),
    Package("ktuberling-data", "4:22.12.3-1", "GPL-2+", "the same"),
    Package(
        "hedgewars-data", "1.0.2-6", "GFDL-1.3, GPL-2", "exclamations of fifteen voices; music"
    ),
    Package("asterisk-prompt-it-menardi-wav", "1:1.4.22+mm20110907-3.1", "CC-BY-SA-3.0", "a woman"),
    Package("codec2-examples", "1.0.5-1", "LGPL-2.1", "speech and radio hams, English"),
    Package("wesnoth-1.16-music", "1:1.16.9-1", "GPL-2+", "orchestral music"),
    Package("nexuiz-music", "2.5.2-12", "GPL-2+", "electronic music"),
    Package("ufoai-music", "2.5-2", "GPL-2+, CC-BY-SA-3.0, CC-BY-3.0", "music of many kinds"),
    Package("supertux-data", "0.6.3-2", "GPL-2+, CC-BY-SA-3.0 and 4.0", "music"),
    Package("warmux-data", "1:11.04.1+repack2-4", "GPL-2+", "music"),
    Package("extremetuxracer-data", "0.8.2-1", "GPL-2+", "music"),
    Package("unknown-horizons", "2019.1-6", "CC-BY-SA-3.0", "music"),
    Package("fillets-ng-data", "1.0.1-1.1", "GPL-2+", "music"),
)
# espeak-ng (GPL-3+) 1.51 is installed, not unpacked: it is a program. What it says is ours.

_RU = "asterisk/sounds/ru_RU_f_IvrvoiceRU"
_FISH = "games/fillets-ng/sound"
_STAMPS = "tuxpaint/stamps/**/*_desc_"
_HOGS = "games/hedgewars/Data/Sounds/voices"

VOICES: tuple[tuple[str, str, str, int], ...] = (
    # name, part, glob under usr/share, at most so many clips
    ("ru woman", "train", f"{_RU}/**/*.wav", 700),
    ("en woman", "train", "asterisk/sounds/en_US_f_Allison/**/*.wav", 400),
    ("es woman", "train", "asterisk/sounds/es_MX_f_Allison/**/*.wav", 300),
    ("it woman", "train", "asterisk/sounds/it_IT_f_Menardi/**/*.wav", 400),
    ("cs small fish", "train", f"{_FISH}/*/cs/*-m-*.ogg", 700),
    ("cs big fish", "train", f"{_FISH}/*/cs/*-v-*.ogg", 700),
    *((f"sky {block}", "train", f"lines/sky/{block}*.wav", 600) for block in range(50, 56)),
    *((f"queen {part}", "train", f"lines/queen/{part}*P?.mp3", 350) for part in range(9)),
    ("queen Joe", "train", "lines/queen/[0-4]*J?.mp3", 500),
    ("queen talks", "train", "lines/queen/C*.mp3", 600),
    ("drascula es", "train", "lines/drascula-es/*.wav", 700),
    ("drascula it", "train", "lines/drascula-it/*.wav", 700),
    *(
        (f"stamps {x}", "train", f"{_STAMPS}{x}.ogg", 350)
        for x in ("ru", "fr", "ro", "ca", "es", "be", "el", "lt", "nl")
    ),
    *(
        (f"ktuberling {x}", "train", f"ktuberling/sounds/{x}/*.ogg", 200)
        for x in ("ca", "da", "de", "el", "en", "lt", "sl", "uk", "wa")
    ),
    *(
        (f"hedgehogs {x}", "train", f"{_HOGS}/{x}/*.ogg", 80)
        for x in (
            *("Classic", "Default_es", "Default_pl", "Default_uk", "HillBilly", "Mobster"),
            *("Pirate", "Russian", "Russian_pl", "Surfer"),
        )
    ),
    ("it man", "tune", "asterisk/sounds/it_IT_m_Carlo/**/*.wav", 400),
    ("drascula en", "tune", "lines/drascula-en/*.wav", 700),
    ("stamps bg", "tune", f"{_STAMPS}bg.ogg", 350),
    ("ktuberling ru", "tune", "ktuberling/sounds/ru/*.ogg", 200),
    ("hedgehogs en", "tune", f"{_HOGS}/British/*.ogg", 80),
    ("hedgehogs ru", "tune", f"{_HOGS}/Default_ru/*.ogg", 80),
    ("codec2", "tune", "codec2/wav/*.wav", 40),
    ("fr woman", "test", "asterisk/sounds/fr_CA_f_June/**/*.wav", 500),
    ("nl small fish", "test", f"{_FISH}/*/nl/*-m-*.ogg", 400),
    ("nl big fish", "test", f"{_FISH}/*/nl/*-v-*.ogg", 400),
    *(
        (f"syllables {language}", part, f"klettres/{language}/*/*.ogg", 120)
        for part, languages in (
            ("train", "ru ar cs da de en en_GB es he hu ml nb nds pt_BR tn"),
            ("tune", "it lt"),
            ("test", "uk fr nl"),
        )
        for language in languages.split()
    ),
)

MUSIC = {
    "train": (
        "games/singularity/music/**/*.ogg",
        "planetblupi/music/*.ogg",
        "hyperrogue/music/hr3-*.ogg",
        "games/asc/music/*.mp3",
        "games/wesnoth/1.16/data/core/music/*.ogg",
        "games/hedgewars/Data/Music/*.ogg",
        "games/warmux/music/**/*.ogg",
        "games/supertux2/music/**/*.ogg",
        "games/etr/music/*.ogg",
        "lines/nexuiz/*.ogg",
        "lines/ufoai/*.ogg",
    ),
    "tune": (
        "games/lincity-ng/music/**/*.ogg",
        "games/frozen-bubble/snd/*zik*.ogg",
        "games/fillets-ng/music/*.ogg",
        "unknown-horizons/content/audio/music/**/*.ogg",
    ),
    "test": (
        "asterisk/moh/manolo*.wav",
        "asterisk/moh/reno*.wav",
        "hyperrogue/music/hr-savino*.ogg",
        "hyperrogue/music/hr-domina*.ogg",
    ),
}
HOLD = {"train": "asterisk/moh/macroform*.wav"}
"""Hold music: heard from its beginning more often than other music."""
_CITY = "games/lincity-ng/sounds"
SOUNDS = {
    # What may have people in it (houses, markets, schools, "excellent") is left out.
    "train": (
        f"{_CITY}/[BDFGIOPTW]*.wav",
        *(f"{_CITY}/{name}*.wav" for name in ("Harbor", "Mi", "Mon", "Sub", "Ra", "Rec", "Ro")),
        *(
            f"games/supertux2/sounds/{name}*.{kind}"
            for name in ("[a-di-su]", "fi", "fl", "wa", "wo")
            for kind in ("ogg", "wav")
        ),
        "games/warmux/sound/default/weapons/[a-rt]*.ogg",
        "games/etr/sounds/*.wav",
    ),
    "tune": (
        "unknown-horizons/content/audio/sounds/[bclrsw]*.ogg",
        "games/frozen-bubble/snd/[cdmnrst]*.ogg",
        "games/fillets-ng/sound/share/sp-[bi]*.ogg",
    ),
    "test": (
        "hyperrogue/sounds/s[pt]*.ogg",
        "hyperrogue/sounds/orb*.ogg",
        "hyperrogue/sounds/fire.ogg",
    ),
}
KEYS = "buckle/wav/*.wav"
SPLIT = Path(__file__).parent.parent / "benchmarks" / "accuracy" / "split.toml"


def kept_out() -> frozenset[str]:
    """Prompts of the Russian woman that the benchmark is made of, of either part: never trained on."""
    table = tomllib.loads(SPLIT.read_text(encoding="utf-8"))
    return frozenset(
        name
        for kind in ("prompts", "answers")
        for part in ("tuning", "test")
        for name in table[kind][part]
    )


_VARIANTS = {
    "train": "m1 m3 m5 m7 f1 f3 f5 Alex Andy Annie Diogo Gene Jacky Mario anika antonio belinda "
    "benjamin caleb edward gustave linda max miguel pablo quincy rob sandro steph zac",
    "tune": "m2 f2 Lee norbert",
    "test": "m4 m6 f4 Michael aunty grandma paul travis",
}
_LANGUAGES = {
    "train": ["ru", "ru", "en", "ru", "de", "es", "fr", "pl", "uk", "tr", "kk"],
    "tune": ["ru", "it"],
    "test": ["ru", "uk", "ru", "pt"],
}


def espeak_voices() -> Iterator[tuple[str, str, int, int]]:
    """Part, voice, words a minute, pitch of each synthetic voice."""
    for part, variants in _VARIANTS.items():
        for number, variant in enumerate(variants.split()):
            language = _LANGUAGES[part][number % len(_LANGUAGES[part])]
            yield part, f"{language}+{variant}", 130 + 23 * (number % 5), 25 + 11 * (number % 6)


TEXTS = {
    "ru": (
        "Да.", "Нет.", "Алло.", "Угу.", "Хорошо.", "Я слушаю.", "Подождите, пожалуйста.", "Понятно, спасибо.",
        "Здравствуйте, я заказывал у вас холодильник.", "Когда его привезут?",
        "Мой номер восемь девятьсот двенадцать, сорок пять, тридцать.", "Стиральная машина не включается.",
        "Улица Лесная, дом семнадцать, квартира восемь.", "Нет, вечером меня не будет дома.",
        "А сколько стоит доставка за город?", "Сейчас посмотрю, где-то был договор.",
    ),
    "en": (
        "Yes.", "No.", "Hello?", "Right.", "I see, thank you.", "When will it be delivered?",
        "The washing machine makes a noise and then it stops.", "Hold on, let me look for the number.",
        "It is twenty four Station Road, the second floor.", "How much would that cost?",
    ),
    "de": (
        "Ja.", "Nein.", "Hallo?", "Einen Moment, bitte.", "Wann kommt der Techniker?",
        "Der Kühlschrank ist seit gestern kaputt.", "Meine Nummer ist sieben drei neun.", "Vielen Dank.",
    ),
    "es": (
        "Sí.", "No.", "Diga.", "Un momento, por favor.", "¿Cuándo llega el pedido?",
        "La lavadora no funciona desde el lunes.", "Vivo en la calle Mayor, número doce.", "Gracias.",
    ),
    "fr": (
        "Oui.", "Non.", "Allô ?", "Un instant, s'il vous plaît.", "Quand serai-je livré ?",
        "Le réfrigérateur ne marche plus depuis hier.", "C'est au quinze, rue de la Gare.", "Merci bien.",
    ),
    "pl": (
        "Tak.", "Nie.", "Halo?", "Chwileczkę.", "Kiedy przyjedzie kurier?",
        "Lodówka przestała działać wczoraj wieczorem.", "Mieszkam przy ulicy Długiej.", "Dziękuję.",
    ),
    "uk": (
        "Так.", "Ні.", "Алло.", "Зачекайте, будь ласка.", "Коли привезуть замовлення?",
        "Пральна машина не вмикається з учорашнього дня.", "Вулиця Садова, будинок дев'ять.", "Дякую.",
    ),
    "tr": (
        "Evet.", "Hayır.", "Alo?", "Bir dakika lütfen.", "Sipariş ne zaman gelecek?",
        "Buzdolabı dünden beri çalışmıyor.", "Adresim aynı, ikinci kat.", "Teşekkür ederim.",
    ),
    "kk": (
        "Иә.", "Жоқ.", "Алло.", "Күте тұрыңыз.", "Тапсырыс қашан келеді?",
        "Тоңазытқыш кешеден бері істемейді.", "Мен екінші қабатта тұрамын.", "Рақмет.",
    ),
    "it": (
        "Sì.", "No.", "Pronto?", "Un attimo, per favore.", "Quando arriva il corriere?",
        "La lavatrice non parte più da ieri.", "Abito in via Roma, al numero sei.", "Grazie mille.",
    ),
    "pt": (
        "Sim.", "Não.", "Alô?", "Um momento, por favor.", "Quando chega a encomenda?",
        "A geladeira não funciona desde ontem.", "Moro na rua das Flores, número dez.", "Obrigado.",
    ),
}  # fmt: skip
