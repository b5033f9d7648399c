"""A store's location, and a storage library's error about it, in a form that is safe to show: without credentials.

Anyone who reads `https://user:password@host/weights?sig=...` can enter the store. Errors, notices and reports show
`https://host/weights` instead.
"""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, quote, quote_plus, unquote, urlsplit

from chain.text import shown
from fl_node.blobs.credentials import secrets_in_variables

_URL = re.compile(r"\w[\w+.-]*://\S*")
_ATTEMPT = re.compile(r"Error performing [A-Z]+ \S+ in .*? - ")
_ANSWER = re.compile(r"(status code: \d+[ \w]*).*", re.DOTALL)
_CODE = re.compile(r"<Code>\s*([A-Za-z0-9.]{1,64})\s*</Code>")
_MESSAGE = re.compile(r"<Message>\s*([^<\n]+)")
_CREDENTIALS = re.compile(r"[^/]*:[^/]*@|[^?]*\?[^/]*=")
MAX_ERROR = 10_000
"""How many characters of an error are looked at: it has all that the server answered."""
MAX_MESSAGE = 200
"""How many characters of a server's own message are shown."""
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
    """The library's message in one line, without any URL's credentials.

    Of the body of a server's answer, it has the error code and the quoted message that S3's and Azure's interfaces
    define, such as `403 Forbidden (AccessDenied: "Access Denied.")`, and nothing else.
    """
    text = str(error)[:MAX_ERROR].strip().partition("\n\nDebug source")[0] or type(error).__name__
    text = _ANSWER.sub(_said, _ATTEMPT.sub("", text.replace(where, shown_location(where))))
    line = _URL.sub(lambda found: shown_location(found[0]), text.splitlines()[0])
    for secret in sorted(_secrets_in(where) | secrets_in_variables(), key=len, reverse=True):
        line = line.replace(secret, "…")
    return shown(line)


def _said(answer: re.Match[str]) -> str:
    code, message = _CODE.search(answer[0]), _MESSAGE.search(answer[0])
    if not code:
        return answer[1]
    quoted = f': "{shown(message[1].strip(), MAX_MESSAGE)}"' if message else ""
    return f"{answer[1]} ({code[1]}{quoted})"


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
