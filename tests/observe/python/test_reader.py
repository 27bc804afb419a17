"""The reader of another process's Python, against each Python that is at hand."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlscale.observe.python.layout import LAYOUTS
from mlscale.observe.python.memory import Memory, Torn, Unreadable
from mlscale.observe.python.reader import Frame, Interpreter

HERE = Path(__file__).parent
INSTALLED = [sys.executable, "/usr/bin/python3", *map(str, Path("/root/.pyenv/versions").glob("3.*/bin/python"))]


def version_of(python: str) -> tuple[int, int]:
    ask = "import sys; print(*sys.version_info[:2])"
    major, minor = subprocess.run([python, "-c", ask], capture_output=True, text=True, check=True).stdout.split()
    return int(major), int(minor)


PYTHONS = sorted(python for python in INSTALLED if Path(python).exists() and version_of(python) in LAYOUTS)
OTHERS = sorted(python for python in INSTALLED if Path(python).exists() and version_of(python) not in LAYOUTS)


def start(python: str, *arguments: str) -> subprocess.Popen[str]:
    process = subprocess.Popen([python, str(HERE / "churn.py"), *arguments], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.fixture(params=PYTHONS)
def process(request: pytest.FixtureRequest) -> Iterator[subprocess.Popen[str]]:
    process = start(request.param)
    yield process
    process.kill()
    process.wait()


def stack_in_rest(interpreter: Interpreter, pid: int) -> list[Frame]:
    """The main thread's stack, once it is in `rest`."""
    for _ in range(500):
        stack = interpreter.stack(interpreter.threads()[pid])
        if stack and stack[0].function == "rest":
            return stack
        time.sleep(0.001)
    raise AssertionError("never seen in rest()")


def test_frames_locals_and_attributes(process: subprocess.Popen[str]) -> None:
    interpreter = Interpreter(process.pid)
    stack = stack_in_rest(interpreter, process.pid)
    assert [frame.function for frame in stack] == ["rest", "train", "<module>"]
    assert stack[0].filename.endswith("churn.py")
    at_train = stack[1]
    found = interpreter.find(at_train, ("Iterator",))
    assert found is not None
    assert interpreter.type_name(found) == "Iterator"

    def attribute(name: str) -> int | None:
        return interpreter.attribute(found, name)

    before = interpreter.int_at(attribute("count"))
    assert before is not None
    assert interpreter.str_at(attribute("text")) == "größe"
    assert interpreter.float_at(attribute("real")) == 1.5
    assert interpreter.int_at(attribute("large")) == 2**40 + 7
    assert interpreter.int_at(attribute("negative")) == -5
    assert [interpreter.int_at(item) for item in interpreter.items_at(attribute("pair"))] == [3, 4]
    assert [interpreter.int_at(item) for item in interpreter.items_at(attribute("several"))] == [1, 2, 3]
    assert interpreter.len_at(attribute("several")) == 3
    assert attribute("nothing") is None
    slot = interpreter.slot(found, "count")
    assert slot is not None
    time.sleep(0.2)
    after = interpreter.int_in(slot)
    assert after is not None
    assert after > before
    wide = interpreter.local(at_train, "wide")
    assert wide is not None
    assert [interpreter.int_at(interpreter.attribute(wide, f"a{n}")) for n in (0, 29, 30, 59)] == [0, 29, 30, 59]
    opened = interpreter.local(at_train, "opened")
    assert opened is not None
    assert interpreter.int_at(interpreter.attribute(opened, "value")) == 42
    assert interpreter.int_at(interpreter.attribute(opened, "more")) == 43
    bare = interpreter.local(at_train, "bare")
    assert bare is not None
    assert interpreter.attribute(bare, "hidden") is None
    assert interpreter.local(at_train, "nothing") is None
    interpreter.close()


