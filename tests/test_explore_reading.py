"""The way to the data folder: how many read at a time, and what becomes of a question that takes too long."""

import asyncio
import threading

import pytest

from energydash.errors import FileError
from energydash.ui.explore import reading

LIMIT_S = 60


class Slow:
    """Tables that answer once the test lets them; knows how many ask at a time."""

    def __init__(self):
        self.let = threading.Event()
        self._lock = threading.Lock()
        self.now = self.most = 0

    def contents(self):
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)
        try:
            assert self.let.wait(LIMIT_S)
        finally:
            with self._lock:
                self.now -= 1
        return "contents"


@pytest.fixture
async def asking(tmp_path):
    one = reading.Reading(tmp_path)
    one._archive = one.slow = Slow()
    yield one
    one.slow.let.set()


async def until(condition):
    async with asyncio.timeout(LIMIT_S):
        while not condition():  # noqa: ASYNC110 (threads set it)
            await asyncio.sleep(0.01)


async def test_who_asks_too_much_is_told_at_once_and_no_more_threads_read_than_may(
    asking, monkeypatch
):
    monkeypatch.setattr(reading, "_LIMIT_S", 0.3)
    async with asyncio.timeout(LIMIT_S):
        for _ in range(3):
            asked = [asking.contents() for _ in range(4)]
            answers = await asyncio.gather(*asked, return_exceptions=True)
            assert [type(each) for each in answers] == [FileError] * 4
    # All were told before any thread was done.
    assert not asking.slow.let.is_set()
    await until(lambda: asking.slow.now == 2)

    monkeypatch.setattr(reading, "_LIMIT_S", LIMIT_S)
    asking.slow.let.set()
    assert await asyncio.gather(*[asking.contents() for _ in range(4)]) == ["contents"] * 4
    assert asking.slow.most == 2


async def test_a_question_that_nobody_waits_for_any_more_keeps_its_place_until_it_is_done(
    asking, monkeypatch
):
    tasks = [asyncio.create_task(asking.contents()) for _ in range(2)]
    await until(lambda: asking.slow.now == 2)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)

    monkeypatch.setattr(reading, "_LIMIT_S", 0.3)
    async with asyncio.timeout(LIMIT_S):
        with pytest.raises(FileError, match="took longer"):
            await asking.contents()
    assert asking.slow.most == 2


async def test_a_fault_of_the_tables_reaches_who_asked_and_leaves_the_gate_open(asking):
    def broken():
        raise FileError("torn")

    asking.slow.contents = broken
    for _ in range(5):
        with pytest.raises(FileError, match="torn"):
            await asking.contents()
