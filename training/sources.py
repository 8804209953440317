"""Every recorded sound that the network is trained on, with its licence.

All are packages of Debian 12, main; the rest is made of seeded noise and sines. The licences are those of
each package's copyright file: none restricts use or sale. The voices, music and noises of the benchmark's
parts `test` and `world` (`benchmarks/calls/voices.py`) are not among them; its part `tuning` is for trying,
and shares some.
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


PACKAGES = (
    Package("asterisk-core-sounds-ru-wav", "1.6.1-1", "CC-BY-3.0", "a woman's voice, Russian"),
    Package("festvox-ru", "0.5+dfsg-6", "BSD-like", "a man's voice, Russian, 99 minutes"),
    Package("asterisk-core-sounds-en-wav", "1.6.1-1", "CC-BY-SA-3.0", "a woman's voice, English"),
    Package("asterisk-core-sounds-es-wav", "1.6.1-1", "CC-BY-SA-3.0", "the same, Spanish"),
    Package("asterisk-core-sounds-it-wav", "1.6.1-1", "CC-BY-SA-3.0", "a man's voice, Italian"),
    Package("fillets-ng-data-cs", "1.0.1-1.1", "GPL-2", "actors, Czech"),
    Package("klettres-data", "4:22.12.3-1", "GPL-2+", "syllables, one voice a language"),
    Package("asterisk-moh-opsound-wav", "2.03-1.1", "CC-BY-SA-3.0", "hold music"),
    Package("singularity-music", "007-2", "CC-BY-SA-3.0", "music of Max McCracken"),
    Package("planetblupi-music-ogg", "1.14.2-3", "GPL-3+", "music"),
    Package("hyperrogue-music", "12.0q-1", "CC-BY-SA-3.0", "music: Parrotte, Savino, Domina"),
    Package("asc-music", "1.3-6", "GPL-2+", "music"),
    Package("lincity-ng-data", "2.9~git20150314-5", "GPL-2+ and CC-BY-SA-2.0", "music"),
    Package("frozen-bubble-data", "2.212-11", "GPL-2", "music"),
    Package("bucklespring-data", "1.4.0-2", "GPL-2+", "key clicks"),
    Package("tuxpaint-stamps-default", "2022.06.04-1", "GPL-2+", "names of things, many languages"),
    Package("ktuberling-data", "4:22.12.3-1", "GPL-2+", "the same"),
    Package(
        "hedgewars-data", "1.0.2-6", "GFDL-1.3, GPL-2", "exclamations of fifteen voices; music"
    ),
    Package("asterisk-prompt-it-menardi-wav", "1:1.4.22+mm20110907-3.1", "CC-BY-SA-3.0", "a woman"),
    Package("wesnoth-1.16-music", "1:1.16.9-1", "GPL-2+", "orchestral music"),
    Package("nexuiz-music", "2.5.2-12", "GPL-2+", "electronic music"),
    Package("ufoai-music", "2.5-2", "GPL-2+, CC-BY-SA-3.0, CC-BY-3.0", "music of many kinds"),
    Package("supertux-data", "0.6.3-2", "GPL-2+, CC-BY-SA-3.0 and 4.0", "music"),
    Package("warmux-data", "1:11.04.1+repack2-4", "GPL-2+", "music"),
    Package("extremetuxracer-data", "0.8.2-1", "GPL-2+", "music"),
    Package("fillets-ng-data", "1.0.1-1.1", "GPL-2+", "noises"),
    Package("widelands-data", "2:1.1-3", "GPL-2+, CC-BY-SA-3.0", "music"),
    Package("marsshooter-data", "0.7.6-7", "CC-BY-SA-3.0", "rock music, some of it sung"),
    Package("xmoto-data", "0.6.1+repack-9", "GPL-2+", "music"),
    Package("enigma-data", "1.20-dfsg.1-2.2", "GPL-2", "music"),
    Package("warzone2100-music", "4.3.3-3", "GPL-2+", "electronic music"),
    Package("fluid-soundfont-gm", "3.1-5.3", "MIT", "instruments of the composed music"),
)
# espeak-ng (GPL-3+), flite (BSD-like) and fluidsynth (LGPL-2.1+) are installed, not unpacked: programs.
# What they say and play is ours.

_RU = "asterisk/sounds/ru_RU_f_IvrvoiceRU"
_FISH = "games/fillets-ng/sound"
_STAMPS = "tuxpaint/stamps/**/*_desc_"
_HOGS = "games/hedgewars/Data/Sounds/voices"

VOICES: tuple[tuple[str, str, int], ...] = (
    # name, glob under usr/share, at most so many clips
    ("ru woman", f"{_RU}/**/*.wav", 700),
    ("ru man", "festival/voices/russian/msu_ru_nsh_clunits/wav/*.wav", 500),
    ("en woman", "asterisk/sounds/en_US_f_Allison/**/*.wav", 400),
    ("es woman", "asterisk/sounds/es_MX_f_Allison/**/*.wav", 300),
    ("it woman", "asterisk/sounds/it_IT_f_Menardi/**/*.wav", 400),
    ("it man", "asterisk/sounds/it_IT_m_Carlo/**/*.wav", 400),
    ("cs small fish", f"{_FISH}/*/cs/*-m-*.ogg", 700),
    ("cs big fish", f"{_FISH}/*/cs/*-v-*.ogg", 700),
    *(
        (f"stamps {x}", f"{_STAMPS}{x}.ogg", 350)
        for x in ("ru", "fr", "ro", "ca", "es", "be", "el", "lt", "nl")
    ),
    *(
        (f"ktuberling {x}", f"ktuberling/sounds/{x}/*.ogg", 200)
        for x in ("ca", "da", "de", "el", "en", "lt", "ru", "sl", "uk", "wa")
    ),
    *(
        (f"hedgehogs {x}", f"{_HOGS}/{x}/*.ogg", 80)
        for x in (
            *("Classic", "Default_es", "Default_pl", "Default_uk", "HillBilly", "Mobster"),
            *("Pirate", "Russian", "Russian_pl", "Surfer"),
        )
    ),
    *(
        (f"syllables {x}", f"klettres/{x}/*/*.ogg", 120)
        for x in (
            *("ru", "ar", "cs", "da", "de", "en", "en_GB", "es", "he"),
            *("hu", "it", "lt", "ml", "nb", "nds", "pt_BR", "tn"),
        )
    ),
)

MUSIC = (
    "games/singularity/music/**/*.ogg",
    "planetblupi/music/*.ogg",
    "hyperrogue/music/hr3-*.ogg",
    "games/asc/music/*.mp3",
    "games/wesnoth/1.16/data/core/music/*.ogg",
    "games/hedgewars/Data/Music/*.ogg",
    "games/warmux/music/**/*.ogg",
    "games/supertux2/music/**/*.ogg",
    "games/etr/music/*.ogg",
    "games/lincity-ng/music/**/*.ogg",
    "games/frozen-bubble/snd/*zik*.ogg",
    "archives/nexuiz/**/*.ogg",
    "archives/ufoai/**/*.ogg",
    "asterisk/moh/macroform*.wav",
    "games/widelands/data/music/*.ogg",
    "games/marsshooter/audio/**/*.ogg",
    "games/xmoto/Textures/Musics/*.ogg",
    "games/enigma/music/*/*.ogg",
    "games/warzone2100/music/**/*.opus",
)
COMPOSED = 500
"""Pieces of music that are made, see `training.composed_music` …"""
SOUND_FONT = "sounds/sf2/FluidR3_GM.sf2"
"""… with these instruments."""
_CITY = "games/lincity-ng/sounds"
SOUNDS = (
    # What may have people in it (houses, markets, schools, "excellent") is left out.
    f"{_CITY}/[BDFGIOPTW]*.wav",
    *(f"{_CITY}/{name}*.wav" for name in ("Harbor", "Mi", "Mon", "Sub", "Ra", "Rec", "Ro")),
    *(
        f"games/supertux2/sounds/{name}*.{kind}"
        for name in ("[a-di-su]", "fi", "fl", "wa", "wo")
        for kind in ("ogg", "wav")
    ),
    "games/warmux/sound/default/weapons/[a-rt]*.ogg",
    "games/etr/sounds/*.wav",
    "games/frozen-bubble/snd/[cdmnrst]*.ogg",
    "games/fillets-ng/sound/share/sp-[bi]*.ogg",
)
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


_VARIANTS = (
    "m1 m2 m3 m5 m7 f1 f2 f3 f5 Alex Andy Annie Diogo Gene Jacky Lee Mario anika antonio belinda "
    "benjamin caleb edward gustave linda max miguel norbert pablo quincy rob sandro steph zac"
)
_LANGUAGES = ("ru", "ru", "en", "ru", "de", "es", "fr", "pl", "uk", "tr", "kk", "it")
FLITE = ("awb", "kal16", "rms", "slt")


def espeak_voices() -> Iterator[tuple[str, int, int]]:
    """espeak-ng's name, words a minute and pitch of each synthetic voice."""
    for number, variant in enumerate(_VARIANTS.split()):
        language = _LANGUAGES[number % len(_LANGUAGES)]
        yield f"{language}+{variant}", 130 + 23 * (number % 5), 25 + 11 * (number % 6)


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
}  # fmt: skip
