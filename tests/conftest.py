"""For all tests: signals as a user's shell gives them."""

import signal

# `nohup`, and `&` in a script, start programs with these ignored, and mlscale keeps them so; the tests send them.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
