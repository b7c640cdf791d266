"""The relationship types every organization begins with, named from both sides in five languages."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DefaultType:
    """A type to begin with. `names`: language to (name, reciprocal name)."""

    code: str
    kind: str
    from_kind: str
    to_kind: str
    names: dict[str, tuple[str, str]]

    @property
    def symmetric(self) -> bool:
        """Whether both sides have the same name."""
        return all(one == other for one, other in self.names.values())


def _same(**names: str) -> dict[str, tuple[str, str]]:
    return {language: (name, name) for language, name in names.items()}


def _personal(code: str, names: dict[str, tuple[str, str]]) -> DefaultType:
    return DefaultType(code, "personal", "person", "person", names)


def _affiliation(code: str, names: dict[str, tuple[str, str]], from_kind: str = "person") -> DefaultType:
    return DefaultType(code, "affiliation", from_kind, "organization", names)


DEFAULTS = (
    _personal("spouse", _same(en="spouse of", uk="чоловік / дружина", ru="супруг(а)", ka="მეუღლე", ar="زوج / زوجة")),
    _personal("partner", _same(en="partner of", uk="партнер(ка)", ru="партнёр", ka="პარტნიორი", ar="شريك حياة")),
    _personal(
        "parent",
        {
            "en": ("parent of", "child of"),
            "uk": ("батько / мати", "дитина"),
            "ru": ("родитель", "ребёнок"),
            "ka": ("მშობელი", "შვილი"),
            "ar": ("والد / والدة", "ابن / ابنة"),
        },
    ),
    _personal("sibling", _same(en="sibling of", uk="брат / сестра", ru="брат / сестра", ka="და-ძმა", ar="أخ / أخت")),
    _personal(
        "grandparent",
        {
            "en": ("grandparent of", "grandchild of"),
            "uk": ("дід / баба", "онук(а)"),
            "ru": ("дед / бабушка", "внук / внучка"),
            "ka": ("ბებია / ბაბუა", "შვილიშვილი"),
            "ar": ("جد / جدة", "حفيد / حفيدة"),
        },
    ),
    _personal(
        "guardian",
        {
            "en": ("guardian of", "ward of"),
            "uk": ("опікун(ка)", "підопічний / підопічна"),
            "ru": ("опекун", "подопечный / подопечная"),
            "ka": ("მეურვე", "სამეურვეო პირი"),
            "ar": ("وصي على", "تحت وصاية"),
        },
    ),
    _personal("relative", _same(en="relative of", uk="родич(ка)", ru="родственник", ka="ნათესავი", ar="قريب")),
    _personal("friend", _same(en="friend of", uk="друг / подруга", ru="друг / подруга", ka="მეგობარი", ar="صديق")),
    _personal(
        "introduced",
        {
            "en": ("introduced", "was introduced by"),
            "uk": ("познайомив(ла) з фондом", "прийшов(ла) через"),
            "ru": ("привёл(а)", "пришёл(шла) через"),
            "ka": ("გააცნო", "გაიცნო მისგან"),
            "ar": ("عرّف", "عُرِّف بواسطة"),
        },
    ),
    _affiliation(
        "employee",
        {
            "en": ("employee of", "employer of"),
            "uk": ("працює в", "роботодавець"),
            "ru": ("работает в", "работодатель"),
            "ka": ("თანამშრომელი", "დამსაქმებელი"),
            "ar": ("موظف لدى", "صاحب العمل لـ"),
        },
    ),
    _affiliation(
        "board_member",
        {
            "en": ("board member of", "has as board member"),
            "uk": ("член правління", "має в правлінні"),
            "ru": ("член правления", "имеет в правлении"),
            "ka": ("საბჭოს წევრი", "საბჭოში ჰყავს"),
            "ar": ("عضو مجلس إدارة", "لديه في مجلس الإدارة"),
        },
    ),
    _affiliation(
        "member",
        {
            "en": ("member of", "has as member"),
            "uk": ("член", "має членом"),
            "ru": ("член", "имеет членом"),
            "ka": ("წევრი", "ჰყავს წევრად"),
            "ar": ("عضو في", "لديه عضو"),
        },
        "any",
    ),
    _affiliation(
        "volunteer",
        {
            "en": ("volunteer at", "has as volunteer"),
            "uk": ("волонтер(ка) в", "має волонтером"),
            "ru": ("волонтёр в", "имеет волонтёром"),
            "ka": ("მოხალისე", "ჰყავს მოხალისედ"),
            "ar": ("متطوع في", "لديه متطوع"),
        },
    ),
    _affiliation(
        "owner",
        {
            "en": ("owner of", "owned by"),
            "uk": ("власник / власниця", "належить"),
            "ru": ("владелец", "принадлежит"),
            "ka": ("მფლობელი", "ეკუთვნის"),
            "ar": ("مالك", "مملوك لـ"),
        },
        "any",
    ),
    _affiliation(
        "student",
        {
            "en": ("student at", "has as student"),
            "uk": ("навчається в", "навчає"),
            "ru": ("учится в", "обучает"),
            "ka": ("სტუდენტი", "ჰყავს სტუდენტად"),
            "ar": ("طالب في", "لديه طالب"),
        },
    ),
    DefaultType(
        "partner_organization",
        "affiliation",
        "organization",
        "organization",
        _same(
            en="partner organization of", uk="організація-партнер", ru="организация-партнёр",
            ka="პარტნიორი ორგანიზაცია", ar="منظمة شريكة لـ",
        ),
    ),
    _affiliation(
        "subsidiary",
        {
            "en": ("subsidiary of", "parent organization of"),
            "uk": ("підрозділ", "головна організація"),
            "ru": ("подразделение", "головная организация"),
            "ka": ("შვილობილი ორგანიზაცია", "დამფუძნებელი ორგანიზაცია"),
            "ar": ("فرع لـ", "المنظمة الأم لـ"),
        },
        "organization",
    ),
)  # fmt: skip
"""In the order they are offered."""
