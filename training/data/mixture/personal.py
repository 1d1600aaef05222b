"""Finds personal data in texts: e-mail addresses, phone numbers, payment cards, IP addresses.

Each pattern is narrow, because what surrounds it is often mathematics: a phone number is written
with separators or a country code, a card's digits satisfy its issuer's length and Luhn's check, and
addresses that stand for nobody (example.org, 192.168.0.1) are nobody's.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType

_EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@(?:[\w-]{1,63}\.){1,8}[^\W\d_]{2,24}(?![\w-])")
_NOBODYS = re.compile(
    r"(?:@|\.)(?:example\.(?:com|org|net|edu)|example|test|invalid|localhost)$", re.I
)
_PHONE = re.compile(
    r"(?<![\w.+/*=^-])(?:"
    r"\+\d{1,3}(?:[ .-]?\(?\d{1,4}\)?){2,5}"  # +41 21 693 11 11
    r"|\(\d{3}\) ?\d{3}[ .-]\d{4}"  # (415) 555-2671
    r"|\d{3}-\d{3}-\d{4}"  # 415-555-2671
    r"|0\d{1,3}(?:[ ./]\d{2,4}){3,4}"  # 021 693 11 11
    r")(?![\w/*=^]|[.-]\d)"
)
_CARD = re.compile(
    r"(?<![\w.,-])(?:\d{13,19}|\d{4}(?:[ -]\d{4}){2}[ -]\d{1,7}|\d{4}[ -]\d{6}[ -]\d{5})"
    r"(?![\w-]|[.,]\d)"
)
_IPV4 = re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w]|\.\d)")
_IPV6 = re.compile(r"(?<![\w:.])(?:[0-9a-fA-F]{0,4}:){2,7}[0-9a-fA-F]{0,4}(?![\w:.])")
_ISSUERS = (
    (re.compile(r"4"), (13, 16, 19)),
    (re.compile(r"5[1-5]|2[2-7]"), (16,)),
    (re.compile(r"3[47]"), (15,)),
    (re.compile(r"6(?:011|4[4-9]|5)"), (16, 19)),
    (re.compile(r"3(?:0[0-5]|[68])"), (14,)),
    (re.compile(r"35"), (16,)),
)


def found_kinds(text: str, kinds: Mapping[str, str]) -> list[str]:
    """Which of the kinds a text holds."""
    return [kind for kind in kinds if masked(text, kind)[1]]


def masked(text: str, kind: str) -> tuple[str, int]:
    """A text with one kind of personal data replaced by ``[kind]``, and how many there were."""
    if not _WORTH_LOOKING[kind](text):
        return text, 0
    count = 0

    def replaced(match: re.Match[str]) -> str:
        nonlocal count
        if not _TRUE[kind](match[0]):
            return match[0]
        count += 1
        return f"[{kind}]"

    for pattern in _PATTERNS[kind]:
        text = pattern.sub(replaced, text)
    return text, count


def luhn(digits: str) -> bool:
    """Whether the last digit is the check digit of the others."""
    doubled = [int(digit) * 2 for digit in digits[-2::-2]]
    plain = sum(int(digit) for digit in digits[-1::-2])
    return (plain + sum(value - 9 if value > 9 else value for value in doubled)) % 10 == 0


def _is_card(text: str) -> bool:
    digits = re.sub(r"\D", "", text)
    issued = any(start.match(digits) and len(digits) in lengths for start, lengths in _ISSUERS)
    return issued and luhn(digits)


def _is_phone(text: str) -> bool:
    return 7 <= sum(sign.isdigit() for sign in text) <= 15


def _is_public_address(text: str) -> bool:
    if ":" in text and sum(map(bool, text.split(":"))) < 4:
        return False  # a::b is an address by the letter, and a name in some languages
    try:
        return ipaddress.ip_address(text).is_global
    except ValueError:
        return False


_LONG_NUMBER = re.compile(r"\d[\d ()./-]{5,}\d")
"""What a phone or card number has in it: most texts need not be looked at any closer."""
_PATTERNS = MappingProxyType(
    {"email": (_EMAIL,), "phone": (_PHONE,), "card": (_CARD,), "ip": (_IPV4, _IPV6)}
)
_TRUE: Mapping[str, Callable[[str], bool]] = MappingProxyType(
    {
        "email": lambda text: not _NOBODYS.search(text),
        "phone": _is_phone,
        "card": _is_card,
        "ip": _is_public_address,
    }
)
_WORTH_LOOKING: Mapping[str, Callable[[str], bool]] = MappingProxyType(
    {
        "email": lambda text: "@" in text,
        "phone": lambda text: bool(_LONG_NUMBER.search(text)),
        "card": lambda text: bool(_LONG_NUMBER.search(text)),
        "ip": lambda text: text.count(".") > 2 or text.count(":") > 1,
    }
)
