"""Given names and what people call each other instead: the small table behind "Саша can be Олександр".

A line holds a name's gender, its full forms, and after the colon its everyday ones; the languages stand together, since
a contact's record may be kept in any of them. It was compiled by hand for Ukrainian, Russian, Georgian and English and
holds the frequent names only. Reference works for more: Скрипник, Дзятківська, «Власні імена людей» (Київ, 2005);
Петровский, «Словарь русских личных имён» (Москва, 2000); Glonti, «ქართველური საკუთარი სახელები» (Tbilisi, 1967);
Hanks, Hardcastle, Hodges, "A Dictionary of First Names" (Oxford, 2006).
"""

from __future__ import annotations

from functools import lru_cache

from crm_api.kit.scripts import bones, canonical, name_words

_TABLE = """
m Олександр Александр Alexander ალექსანდრე: Саша Сашко Шура Олесь Лесь Саня Alex Sasha Sandy Sandro სანდრო ალეკო
f Олександра Александра Alexandra ალექსანდრა: Саша Леся Шура Санька Alex Sandra Sasha საშა
m Олексій Алексей Alexis: Льоша Леша Олекса Льоха Alex Lyosha
m Андрій Андрей Andrew ანდრია: Андрійко Андрюша Andy Drew
f Анна Ганна Anne Hannah ანა ანნა: Аня Ганя Ганнуся Аннушка Нюра Annie Ania ანი
f Анастасія Анастасия Anastasia ანასტასია: Настя Ася Наська Nastya Stacy ნასტია
m Антон Антін Anthony ანტონ: Антоша Тоша Tony
m Артем Артём Artem: Тьома Тёма
m Богдан Bohdan: Бодя Данко
m Борис Boris ბორის: Боря
m Вадим Vadym: Вадик
m Валентин Valentin: Валя Валік
f Валентина Valentina ვალენტინა: Валя Валюша
f Валерія Валерия Valeria: Лєра Лера
m Валерій Валерий Valery: Валера
m Василь Василий Basil ვასილ: Вася Васько Васил ვასო
f Вероніка Вероника Veronica ვერონიკა: Ніка Ника Ronnie
m Віктор Виктор Victor ვიქტორ: Вітя Витя Vic
f Вікторія Виктория Victoria ვიქტორია: Віка Вика Віта Vicky Tory
m Віталій Виталий Vitaly: Віталік Виталик
m Володимир Владимир Volodymyr ვლადიმერ: Вова Володя Вовка Volodia Vova ლადო
m Владислав Vladyslav: Влад Владик
m Вячеслав В'ячеслав Viacheslav: Слава Славік
f Галина Halyna Galina: Галя Галинка
m Георгій Георгий George გიორგი: Жора Гоша Юра Гіа გოგი გია გიო Gio Geordie
m Григорій Григорий Gregory გრიგოლ: Гриша Гриць Greg გრიშა
f Дарія Дарья Дарина Daria დარია: Даша Дарка Dasha
m Дмитро Дмитрий Dmytro დიმიტრი: Діма Дима Митя Дмитрик Dima დიმა
f Діана Диана Diana დიანა: Di
m Денис Dennis: Деня
m Едуард Эдуард Edward ედუარდ: Едик Эдик Ed Ted Eddie
f Єва Ева Eve ევა: Євка
m Євген Евгений Eugene ევგენი: Женя Женька Gene
f Євгенія Евгения Eugenia ევგენია: Женя Женька
f Катерина Екатерина Catherine Katherine ეკატერინე: Катя Катруся Катюша Kate Kathy Katie Cathy ეკა კატო
f Єлизавета Елизавета Elizabeth ელისაბედ: Ліза Лиза Beth Liz Betty ელისო ლიზი
f Жанна Zhanna: Жаннуся
f Зоя Zoe: Зойка
f Зінаїда Зинаида Zinaida: Зіна Зина
m Іван Иван John ივანე: Ваня Івась Іванко Ванька Johnny Jack Vanya ვანო
f Іванна Ivanna: Іванка
m Ігор Игорь Ihor იგორ: Ігорко
m Ілля Илья Elijah ილია: Ілько Илюша Eli
f Інна Инна Inna: Інуся
f Ірина Ирина Irene ირინე: Іра Ира Іринка Ірочка Rena ირა
f Кетеван Ketevan ქეთევან: ქეთი ქეთო Keti Keto
m Кирило Кирилл Cyril: Кіра Кирюша
m Костянтин Константин Constantine კონსტანტინე: Костя Кость კოტე
f Христина Кристина Christine ქრისტინე: Христя Chris Tina Chrissy
f Ксенія Ксения Оксана Oksana Xenia ქსენია: Ксюша Ксеня Оксанка
f Лариса Larysa: Лара Лора
m Лев Leo ლევან: Льова Лёва Levko ლევანიკო
f Людмила Liudmyla ლუდმილა: Люда Люся Мила
f Любов Любовь Liubov: Люба Любаша
f Лідія Лидия Lydia ლიდია: Ліда Лида
m Максим Maksym Maxim მაქსიმე: Макс Max
f Маргарита Margaret მარგარიტა: Рита Марго Maggie Peggy Meg Margo
f Марія Мария Mary Maria მარიამ: Маша Марійка Маруся Маня Машка Molly Polly მაკა მარიკა
f Марина Maryna Marina მარინე: Маринка მაკა მარიკა
f Марта Martha: Марточка
m Матвій Матвей Matthew მათე: Мотя Matt
m Михайло Михаил Michael მიხეილ: Миша Мишко Михась Mike Mick მიშა მიხო
m Микола Николай Nicholas ნიკოლოზ: Коля Миколка Nick Kolia ნიკა კოლია ნიკუშა
f Надія Надежда Nadia ნადია: Надя Надійка
f Наталія Наталья Наталя Natalia ნატალია: Наташа Наталка Ната Туся Natasha ნატო
f Ніна Нина Nina ნინო ნინა: Нінуся Ninka
f Ольга Olga ოლღა: Оля Олечка Olia ოლია
f Олена Елена Helen Olena ელენე: Лена Оленка Лєна Олеся Леся Nell Nelly Lena ლენა
m Олег Олєг Oleh ოლეგ: Олежка
m Остап Ostap: Остапко
m Павло Павел Paul პავლე: Паша Павлик Pavlo პაატა
f Поліна Полина Polina: Поля
m Петро Пётр Петр Peter პეტრე: Петя Петрик Pete
f Раїса Раиса Raisa: Рая
m Роман Roman რომან: Рома Ромчик
m Ростислав Rostyslav: Ростик Слава
m Руслан Ruslan: Русик
f Світлана Светлана Svitlana სვეტლანა: Світа Света Lana სვეტა
m Святослав Sviatoslav: Святик Слава
m Семен Семён Simon Symon სიმონ: Сеня Sy სიკო
m Сергій Сергей Serhii Sergius სერგო: Серьожа Серёжа Сергійко Serge სერიოჟა
f Софія София Sophia სოფიო სოფია: Соня Софійка Sophie სოფო
m Станіслав Станислав Stanislav: Стас Стасик Слава
m Степан Стефан Stephen სტეფანე: Степанко Steve
f Тамара Tamara თამარ: Тома თამუნა თაკო
m Тарас Taras: Тарасик
f Тетяна Татьяна Tatiana ტატიანა: Таня Танюша Tania ტანია
m Тимофій Тимофей Timothy: Тимко Тима Tim
m Томас Thomas თომა: Tom Tommy
m Федір Фёдор Федор Theodore თეოდორე: Федя Fedko Ted Theo
f Юлія Юлия Julia იულია: Юля Julie
m Юрій Юрий Yurii იური: Юра Юрко Yura იურა
m Яків Яков Jacob Jakob იაკობ: Яша Jake
f Яна Yana იანა: Яночка
m Ярослав Yaroslav: Ярик Слава
f Ярослава Yaroslava: Слава
m Давид Daniel დავით: დათო დათა Давидко
m William უილიამ Вільям: Will Bill Billy Liam
m Robert რობერტ Роберт: Rob Bob Bobby
m Richard რიჩარდ Річард: Rick Dick Rich
m James ჯეიმს Джеймс: Jim Jimmy
m Charles ჩარლზ Чарльз: Charlie Chuck
m Joseph იოსებ Йосип Осип Иосиф: Joe Joey სოსო Йосько
f Susan სუზანა Сюзанна: Sue Susie
f Patricia პატრიცია Патриція: Pat Patty Tricia
f Barbara ბარბარე Варвара: Варя Barb Babs
f Deborah დებორა Дебора: Debbie Deb
f Rebecca რებეკა Ребекка: Becky
f Jennifer ჯენიფერ Дженніфер: Jen Jenny
f Melania მელანია Меланія: Міла Melanie
f Nana ნანა Нана: ნანული
f Khatuna ხათუნა Хатуна: ხათო
f Lali ლალი Лалі: ლალიკო
m Zurab ზურაბ Зураб: ზურა ზურიკო
m Irakli ირაკლი Іраклій Ираклий: იკა ირა
m Tengiz თენგიზ Тенгіз Тенгиз: თენგო
m Vakhtang ვახტანგ Вахтанг: ვახო
m Lasha ლაშა Лаша: ლაშიკო
f Natia ნათია Натія: ნათო
f Tea თეა Теа: თეკო
f Maia მაია Мая Майя: მაიკო
"""


