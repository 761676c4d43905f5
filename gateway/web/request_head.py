"""What is wrong with the head of a request; such a request is answered once, and its connection is closed.

The parser (llhttp, in aiohttp) checks the grammar. What a field means is left to its user: a host that no host has,
a transfer coding that nobody decodes, a version that is not spoken here.
"""

import re

from aiohttp.http import HttpVersion10, HttpVersion11
from aiohttp.http_exceptions import BadHttpMethod, BadStatusLine
from aiohttp.http_parser import RawRequestMessage
from multidict import CIMultiDictProxy

from gateway.core.problems import CODING_UNKNOWN, NOT_HTTP, UNKNOWN_METHOD, VERSION_UNKNOWN, Problem, ProblemType

# RFC 3986 section 3.2.2 and 3.2.3: a name or IPv4 address, or an address in brackets; a port.
_HOST = re.compile(r"(?:(?:[A-Za-z0-9._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*|\[[0-9A-Fa-f:.]+\])(?::[0-9]*)?")
# As aiohttp shows the line in which its parser stopped (_http_parser.pyx, 3.14).
_REQUEST_LINE = re.compile(r"b'[!#$%&*+.^_`|~0-9A-Za-z-]+ [^ ']+ HTTP/(\d+(?:\.\d+)?)'")
_SPOKEN = (HttpVersion11, HttpVersion10)


def fault(message: RawRequestMessage) -> Problem | None:
    """A 400, 501 or 505 problem, or None as almost always."""
    headers: CIMultiDictProxy[str] = message.headers
    if message.version not in _SPOKEN:
        return Problem(VERSION_UNKNOWN)
    if not _HOST.fullmatch(headers.get("Host", "")):
        return Problem(NOT_HTTP, "Host is not the name or address of any host.")
    # Whatever the parser makes of it: "Transfer-Encoding: gzip" alone has no length that anybody could know.
    codings = headers.getall("Transfer-Encoding", None)
    if codings is None:
        return None
    if message.version == HttpVersion10:
        # RFC 9112 section 6.1: its framing is faulty, and what follows on the connection cannot be trusted.
        return Problem(NOT_HTTP, "HTTP/1.0 has no Transfer-Encoding.")
    if ", ".join(codings).strip().lower() != "chunked":
        return Problem(CODING_UNKNOWN)
    return None


def kind_of_error(error: BaseException | None) -> ProblemType:
    """What is told of a request that could not be parsed (RFC 9110 sections 9.1 and 15.6.6)."""
    line = _REQUEST_LINE.search(error.message) if isinstance(error, BadStatusLine) else None
    if line is None:
        return NOT_HTTP
    if line[1] not in ("1.0", "1.1"):
        return VERSION_UNKNOWN
    return UNKNOWN_METHOD if isinstance(error, BadHttpMethod) else NOT_HTTP
