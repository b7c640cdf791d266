"""QR codes (ISO/IEC 18004) of addresses: byte mode, error correction M, versions 1 to 10 (up to 213 bytes)."""

from __future__ import annotations

from collections.abc import Iterator

# Of each version: error correction bytes per block, then (blocks, data bytes each).
_BLOCKS: tuple[tuple[int, tuple[tuple[int, int], ...]], ...] = (
    (10, ((1, 16),)),
    (16, ((1, 28),)),
    (26, ((1, 44),)),
    (18, ((2, 32),)),
    (24, ((2, 43),)),
    (16, ((4, 27),)),
    (18, ((4, 31),)),
    (22, ((2, 38), (2, 39))),
    (22, ((3, 36), (2, 37))),
    (26, ((4, 43), (1, 44))),
)
_ALIGNMENT = ((), (6, 18), (6, 22), (6, 26), (6, 30), (6, 34), (6, 22, 38), (6, 24, 42), (6, 26, 46), (6, 28, 50))
_EXP = [1] * 512
_LOG = [0] * 256
for _power in range(1, 512):
    _value = _EXP[_power - 1] << 1
    _EXP[_power] = _value ^ 0x11D if _value & 0x100 else _value
for _power in range(255):
    _LOG[_EXP[_power]] = _power
Matrix = list[list[bool]]


def _multiplied(a: int, b: int) -> int:
    return _EXP[_LOG[a] + _LOG[b]] if a and b else 0


def _correction(data: list[int], count: int) -> list[int]:
    """Reed-Solomon: the remainder of the data by the generator polynomial of that degree."""
    generator = [1]
    for power in range(count):
        longer = [*generator, 0]
        for at, value in enumerate(generator):
            longer[at + 1] ^= _multiplied(value, _EXP[power])
        generator = longer
    rest = [*data, *[0] * count]
    for at in range(len(data)):
        if factor := rest[at]:
            for place, value in enumerate(generator):
                rest[at + place] ^= _multiplied(value, factor)
    return rest[len(data) :]


def _codewords(content: bytes, version: int) -> list[int]:
    """Data and correction of all blocks, interleaved."""
    correction, groups = _BLOCKS[version - 1]
    room = sum(blocks * size for blocks, size in groups)
    bits = f"0100{len(content):0{8 if version < 10 else 16}b}" + "".join(f"{one:08b}" for one in content)
    bits += "0" * min(4, room * 8 - len(bits))
    bits += "0" * (-len(bits) % 8)
    data = [int(bits[at : at + 8], 2) for at in range(0, len(bits), 8)]
    data += [(0xEC, 0x11)[at % 2] for at in range(room - len(data))]
    blocks: list[list[int]] = []
    for number, size in groups:
        for _ in range(number):
            blocks.append(data[:size])
            data = data[size:]
    checks = [_correction(block, correction) for block in blocks]
    longest = max(len(block) for block in blocks)
    found = [block[at] for at in range(longest) for block in blocks if at < len(block)]
    return found + [check[at] for at in range(correction) for check in checks]


def _version(content: bytes) -> int:
    for version, (_, groups) in enumerate(_BLOCKS, start=1):
        if len(content) + (2 if version < 10 else 3) <= sum(blocks * size for blocks, size in groups):
            return version
    raise ValueError("too long for a QR code of version 10")


