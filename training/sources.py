"""Every sound that the judge is trained, tuned or tested on, with its licence, and which part has it.

All are packages of Debian 12, main; the rest is made of seeded noise and sines (`augment.py`). A voice,
a composer, a key belongs to one part only. The licences are those of each package's copyright file.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple


class Package(NamedTuple):
    """One Debian package."""

    name: str
    version: str
    licence: str
    use: str


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
)
# espeak-ng (GPL-3+) 1.51 is installed, not unpacked: it is a program. What it says is ours.

_RU = "asterisk/sounds/ru_RU_f_IvrvoiceRU"
_FISH = "games/fillets-ng/sound"

VOICES: tuple[tuple[str, str, str, int], ...] = (
    # name, part, glob under usr/share, at most so many clips
    ("ru woman", "train", f"{_RU}/**/*.wav", 700),
    ("en woman", "train", "asterisk/sounds/en_US_f_Allison/**/*.wav", 500),
    ("es woman", "train", "asterisk/sounds/es_MX_f_Allison/**/*.wav", 300),
    ("cs small fish", "train", f"{_FISH}/*/cs/*-m-*.ogg", 700),
    ("cs big fish", "train", f"{_FISH}/*/cs/*-v-*.ogg", 700),
    ("it man", "tune", "asterisk/sounds/it_IT_m_Carlo/**/*.wav", 400),
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
        "asterisk/moh/macroform*.wav",
        "games/singularity/music/**/*.ogg",
        "planetblupi/music/*.ogg",
        "hyperrogue/music/hr3-*.ogg",
        "games/asc/music/*.mp3",
    ),
    "tune": ("games/lincity-ng/music/**/*.ogg", "games/frozen-bubble/snd/*zik*.ogg"),
    "test": (
        "asterisk/moh/manolo*.wav",
        "asterisk/moh/reno*.wav",
        "hyperrogue/music/hr-savino*.ogg",
        "hyperrogue/music/hr-domina*.ogg",
    ),
}
KEYS = "buckle/wav/*.wav"

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
