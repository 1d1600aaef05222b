"""Secrets of the user: tokens, keys and passwords, struck out of what is printed or kept."""

from __future__ import annotations

import json
import os
import re
import urllib.parse
from collections.abc import Iterator, Mapping

STRUCK = "***"
_NAMES = re.compile(
    r"(?:.*(?:TOKEN|APIKEY|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIALS?)"
    r"|(?:.*_)?(?:KEY|PASS|AUTH)|PGPASS|.*_PWD)(?:_?\d+)?",
    re.IGNORECASE,
)
"""Not ``PWD`` alone, which is the current folder."""
_IN_ADDRESS = re.compile(
    r"(?<=://)(?:[^\s/?#'\"]*|[^\s/?#'\"]*:(?!\d+[/?#])(?<!\[:)[^\s'\"\[\]]*)@"
)
"""A password may hold a slash; what follows a port is no password."""
_BY_FORM = re.compile(r"\b(?:hf_[A-Za-z0-9]{20,}|sk-[A-Za-z0-9_-]{20,}|gh[pousr]_[A-Za-z0-9]{20,})")
_PART = re.compile(
    r"\w*(?:token|keys?|secrets?|password|passwd|passphrase|pwd|credentials?)"
    r"|auth|authorization|bearer|cookies?|headers?",
    re.IGNORECASE,
)
_PARTS = re.compile(r"[A-Z]?[a-z0-9]+|[A-Z0-9]+(?![a-z])")
_IN_QUERY = re.compile(r"(?<=[?&])([^\s=&#'\"]+)=[^\s&#'\"]+")
_SHORTEST, _SHORTEST_WORD = 8, 16
"""Characters from which a value is a secret, the second where it is only letters and hyphens: a
placeholder such as ``not-needed`` must stay in texts.
"""


def struck_out(text: str, environment: Mapping[str, str] = os.environ) -> str:
    """The text without secrets: values of variables that are named as such, users and passwords in
    addresses, parameters of a query that are named as secrets, and what has the form of a token.

    >>> struck_out("http://ana:pw@host/x of t0ken-123", {"HF_TOKEN": "t0ken-123"})
    'http://***@host/x of ***'
    """
    text = _IN_ADDRESS.sub(f"{STRUCK}@", text)
    text = _IN_QUERY.sub(
        lambda found: f"{found[1]}={STRUCK}" if names_secret(found[1]) else found[0], text
    )
    for secret in sorted(_secrets(environment), key=len, reverse=True):
        for form in (secret, urllib.parse.quote(secret, safe=""), json.dumps(secret)[1:-1]):
            text = text.replace(form, STRUCK)
    return _BY_FORM.sub(STRUCK, text)


def names_secret(name: str) -> bool:
    """Whether something of this name may be a secret, in whatever spelling.

    >>> names_secret("x-apiKey"), names_secret("access_token_2"), names_secret("max_tokens")
    (True, True, False)
    """
    return any(_PART.fullmatch(part) for part in _PARTS.findall(name))


def _secrets(environment: Mapping[str, str]) -> Iterator[str]:
    for name, value in environment.items():
        shortest = _SHORTEST_WORD if value.replace("-", "").isalpha() else _SHORTEST
        if _NAMES.fullmatch(name) and len(value.strip()) >= shortest and not _is_path(value):
            yield value.strip()


def _is_path(value: str) -> bool:
    """SSL_KEY=/etc/ssl/my.key names a file; a password may begin with a slash, too."""
    return value[0] in "/~." and os.path.exists(os.path.expanduser(value.strip()))