class _Code:
    def __init__(self, version: int) -> None:
        self.size = 17 + 4 * version
        self.version = version
        self.dark: Matrix = [[False] * self.size for _ in range(self.size)]
        self.fixed: Matrix = [[False] * self.size for _ in range(self.size)]
        self._patterns()

    def put(self, row: int, column: int, dark: bool) -> None:
        self.dark[row][column] = dark
        self.fixed[row][column] = True

    def _patterns(self) -> None:
        last = self.size - 7
        for top, left in ((0, 0), (0, last), (last, 0)):
            for row in range(-1, 8):
                for column in range(-1, 8):
                    if 0 <= top + row < self.size and 0 <= left + column < self.size:
                        ring = max(abs(row - 3), abs(column - 3))
                        self.put(top + row, left + column, ring not in (2, 4))
        centres = _ALIGNMENT[self.version - 1]
        for top in centres:
            for left in centres:
                if (top, left) not in {(6, 6), (6, self.size - 7), (self.size - 7, 6)}:
                    for row in range(-2, 3):
                        for column in range(-2, 3):
                            self.put(top + row, left + column, max(abs(row), abs(column)) != 1)
        for at in range(8, self.size - 8):
            self.put(6, at, at % 2 == 0)
            self.put(at, 6, at % 2 == 0)
        self.format(0)
        if self.version >= 7:
            word = self.version << 12 | _remainder(self.version << 12, 0x1F25, 12)
            for at in range(18):
                dark = bool(word >> at & 1)
                self.put(at // 3, self.size - 11 + at % 3, dark)
                self.put(self.size - 11 + at % 3, at // 3, dark)

    def format(self, mask: int) -> None:
        """Error correction level M (00) and the mask, twice."""
        word = (mask << 10 | _remainder(mask << 10, 0x537, 10)) ^ 0x5412
        for at in range(15):
            dark = bool(word >> at & 1)
            down = at if at < 6 else at + 1 if at < 8 else self.size - 15 + at
            across = self.size - 1 - at if at < 8 else 7 if at == 8 else 14 - at
            self.put(down, 8, dark)
            self.put(8, across, dark)
        self.put(self.size - 8, 8, True)

    def places(self) -> Iterator[tuple[int, int]]:
        """Free modules in the order they are filled: two columns at a time from the right, up and down in turn."""
        upwards = True
        for right in range(self.size - 1, 0, -2):
            column = right if right > 6 else right - 1
            rows = range(self.size - 1, -1, -1) if upwards else range(self.size)
            for row in rows:
                for side in (column, column - 1):
                    if not self.fixed[row][side]:
                        yield row, side
            upwards = not upwards


def _remainder(value: int, divisor: int, degree: int) -> int:
    while value.bit_length() > degree:
        value ^= divisor << (value.bit_length() - degree - 1)
    return value


def _masked(mask: int, row: int, column: int) -> bool:
    product = row * column
    return (
        (row + column) % 2 == 0,
        row % 2 == 0,
        column % 3 == 0,
        (row + column) % 3 == 0,
        (row // 2 + column // 3) % 2 == 0,
        product % 2 + product % 3 == 0,
        (product % 2 + product % 3) % 2 == 0,
        ((row + column) % 2 + product % 3) % 2 == 0,
    )[mask]


def _penalty(dark: Matrix) -> int:
    """How hard a pattern is to read, by the four rules of the standard."""
    size = len(dark)
    score = 0
    for lines in (dark, [list(column) for column in zip(*dark, strict=True)]):
        for line in lines:
            text = "".join("1" if one else "0" for one in line)
            run = 1
            for at in range(1, size + 1):
                if at < size and text[at] == text[at - 1]:
                    run += 1
                    continue
                score += run - 2 if run >= 5 else 0
                run = 1
            for shape in ("10111010000", "00001011101"):
                score += 40 * sum(text.startswith(shape, at) for at in range(size))
    for row in range(size - 1):
        for column in range(size - 1):
            here = dark[row][column]
            score += 3 * (here == dark[row][column + 1] == dark[row + 1][column] == dark[row + 1][column + 1])
    share = 100 * sum(map(sum, dark)) / size**2
    return score + 10 * int(abs(share - 50) // 5)


def qr(text: str, mask: int | None = None) -> Matrix:
    """The modules of a text's code, rows from the top, True where they are dark; without the quiet zone around.
    `ValueError` when it is too long. The easiest to read of the eight masks, unless one is asked for."""
    content = text.encode()
    version = _version(content)
    bits = "".join(f"{one:08b}" for one in _codewords(content, version))
    best: tuple[int, Matrix] | None = None
    for tried in range(8) if mask is None else (mask,):
        code = _Code(version)
        for at, (row, column) in enumerate(code.places()):
            bit = at < len(bits) and bits[at] == "1"
            code.dark[row][column] = bit != _masked(tried, row, column)
        code.format(tried)
        score = _penalty(code.dark)
        if best is None or score < best[0]:
            best = (score, code.dark)
    assert best is not None
    return best[1]
