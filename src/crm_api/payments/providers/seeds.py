"""What a seed decides for the sample events of donation platforms: the donor, the sum, every id."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from crm_api.kit.clock import rfc3339

_DONORS = (
    ("Олена", "Ковальчук", "UA", "Львів"),
    ("ნინო", "ბერიძე", "GE", "თბილისი"),
    ("María José", "Núñez", "ES", "Málaga"),
    ("Zoë", "O’Connor", "IE", "Gaillimh"),
    ("Łukasz", "Żółć", "PL", "Łódź"),
    ("Nguyễn Thị", "Hà", "VN", "Đà Nẵng"),
)
_SUMS = (1000, 2500, 5000, 10_000, 42_00)


@dataclass(frozen=True, slots=True)
class Seed:
    """One donor, one payment, one plan; only times follow `now`."""

    seed: str
    now: datetime

    def pick(self, what: str, count: int) -> int:
        """A number below `count`, the same for the same seed and question."""
        return int.from_bytes(sha256(f"{self.seed}/{what}".encode("utf-8", "replace")).digest()[:8]) % count

    def ref(self, what: str, length: int = 17) -> str:
        """The seed's id of that kind: capitals and digits."""
        return sha256(f"{self.seed}/{what}".encode("utf-8", "replace")).hexdigest()[:length].upper()

    def number(self, what: str) -> int:
        """The seed's id of that kind, as a number."""
        return 1_000_000 + self.pick(what, 10**9)

    @property
    def given(self) -> str:
        """The donor's given name."""
        return _DONORS[self.pick("donor", len(_DONORS))][0]

    @property
    def family(self) -> str:
        """The donor's family name."""
        return _DONORS[self.pick("donor", len(_DONORS))][1]

    @property
    def country(self) -> str:
        """Where the donor lives."""
        return _DONORS[self.pick("donor", len(_DONORS))][2]

    @property
    def city(self) -> str:
        """Where in it."""
        return _DONORS[self.pick("donor", len(_DONORS))][3]

    @property
    def email(self) -> str:
        """The donor's address, in a domain that never delivers."""
        return f"donor.{self.pick('email', 10**8):08d}@example.org"

    @property
    def cents(self) -> int:
        """The gift, in minor units of US dollars."""
        return _SUMS[self.pick("amount", len(_SUMS))]

    @property
    def decimal(self) -> str:
        """The gift as PayPal and Donorbox print it."""
        return f"{self.cents // 100}.{self.cents % 100:02d}"

    @property
    def at(self) -> str:
        """Now, as most write it."""
        return rfc3339(self.now.replace(microsecond=0))


def unknown(known: list[str]) -> KeyError:
    """What `sample` raises for a type that it does not know."""
    return KeyError(f"no sample for this event type; known are: {', '.join(sorted(known))}")
