"""What a look is understood as, and which frame people know it by."""

import pytest

from mlscale.profile.activity import training_activity, user_frame
from mlscale.recording import StackFrame

SCRIPT = StackFrame("<module>", "/home/me/train.py", 1)
SVD = StackFrame("svd", "/usr/lib/python3.11/site-packages/numpy/linalg/_linalg.py", 1667)
DOUBLE = StackFrame("_commonType", "/usr/lib/python3.11/site-packages/numpy/linalg/_linalg.py", 150)
OWN = StackFrame("whiten", "/home/me/augment.py", 12)
SAVES = ("save", "_save", "Trainer.save_ckpt", "checkpoint", "maybe_checkpoint", "saveModel", "save_last_weights")
SAVES += ("write_checkpoint_to_s3", "snapshot", "dump_state_dict")


def test_the_users_own_function_is_named_and_not_what_it_calls() -> None:
    assert user_frame((DOUBLE, SVD, OWN, SCRIPT)) is OWN


def test_of_a_script_without_functions_what_it_calls_is_named() -> None:
    assert user_frame((DOUBLE, SVD, SCRIPT)) is SVD


def test_where_the_script_itself_works_there_is_nothing_else_to_name() -> None:
    assert user_frame((SCRIPT,)) is SCRIPT


def test_a_librarys_thread_has_no_frame_of_the_user() -> None:
    assert user_frame((DOUBLE, SVD)) is None


@pytest.mark.parametrize("name", SAVES)
def test_what_a_users_function_for_saving_does_besides_is_the_save_too(name: str) -> None:
    upload = StackFrame("put_object", "/usr/lib/python3.11/site-packages/botocore/client.py", 500)
    assert training_activity((upload, StackFrame(name, "/home/me/train.py", 40), SCRIPT)) == "save"


@pytest.mark.parametrize("name", ["save_metrics", "save_images", "saved", "log_checkpoint_metrics", "dump_batch"])
def test_other_files_are_no_checkpoints(name: str) -> None:
    write = StackFrame("dump", "/usr/lib/python3.11/json/__init__.py", 120)
    assert training_activity((write, StackFrame(name, "/home/me/train.py", 40), SCRIPT)) == "own"


def test_a_checkpoint_of_activations_is_the_step() -> None:
    call = StackFrame("Module._call_impl", "/usr/lib/python3.11/site-packages/torch/nn/modules/module.py", 1770)
    assert training_activity((StackFrame("checkpoint", "/home/me/model.py", 9), call, OWN, SCRIPT)) == "step"


def test_a_save_that_asks_a_layer_for_its_state_is_a_save() -> None:
    state = StackFrame("Module.state_dict", "/usr/lib/python3.11/site-packages/torch/nn/modules/module.py", 2100)
    assert training_activity((state, StackFrame("save", "/home/me/train.py", 40), SCRIPT)) == "save"
