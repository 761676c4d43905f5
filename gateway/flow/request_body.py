"""A request's body: JSON, not encoded, not larger than is accepted."""

from gateway.core.problems import BODY_TOO_LARGE, MEDIA_TYPE_REFUSED, Problem
from gateway.ports import RawRequest

JSON = "application/json"


async def read_body(raw: RawRequest, max_bytes: int) -> bytes:
    """All of it; a 415 problem for another media type or a coding, 413 for one larger than `max_bytes`."""
    media_type = raw.header("Content-Type")
    is_json = media_type == JSON or (media_type or "").partition(";")[0].strip().lower() == JSON
    if not is_json or (raw.header("Content-Encoding") or "identity") != "identity":
        raise Problem(MEDIA_TYPE_REFUSED)
    body = await raw.read(max_bytes)
    if body is None:
        raise Problem(BODY_TOO_LARGE, f"At most {max_bytes} bytes are accepted.")
    return body