class GivenNames:
    """The table by search form: which names a word can stand for, and which are full forms."""

    def __init__(self, table: str = _TABLE) -> None:
        self.groups: dict[str, set[int]] = {}
        self.full: set[str] = set()
        self.gender: dict[int, str] = {}
        self._skeletons: dict[str, set[str]] = {}
        for number, line in enumerate(filter(None, table.splitlines())):
            gender, _, rest = line.partition(" ")
            formal, _, everyday = rest.partition(":")
            self.gender[number] = gender
            for is_full, text in ((True, formal), (False, everyday)):
                for word in text.split():
                    form = "".join(canonical(part) for part in name_words(word))
                    self.groups.setdefault(form, set()).add(number)
                    if is_full:
                        self.full.add(form)
            skeletons = {bones("".join(name_words(word))) for word in rest.replace(":", " ").split()}
            for one in skeletons:
                self._skeletons.setdefault(one, set()).update(skeletons - {one, ""})

    def same(self, one: str, other: str) -> bool:
        """Whether both can stand for one name."""
        return bool(self.groups.get(one, set()) & self.groups.get(other, set()))

    def apart(self, one: str, other: str) -> bool:
        """Whether both are names of the table, and never the same one: Марія and Марина, Олександр and Олександра."""
        mine, theirs = self.groups.get(one), self.groups.get(other)
        return bool(mine and theirs) and not mine & theirs  # type: ignore[operator]

    def genders(self, word: str) -> set[str]:
        """Genders of whom the word names; empty for words that are not in the table."""
        return {self.gender[number] for number in self.groups.get(word, ())}

    def skeletons(self, skeleton: str) -> set[str]:
        """Consonants of every name that a name with these consonants can stand for, without themselves."""
        return self._skeletons.get(skeleton, set())

    @property
    def known_skeletons(self) -> list[str]:
        """Consonants of every name of the table."""
        return [one for one in self._skeletons if one]


@lru_cache(maxsize=1)
def given_names() -> GivenNames:
    """The table, read once."""
    return GivenNames()
