"""Which frame people know a moment by."""

from mlscale.profile.activity import user_frame
from mlscale.recording import StackFrame

SCRIPT = StackFrame("<module>", "/home/me/train.py", 1)
SVD = StackFrame("svd", "/usr/lib/python3.11/site-packages/numpy/linalg/_linalg.py", 1667)
DOUBLE = StackFrame("_commonType", "/usr/lib/python3.11/site-packages/numpy/linalg/_linalg.py", 150)
OWN = StackFrame("whiten", "/home/me/augment.py", 12)


def test_the_users_own_function_is_named_and_not_what_it_calls() -> None:
    assert user_frame((DOUBLE, SVD, OWN, SCRIPT)) is OWN


def test_of_a_script_without_functions_what_it_calls_is_named() -> None:
    assert user_frame((DOUBLE, SVD, SCRIPT)) is SVD


def test_where_the_script_itself_works_there_is_nothing_else_to_name() -> None:
    assert user_frame((SCRIPT,)) is SCRIPT


def test_a_librarys_thread_has_no_frame_of_the_user() -> None:
    assert user_frame((DOUBLE, SVD)) is None
