"""Finds personal data in texts: e-mail addresses, phone numbers, payment cards, IP addresses.

Each pattern is narrow, because what surrounds it is often mathematics: a phone number is written
with separators in the ways of some countries or after a word such as "phone", an e-mail address
ends as such do, a card's digits satisfy its issuer's length and Luhn's check and are no result of a
calculation, and addresses that stand for nobody (example.org, 192.168.0.1) are nobody's.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType

_ENDINGS = (
    "[a-z]{2}|[A-Z]{2}|(?i:academy|aero|agency|app|art|asia|bank|berlin|biz|blog|cat|center|cloud|"
    "club|com|company|consulting|coop|design|dev|digital|edu|education|email|eus|family|foundation|"
    "gal|global|gov|group|health|info|institute|int|international|jobs|law|legal|life|live|london|"
    "ltd|media|mil|mobi|museum|name|net|network|news|ngo|nyc|ong|online|org|page|paris|post|press|"
    "pro|quebec|school|science|scot|services|shop|site|social|solutions|space|store|studio|swiss|"
    "systems|team|tech|technology|tel|tirol|today|top|travel|university|wales|website|wien|wiki|"
    "work|works|world|xyz|zone|zuerich)"
)
"""Of addresses: ``W@x.weights`` is a product of matrices."""
_EMAIL = re.compile(
    r"(?<![\w.+-])[\w.+-]{1,64}@(?!self\.|np\.)(?:[\w-]{1,63}\.){1,8}"
    rf"(?:{_ENDINGS}|[^\W\d_a-zA-Z]{{2,24}})(?![\w(-]|\.[\w])"
)
_NOBODYS = re.compile(
    r"(?:@|\.)(?:example\.(?:com|org|net|edu)|example|test|invalid|localhost)$", re.I
)
_PHONE = re.compile(
    r"(?<![\w.+/*=^-])(?<!\d )(?:"
    r"\+[1-9]\d{0,2}(?:[ -](?:\(0\) ?)?\(?\d{1,8}\)?){2,5}"  # +41 21 693 11 11
    r"|\([2-9]\d{2}\) ?[2-9]\d{2}[ .-]\d{4}"  # (415) 555-2671
    r"|[2-9]\d{2}-[2-9]\d{2}-\d{4}"  # 415-555-2671
    r"|0[1-9]\d([ ./-])\d{3}\1\d{2}\1\d{2}"  # 021 693 11 11
    r"|0[1-9]([ .])\d{2}(?:\2\d{2}){3}"  # 01 23 45 67 89
    r"|0[1-9]\d([ -])\d{4}\3\d{4}"  # 020 7946 0018
    r"|0[1-9]\d{2}([ -])\d{3}\4\d{4}"  # 0161 496 0000
    r"|0[1-9]\d{1,3}[ /-]\d{6,8}"  # 030 12345678
    r")(?![\w/*=^]|[.-]\d| \d)"
)
_UNGROUPED = re.compile(r"(?<![\w.,+/*=^-])(?<!\d )\+?\d{9,15}(?![\w/*=^]|[.,]\d| *[-+*/=^])")
_CALLED = re.compile(
    r"\b(?:telephone|phone|tel|mobile|cell|fax|call|whatsapp)\b[^\w\n+]{0,3}"
    r"(?:(?:number|no|is|me|us|him|her|at|on)\b[^\w\n+]{1,3}){0,3}$",
    re.I,
)
"""What stands before a number without separators that is a phone's."""
_CARD = re.compile(
    r"(?<![\w.,-])(?:\d{13,19}|\d{4}(?:[ -]\d{4}){2}[ -]\d{1,7}|\d{4}[ -]\d{6}[ -]\d{5})"
    r"(?![\w-]|[.,]\d)"
)
_IPV4 = re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w]|\.\d)")
_IPV6 = re.compile(r"(?<![\w:.])(?:[0-9a-fA-F]{0,4}:){2,7}[0-9a-fA-F]{0,4}(?![\w:.])")
_ISSUERS = (
    (re.compile(r"4"), (16, 19)),
    (re.compile(r"5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720"), (16,)),
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
        if not _TRUE[kind](match):
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


_RECKONED = re.compile(r"[-=+*/^<>\u00d7\u00b7\u2248\u2212]\s*$")
_RECKONS = re.compile(r"\s*[=+*/^<>\u00d7\u00b7\u2248]")
_SAYS_CARD = re.compile(r"card|visa|amex|credit|debit|payment", re.I)
_NUMBERED = re.compile(
    r"(?:\b(?:versions?|ver|v|releases?|sections?|sec|chapters?|clauses?|articles?|figures?|fig|"
    r"tables?|theorem|lemma|exercise|oid|build)\b\.?|\u00a7{1,2})[\s:=]*$",
    re.I,
)
_BEFORE = 40
"""Characters before a match that say what it is."""


def _before(match: re.Match[str]) -> str:
    return match.string[max(match.start() - _BEFORE, 0) : match.start()]


def _is_email(match: re.Match[str]) -> bool:
    return not _NOBODYS.search(match[0])


def _is_card(match: re.Match[str]) -> bool:
    digits = re.sub(r"\D", "", match[0])
    issued = any(start.match(digits) and len(digits) in lengths for start, lengths in _ISSUERS)
    if not (issued and luhn(digits)):
        return False
    before = _before(match)
    reckoned = _RECKONED.search(before) or _RECKONS.match(match.string, match.end())
    return not reckoned or bool(_SAYS_CARD.search(before))


def _is_phone(match: re.Match[str]) -> bool:
    groups = re.findall(r"\d+", match[0])
    if len(groups) == 1:
        return bool(_CALLED.search(_before(match)))
    digits = sum(map(len, groups))
    if not match[0].startswith("+"):
        return 7 <= digits <= 15
    if len(groups) == 3 and [len(group) for group in groups[1:]] == [3, 3]:
        return False  # +10 000 000
    return 9 <= digits <= 15 and sum(len(group) > 1 for group in groups[1:]) > 1


def _is_public_address(match: re.Match[str]) -> bool:
    text = match[0]
    if ":" in text and sum(map(bool, text.split(":"))) < 4:
        return False  # a::b is an address by the letter, and a name in some languages
    if _NUMBERED.search(_before(match)):
        return False
    try:
        return ipaddress.ip_address(text).is_global
    except ValueError:
        return False


_LONG_NUMBER = re.compile(r"\d[\d ()./-]{5,}\d")
"""What a phone or card number has in it: most texts need not be looked at any closer."""
_PATTERNS = MappingProxyType(
    {"email": (_EMAIL,), "phone": (_PHONE, _UNGROUPED), "card": (_CARD,), "ip": (_IPV4, _IPV6)}
)
_TRUE: Mapping[str, Callable[[re.Match[str]], bool]] = MappingProxyType(
    {
        "email": _is_email,
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
