"""Prints tests/data/native_bounds.txt: schema, index and the bits of 2^(index * 2^-schema), rounded
correctly. Worked out with decimals of 60 digits and exact fractions, apart from the table in the source."""

from decimal import Decimal, getcontext
from fractions import Fraction
import random
import struct

getcontext().prec = 1200  # exact powers of two down to 2^-1080 need their digits


def nearest(schema, index):
    """The nearest double, ties to even; CPython's int / int division rounds correctly."""
    exponent = Fraction(index) * Fraction(2) ** -schema
    whole, part = divmod(exponent, 1)
    if part == 0:
        value = Fraction(2) ** int(whole) if abs(whole) < 5000 else (Fraction(0) if whole < 0 else None)
    else:
        getcontext().prec = 60
        root = (Decimal(part.numerator) / Decimal(part.denominator) * Decimal(2).ln()).exp()
        value = Fraction(root) * Fraction(2) ** int(whole) if abs(whole) < 5000 else (Fraction(0) if whole < 0 else None)
    if value is None:
        return float("inf")
    try:
        return value.numerator / value.denominator
    except OverflowError:
        return float("inf")


random.seed(7)
for schema in range(-4, 9):
    step = 2.0 ** schema
    indexes = set(range(-20, 21))
    for edge in (-1075, -1074, -1073, -1050, -1023, -1022, -1021, 1022, 1023, 1024, 1025):
        indexes.update(int(edge * step) + d for d in range(-3, 4))
    indexes.update(random.randint(int(-1080 * step), int(1030 * step)) for _ in range(60))
    indexes.update((-2**31, 2**31 - 1))
    for index in sorted(indexes):
        bits = struct.unpack("<Q", struct.pack("<d", nearest(schema, index)))[0]
        print(schema, index, f"{bits:016x}")
