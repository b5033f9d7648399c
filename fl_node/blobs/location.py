"""A store's location, and a storage library's error about it, in a form that is safe to show: without credentials.

Anyone who reads `https://user:password@host/weights?sig=...` can enter the store. Errors, notices and reports show
`https://host/weights` instead.
"""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, quote, quote_plus, unquote, urlsplit

from chain.text import shown

_URL = re.compile(r"\w[\w+.-]*://\S*")
_ATTEMPT = re.compile(r"Error performing [A-Z]+ \S+ in .*? - ")
_ANSWER = re.compile(r"(status code: \d+[ \w]*).*")
_CREDENTIALS = re.compile(r"[^/]*:[^/]*@|[^?]*\?[^/]*=")
LEAST_SECRET = 4
"""Shorter query values are not removed from texts: they would match parts of many words."""


def shown_location(where: str) -> str:
    """A folder unchanged; a URL without user, password, query and fragment."""
    scheme, separator, rest = where.partition("://")
    if not separator:
        return shown(
            where.rpartition("@")[2].partition("?")[0] if names_credentials(where) else where
        )
    before, *hidden = re.split("[?#]", rest, maxsplit=1)
    if any("@" in part for part in hidden):  # maybe a password that contains a question mark
        return f"{shown(scheme)}://…"
    return shown(f"{scheme}://{before.rpartition('@')[2]}")


def names_credentials(where: str) -> bool:
    """Whether a location without a scheme looks like a URL with credentials rather than like a folder."""
    return "://" not in where and bool(_CREDENTIALS.match(where))


def reason_of(error: Exception, where: str) -> str:
    """The library's message in one line, without any URL's credentials and without the body of a server's answer."""
    line = (str(error).strip().splitlines() or [type(error).__name__])[0]
    line = line.replace(where, shown_location(where))
    line = _ANSWER.sub(r"\1", _ATTEMPT.sub("", line))
    line = _URL.sub(lambda found: shown_location(found[0]), line)
    for secret in sorted(_secrets_in(where), key=len, reverse=True):
        line = line.replace(secret, "…")
    return shown(line)


def _secrets_in(where: str) -> set[str]:
    """User, password, query values and fragment, in every spelling that an error may repeat."""
    try:
        url = urlsplit(where)
    except ValueError:  # such as a bracket that is never closed
        return {where}
    values = [value for _, value in parse_qsl(url.query)]
    named = [url.netloc.rpartition("@")[0], url.username, url.password, url.query, url.fragment]
    secrets = [text for text in (*named, *values) if text and len(text) >= LEAST_SECRET]
    return {
        spelling(text)
        for text in secrets
        for spelling in (str, unquote, quote, quote_plus, lambda plain: quote(plain, safe=""))
    }
