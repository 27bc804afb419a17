"""The `mlscale` command: `mlscale ...` and `python -m mlscale ...`."""

from __future__ import annotations

import os
import sys

from mlscale.errors import MlscaleError

INTERRUPTED = 130
BROKEN = 70  # EX_SOFTWARE of sysexits(3): a fault of mlscale's own


def main() -> int:
    """Runs the command line. Gives the contract's exit code; each failure is one line on stderr."""
    from mlscale.cli.app import command
    from mlscale.cli.output import quiet_pipes, say

    try:
        code = command().main(args=sys.argv[1:], prog_name="mlscale", standalone_mode=False)
        return int(code or 0)
    except MlscaleError as error:
        say(f"mlscale: {error.message}")
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        return 0  # whoever read our output has seen enough
    except Exception as error:
        if hasattr(error, "format_message"):  # what the parser of the command line has to say
            say(f"mlscale: {_usage(error)}")
            return 2
        if type(error).__name__ == "Abort":
            return INTERRUPTED
        if os.environ.get("MLSCALE_DEBUG"):
            raise
        text = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        say(f"mlscale: this is a fault of mlscale itself ({text}). Run again with MLSCALE_DEBUG=1 for a traceback.")
        return BROKEN
    finally:
        quiet_pipes()


def _usage(error: Exception) -> str:
    """One line of what is wrong with the command line, and where to look."""
    text = " ".join(str(error.format_message()).split())  # type: ignore[attr-defined]
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "mlscale"
    return f"{text}{'' if text.endswith(('.', '?')) else '.'} See `{path} --help`."


if __name__ == "__main__":
    sys.exit(main())
