"""How many large answers a worker receives and looks at, at the same time; the others wait, unread, at the upstream."""

import asyncio


class LargeAnswers:
    """One worker's places. At most `places` at a time, first come, first served; those that stand still apart."""

    def __init__(self, places: int) -> None:
        self._places = asyncio.Semaphore(places)

    def place(self) -> "LargeAnswerPlace":
        """A place for one call's answer, not taken yet."""
        return LargeAnswerPlace(self._places)


class LargeAnswerPlace:
    """`ports.AnswerPlace`."""

    __slots__ = ("_held", "_places")

    def __init__(self, places: asyncio.Semaphore) -> None:
        self._places, self._held = places, False

    async def take(self) -> None:
        if not self._held:
            await self._places.acquire()
            self._held = True

    def leave(self) -> None:
        if self._held:
            self._held = False
            self._places.release()
