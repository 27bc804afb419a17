"""A Python process whose frames and objects are known, and keep changing."""

import sys
import threading
import time


class Iterator:
    def __init__(self) -> None:
        self.count = 0
        self.text = "größe"
        self.real = 1.5
        self.large = 2**40 + 7
        self.negative = -5
        self.pair = (3, 4)
        self.several = [1, 2, 3]

    def __iter__(self):
        return self

    def __next__(self):
        self.count += 1
        return self.count


class Wide:
    """More attributes than an instance keeps beside itself."""

    def __init__(self) -> None:
        for number in range(60):
            setattr(self, f"a{number}", number)


class Bare:
    __slots__ = ("hidden",)

    def __init__(self) -> None:
        self.hidden = 1


class Opened:
    """Its attributes were asked for as a dict."""

    def __init__(self) -> None:
        self.value = 42
        self.__dict__["more"] = 43


def churn() -> None:
    """Makes and drops frames and objects as fast as it can."""

    def deep(n):
        return [n, str(n)] and (deep(n - 1) if n else {"k": n})

    while True:
        deep(40)


def rest(x, wide, bare, opened):
    time.sleep(0.02)


class Passed(Iterator):
    """An iterator that a generator goes through."""


def each(items):
    yield from items


def train():
    wide, bare, opened = Wide(), Bare(), Opened()
    waiting = (x for x in each(Passed()))
    next(waiting)
    for _, x in enumerate(Iterator()):
        rest(x, wide, bare, opened)


if len(sys.argv) > 1:
    threading.Thread(target=churn, daemon=True).start()
print("ready", flush=True)
train()
