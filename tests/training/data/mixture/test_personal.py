"""Personal data, and what only looks like it."""

from __future__ import annotations

import pytest

from training.data.mixture.personal import found_kinds, luhn, masked

KINDS = {"email": "mask", "ip": "mask", "card": "mask", "phone": "mask"}


@pytest.mark.parametrize(
    ("kind", "text", "hidden"),
    [
        ("email", "Write to jo.doe+x@mail.epfl.ch.", "Write to [email]."),
        ("email", "<a@b.org>, c@d.net", "<[email]>, [email]"),
        ("phone", "call +41 21 693 11 11 now", "call [phone] now"),
        ("phone", "(415) 555-2671 or 415-555-2671", "[phone] or [phone]"),
        ("phone", "021 693 11 11", "[phone]"),
        ("phone", "+34 612 345 678, +44 (0)20 7946 0018", "[phone], [phone]"),
        ("phone", "from 020 7946 0018 or 030/12345678", "from [phone] or [phone]"),
        ("phone", "Phone number: 4155552671.", "Phone number: [phone]."),
        ("phone", "Call me at +14155552671", "Call me at [phone]"),
        ("email", "mailto:jo@firm.swiss, JO@EPFL.CH", "mailto:[email], [email]"),
        ("card", "card = 4111111111111111", "card = [card]"),
        ("card", "paid with 4111 1111 1111 1111.", "paid with [card]."),
        ("card", "5500005555555559", "[card]"),
        ("card", "3782 822463 10005", "[card]"),
        ("ip", "from 8.8.8.8, port 53", "from [ip], port 53"),
        ("ip", "at 2001:4860:4860::8888", "at [ip]"),
    ],
)
def test_personal_data_is_masked(kind: str, text: str, hidden: str) -> None:
    assert masked(text, kind)[0] == hidden
    assert found_kinds(text, KINDS) == [kind]


@pytest.mark.parametrize(
    "text",
    [
        "me@example.com, root@localhost, a@b",  # nobody's
        "f(x) @ 3, @decorator, a@b = c",
        "4111 1111 1111 1112",  # Luhn's check fails
        "1234567812345670",  # it holds, but no issuer begins with 1
        "2 * 4111111111111.5",
        "5748291 + 39482 = 5787773",
        "555-2671, 3-4-5, 1999-2004",
        "12 + 34 - 56 = -10, 100 200 300 400",
        "version 1.2.3.4.5, 127.0.0.1, 192.168.1.20, 10.0.0.1",
        "999.999.999.999",
        "10:30:00, a::b, std::vector",
        "page 021",
        "x = +3.14159265, +0.6931472, 5 +1000000",
        "12 +3456789 = 3456801",
        "+10 000 000",
        "the codes 00 01 10 11, then 01 02 03 04",
        "09.30 10.45 11.15 12.00",
        "0123 456 789 12",
        "(100) 200 3000",
        "call 4155552671 + 1",
        "W@x.reshape(3), A@B.inverse(), self.W@x.flatten()",
        "X@self.weights, X@model.weights",
        "section 1.2.3.4, version 3.11.4.1, OID 1.3.6.1",
        "14^11 = 4049565169664, 19^12 = 2213314919066161",
        "37^10 = 4808584372417649",
        "4808584372417649 = 37^10",
        "4052739537881",  # Fibonacci
    ],
)
def test_what_looks_like_it_stays(text: str) -> None:
    assert found_kinds(text, KINDS) == []


def test_luhn() -> None:
    # 7992739871 with check digits 0 to 9: only 3 is right.
    assert [luhn(f"7992739871{digit}") for digit in range(10)] == [d == 3 for d in range(10)]