def test_what_a_generator_holds(process: subprocess.Popen[str]) -> None:
    interpreter = Interpreter(process.pid)
    at_train = stack_in_rest(interpreter, process.pid)[1]
    assert interpreter.find(at_train, ("Passed",)) is None
    outer = interpreter.generators(at_train)
    assert [frame.function.rpartition(".")[2] for frame in outer] == ["<genexpr>"]
    assert [interpreter.find(frame, ("Passed",)) for frame in outer] == [None]
    inner = interpreter.generators(outer[0])
    assert [frame.function for frame in inner] == ["each"]
    found = interpreter.find(inner[0], ("Passed",))
    assert found is not None
    assert interpreter.type_name(found) == "Passed"
    assert interpreter.int_at(interpreter.attribute(found, "count")) == 1
    assert interpreter.generators(inner[0]) == []
    interpreter.close()


def test_the_memory_is_opened_read_only(process: subprocess.Popen[str]) -> None:
    memory = Memory(process.pid)
    flags = next(line for line in Path(f"/proc/self/fdinfo/{memory.fd}").read_text().splitlines() if "flags" in line)
    assert int(flags.split()[1], 8) & 0o3 == 0
    memory.close()


@pytest.mark.parametrize("python", PYTHONS)
def test_offsets_are_those_of_the_headers(python: str, tmp_path: Path) -> None:
    ask = "import sysconfig; print(sysconfig.get_paths()['include'])"
    include = subprocess.run([python, "-c", ask], capture_output=True, text=True, check=True).stdout.strip()
    if not (Path(include) / "internal/pycore_runtime.h").exists():
        pytest.skip(f"no headers of {python} here")
    program = tmp_path / "offsets"
    flags = ["-DPy_BUILD_CORE", f"-I{include}", f"-I{include}/internal", "-w"]
    subprocess.run([shutil.which("gcc") or "gcc", *flags, str(HERE / "offsets.c"), "-o", str(program)], check=True)
    lines = subprocess.run([str(program)], capture_output=True, text=True, check=True).stdout.splitlines()
    printed = dict(line.split()[:2] for line in lines if len(line.split()) >= 2)
    layout = LAYOUTS[version_of(python)]
    compared = 0
    for name in vars(layout):
        if name in printed:
            compared += 1
            assert getattr(layout, name) == int(printed[name]), name
    assert compared >= 10


@pytest.mark.parametrize("python", OTHERS)
def test_other_versions_are_refused_by_name(python: str) -> None:
    process = start(python)
    try:
        with pytest.raises(Unreadable, match=r"Python 3\.|no symbol"):
            Interpreter(process.pid)
    finally:
        process.kill()
        process.wait()


def test_nothing_raises_whatever_is_read() -> None:
    process = start(sys.executable, "churn")
    try:
        interpreter = Interpreter(process.pid)
        chance = random.Random(3)
        threads = interpreter.threads()
        assert len(threads) == 2
        ends = time.monotonic() + 3
        while time.monotonic() < ends:
            for address in threads.values():
                for frame in interpreter.stack(address):
                    assert frame.filename
                    interpreter.find(frame, ("Iterator",))
                    interpreter.local(frame, "n")
            wild = chance.getrandbits(chance.choice((16, 47, 48, 64)))
            interpreter.stack(wild)
            interpreter.attribute(wild, "x")
            interpreter.int_at(wild)
            interpreter.str_at(wild)
            interpreter.items_at(wild)
            near = next(iter(threads.values())) + chance.randrange(-4096, 4096)
            interpreter.stack(near)
            interpreter.attribute(near, "x")
            interpreter.items_at(near)
    finally:
        process.kill()
        process.wait()
    # It is gone: then there is nothing, and still nothing raises.
    assert interpreter.stack(next(iter(threads.values()))) == []
    assert interpreter.threads() == {}


def test_what_is_no_python_says_so() -> None:
    process = subprocess.Popen(["sleep", "60"])
    try:
        time.sleep(0.1)
        with pytest.raises(Unreadable, match="no Python"):
            Interpreter(process.pid)
    finally:
        process.kill()
        process.wait()
    with pytest.raises(Unreadable):
        Interpreter(process.pid)


def test_torn_reads_are_named() -> None:
    import os

    memory = Memory(os.getpid())
    with pytest.raises(Torn):
        memory.read(1, 8)
    with pytest.raises(Torn):
        memory.read(2**64 - 4, 8)
    memory.close()
