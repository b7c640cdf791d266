"""What receipts say, in the five languages, and the money and dates on them as each language writes them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal

from crm_api.kit.money import Money, exponent

RTL = frozenset({"ar"})
FALLBACK = "en"
_KEYS = (
    "donation", "in_kind", "annual", "number", "issued", "donor", "amount", "gift_date", "method", "purpose", "goods",
    "deductible", "total", "page", "specimen", "void", "voided_on", "replaces", "verify", "what",
)  # fmt: skip
_METHODS = ("card", "bank_transfer", "cash", "cheque", "wallet", "crypto", "in_kind", "stock", "other")
_TEXTS: Mapping[str, tuple[str, str]] = {
    "en": (
        "Donation receipt|Receipt for a gift in kind|Statement of gifts for {year}|Receipt no.|Issued on|Received from|"
        "Amount|Date of the gift|Method|Purpose|Value of goods you received in return|Deductible amount|Total|"
        "Page {page} of {pages}|SPECIMEN|VOID|Void since {date}|Replaces receipt no. {number}|"
        "Check this receipt: scan the code or open the address|What was given",
        "Card|Bank transfer|Cash|Cheque|Electronic wallet|Cryptocurrency|Gift in kind|Securities|Other",
    ),
    "uk": (
        "Квитанція про благодійний внесок|Квитанція про внесок у натуральній формі|Довідка про внески за {year} рік|"
        "Квитанція №|Дата видачі|Отримано від|Сума|Дата внеску|Спосіб|Призначення|Вартість отриманого натомість|"
        "Сума, що враховується для податкової знижки|Разом|Сторінка {page} з {pages}|ЗРАЗОК|АНУЛЬОВАНО|"
        "Анульовано {date}|Замінює квитанцію № {number}|Перевірити квитанцію: скануйте код або відкрийте адресу|"
        "Що передано",
        "Картка|Банківський переказ|Готівка|Чек|Електронний гаманець|Криптовалюта|Натуральна форма|Цінні папери|Інше",
    ),
    "ka": (
        "შემოწირულობის ქვითარი|არაფულადი შემოწირულობის ქვითარი|{year} წლის შემოწირულობების ცნობა|ქვითარი №|"
        "გაცემის თარიღი|მიღებულია|თანხა|შემოწირულობის თარიღი|გადახდის გზა|დანიშნულება|სანაცვლოდ მიღებულის ღირებულება|"
        "გამოსაქვითი თანხა|სულ|გვერდი {page}, სულ {pages}|ნიმუში|გაუქმებულია|გაუქმებულია {date}|"
        "ცვლის ქვითარს № {number}|ქვითრის შემოწმება: დაასკანერეთ კოდი ან გახსენით მისამართი|რა გადმოეცა",
        "ბარათი|საბანკო გადარიცხვა|ნაღდი ფული|ჩეკი|ელექტრონული საფულე|კრიპტოვალუტა|არაფულადი|ფასიანი ქაღალდები|სხვა",
    ),
    "ru": (
        "Квитанция о пожертвовании|Квитанция о пожертвовании в натуральной форме|"
        "Справка о пожертвованиях за {year} год|Квитанция №|Дата выдачи|Получено от|"
        "Сумма|Дата пожертвования|Способ|Назначение|Стоимость полученного взамен|"
        "Сумма к вычету|Итого|Страница {page} из {pages}|ОБРАЗЕЦ|АННУЛИРОВАНО|Аннулировано {date}|"
        "Заменяет квитанцию № {number}|Проверить квитанцию: отсканируйте код или откройте адрес|Что передано",
        "Карта|Банковский перевод|Наличные|Чек|Электронный кошелёк|Криптовалюта|Натуральная форма|Ценные бумаги|Другое",
    ),
    "ar": (
        "إيصال تبرع|إيصال تبرع عيني|كشف التبرعات لعام {year}|إيصال رقم|تاريخ الإصدار|استلمنا من|المبلغ|تاريخ التبرع|"
        "طريقة الدفع|الغرض|قيمة ما حصلتم عليه بالمقابل|المبلغ القابل للخصم|المجموع|صفحة {page} من {pages}|عينة|ملغى|"
        "أُلغي في {date}|يحل محل الإيصال رقم {number}|للتحقق من الإيصال: امسح الرمز أو افتح العنوان|ما تم التبرع به",
        "بطاقة|تحويل مصرفي|نقدًا|شيك|محفظة إلكترونية|عملة مشفرة|تبرع عيني|أوراق مالية|أخرى",
    ),
}
LANGUAGES = tuple(_TEXTS)
WORDS: Mapping[str, Mapping[str, str]] = {
    language: dict(zip(_KEYS, words.split("|"), strict=True)) for language, (words, _) in _TEXTS.items()
}
METHOD_NAMES: Mapping[str, Mapping[str, str]] = {
    language: dict(zip(_METHODS, names.split("|"), strict=True)) for language, (_, names) in _TEXTS.items()
}
_SYMBOLS = {"EUR": "€", "GBP": "£", "GEL": "₾", "UAH": "₴"}
_MARKS = dict.fromkeys(map(ord, "\u200e\u200f\u061c"))


def language_of(*tags: str | None) -> str:
    """The first of the tags whose language receipts are written in, else English: ``uk-UA`` is ``uk``."""
    for tag in tags:
        primary = (tag or "").strip().lower().replace("_", "-").partition("-")[0]
        if primary in WORDS:
            return primary
    return FALLBACK


def money_text(money: Money, language: str) -> str:
    """An amount with all its decimals, by ISO 4217 and not by Babel's tables, which round some currencies."""
    from babel import Locale
    from babel.numbers import parse_pattern

    locale = Locale.parse(language)
    pattern = parse_pattern(locale.currency_formats["standard"].pattern)
    decimals = exponent(money.currency)
    pattern.frac_prec = (decimals, decimals)
    major: Decimal = money.major()
    text = str(pattern.apply(major, locale, currency=money.currency, currency_digits=False)).translate(_MARKS)
    if language in {"uk", "ka", "ru"}:
        text = text.replace(money.currency, _SYMBOLS.get(money.currency, money.currency))
    if (
        language == "ar"
    ):  # a receipt names its currency beyond doubt, and a code stands well in a line of either direction
        number = pattern_number(major, decimals)
        return f"{number} {money.currency}"
    return text


def pattern_number(value: Decimal, decimals: int) -> str:
    """A number with commas between thousands and a point before decimals."""
    return f"{value:,.{decimals}f}"


def date_text(day: date, language: str) -> str:
    """A date written out; in English the day comes first."""
    from babel.dates import format_date

    return str(format_date(day, format="long", locale="en_GB" if language == "en" else language)).translate(_MARKS)
