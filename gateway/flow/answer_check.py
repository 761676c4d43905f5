"""Whether what the upstream answered is an answer at all; a large one is looked at by the reader process."""

from gateway.core.types import Call
from gateway.core.whole_answer import is_whole
from gateway.flow.reader_queue import ReaderQueue

AT_ONCE_UP_TO = 2**19
"""Looked at within a millisecond."""


class AnswerCheck:
    """One worker's."""

    def __init__(self, reader: ReaderQueue) -> None:
        self._reader = reader

    async def accepts(self, call: Call, body: bytes) -> bool:
        """Whether these bytes are one whole JSON object, and for generate_tensor one that holds outputs."""
        if len(body) <= AT_ONCE_UP_TO:
            return is_whole(call.endpoint, body)
        return await self._reader.is_whole(call.endpoint, body)
