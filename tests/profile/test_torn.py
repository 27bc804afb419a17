"""Stacks that were cut short."""

from mlscale.profile.torn import whole_stacks
from mlscale.recording import Stack, StackFrame, ThreadSample


def frame(name: str) -> StackFrame:
    return StackFrame(name, f"/job/{name}.py", 1)


MAIN, LOAD, COLLATE, STEP, ODD = map(frame, ("main", "load", "collate", "step", "odd"))
STACKS: tuple[Stack, ...] = (
    (LOAD, MAIN),
    (STEP, MAIN),
    (COLLATE, LOAD, MAIN),
    (COLLATE,),  # it had just returned
    (ODD,),  # never seen whole
    (STEP, COLLATE),  # cut off, and beneath it what was left from before
)


def looks(*stacks: int | None) -> list[ThreadSample]:
    return [ThreadSample(0.1 * n, 1, 1, "R", None, None, None, None, stack) for n, stack in enumerate(stacks)]


def stacks_of(samples: list[ThreadSample], *, telling: bool = False) -> list[int | Stack | None]:
    """Of each look, the number of the stack that it stands for, or that stack where there is none like it."""
    whole = whole_stacks(samples, STACKS, lambda stack: telling)
    found = [None if sample.stack is None else whole[sample.stack] for sample in samples]
    return [STACKS.index(stack) if stack in STACKS else stack for stack in found]


def test_whole_stacks_stay() -> None:
    assert stacks_of(looks(0, 1, 2, None)) == [0, 1, 2, None]


def test_a_part_becomes_the_whole_with_the_same_innermost_frames() -> None:
    assert stacks_of(looks(0, 1, 2, 3)) == [0, 1, 2, 2]
    assert stacks_of(looks(0, 1, 3)) == [0, 1, 2]  # the whole one was read, though no look gave it


def test_as_much_of_a_part_counts_as_fits() -> None:
    assert stacks_of(looks(0, 1, 2, 5)) == [0, 1, 2, 1]


def test_what_was_never_seen_whole_tells_nothing_unless_it_does_by_itself() -> None:
    assert stacks_of(looks(0, 1, 4)) == [0, 1, None]
    assert stacks_of(looks(0, 1, 4), telling=True) == [0, 1, 4]


def test_the_outermost_frame_is_known_however_many_looks_give_one_frame_only() -> None:
    assert stacks_of(looks(0, 3, 3, 3, 3)) == [0, 2, 2, 2, 2]


def test_where_stacks_end_anywhere_none_is_taken_for_a_part() -> None:
    assert stacks_of(looks(0, 5)) == [0, 5]


def test_a_function_that_was_seen_calling_others_only_has_its_own_callers() -> None:
    fetch, pin = frame("fetch"), frame("pin")
    whole: tuple[Stack, ...] = ((COLLATE, fetch, LOAD, MAIN), (pin, fetch, MAIN), (STEP, MAIN), (fetch,), (LOAD,))
    found = whole_stacks(looks(0, 0, 1, 2, 3, 4), whole, lambda stack: False)
    assert found[3] == (fetch, LOAD, MAIN)  # two looks of three
    assert found[4] == (LOAD, MAIN)  # and not what it called
