"""Bytes of tensors and arrays, read from a live process that uses the real libraries."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

from mlscale.observe.python.reader import Frame, Interpreter
from mlscale.observe.python.tensors import bytes_of

HOLDS = """
import time
import numpy as np
import torch

def hold():
    image = torch.zeros(3, 224, 224)
    tokens = torch.arange(512)
    half = torch.zeros(8, 4, dtype=torch.bfloat16)
    mask = torch.zeros(7, dtype=torch.bool)
    scalar = torch.tensor(1.5)
    every_second = torch.arange(10)[::2]
    deep = torch.zeros(1, 2, 1, 2, 1, 2, 1)
    array = np.zeros((32, 16, 3), np.uint8)
    turned = np.zeros((3, 8), np.float64).T
    pair = (image, 5)
    listed = [image, [tokens, tokens]]
    named = {"pixels": array, "label": 3, "mask": mask}
    text, number, nothing, function = "pixels", 7, None, time.sleep
    print("ready", flush=True)
    time.sleep(600)

hold()
"""
EXPECTED = {
    "image": 3 * 224 * 224 * 4,
    "tokens": 512 * 8,
    "half": 64,
    "mask": 7,
    "scalar": 4,
    "every_second": 40,
    "deep": 32,
    "array": 32 * 16 * 3,
    "turned": 192,
    "pair": 3 * 224 * 224 * 4,
    "listed": 3 * 224 * 224 * 4 + 2 * 512 * 8,
    "named": 32 * 16 * 3 + 7,
    "text": 0,
    "number": 0,
    "function": 0,
}


@pytest.fixture(scope="module")
def held() -> Iterator[tuple[Interpreter, Frame]]:
    process = subprocess.Popen([sys.executable, "-c", HOLDS], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    interpreter = Interpreter(process.pid)
    (frame,) = (f for f in interpreter.stack(interpreter.threads()[process.pid]) if f.function == "hold")
    yield interpreter, frame
    interpreter.close()
    process.kill()
    process.wait()


@pytest.mark.parametrize(("name", "size"), EXPECTED.items())
def test_bytes(held: tuple[Interpreter, Frame], name: str, size: int) -> None:
    interpreter, frame = held
    local = interpreter.local(frame, name)
    assert local is not None
    assert bytes_of(interpreter, local) == size


def test_what_is_no_object_has_none(held: tuple[Interpreter, Frame]) -> None:
    interpreter, frame = held
    image = interpreter.local(frame, "image")
    assert image is not None
    for address in (0, 8, 1 << 47, image + 8, image + 16, image - 64):
        assert bytes_of(interpreter, address) == 0
