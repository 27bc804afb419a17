"""Removes secrets from text that ends up in recordings and reports. Import-light: used while watching.

Two kinds of evidence: a *name* that says its value is secret (`--api-key X`, `FOO_TOKEN=...`, `password: ...`), and a
*shape* that only secrets have (AWS key ids, `hf_...`, JSON web tokens). Names match whole words, so that
`--num-tokens 512` and `--tokenizer bert` stay readable.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence

HIDDEN = "[redacted]"

# A word is cut at -, _, . and at a change from lower to upper case; one of these names makes the whole name secret.
_SECRET_WORDS = frozenset(
    "token secret password passwd passphrase pwd apikey accesskey secretkey privatekey credential credentials "
    "authorization signature sig".split()
)
# Two words that are secret only side by side ("key" alone is a column of a table, "auth" alone a mode).
_SECRET_PAIRS = frozenset(
    [
        ("api", "key"),
        ("access", "key"),
        ("secret", "key"),
        ("private", "key"),
        ("account", "key"),
        ("auth", "key"),
        ("license", "key"),
        ("encryption", "key"),
        ("service", "key"),
        ("pass", "phrase"),
    ]
)
# A last word that says that the value *describes* a secret and is none itself: `--token-type bearer`.
_DESCRIBES = frozenset(
    "type types id ids idx index count length len size limit dim file path dir name names url endpoint class field column "
    "embedding embeddings dropout strength policy ttl mode level expiry expires header headers format version methods method "
    "method1 env var variable ratio rate prob weight loss mask".split()
)
# ... except where these stand before it: AWS_ACCESS_KEY_ID is half of a credential.
_ALWAYS = (("access", "key", "id"),)
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")

# Shapes, each as its issuer documents it.
_SHAPES = re.compile(
    r"""(?x)
      \b(?:AKIA|ASIA|AROA|AIDA|ABIA|ACCA)[A-Z0-9]{16}\b          # AWS: identifiers of IAM
    | \bhf_[A-Za-z0-9]{16,}                                       # Hugging Face
    | \bgh[pousr]_[A-Za-z0-9]{20,} | \bgithub_pat_[A-Za-z0-9_]{20,}
    | \bglpat-[A-Za-z0-9_-]{16,}                                  # GitLab
    | \bsk-(?:ant-|proj-|live-|test-)?[A-Za-z0-9_-]{16,} | \bsk_(?:live|test)_[A-Za-z0-9]{16,}
    | \bxox[abeprs]-[A-Za-z0-9-]{10,}                             # Slack
    | \bAIza[A-Za-z0-9_-]{30,} | \bya29\.[A-Za-z0-9._-]{16,}      # Google
    | \bnpm_[A-Za-z0-9]{30,} | \bpypi-[A-Za-z0-9_-]{30,} | \bnvapi-[A-Za-z0-9_-]{20,}
    | \beyJ[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]*   # JSON web token
    | -----BEGIN[ ][A-Z ]*PRIVATE[ ]KEY-----.*?(?:-----END[ ][A-Z ]*PRIVATE[ ]KEY-----|\Z)
    """,
    re.DOTALL,
)
_BEARER = re.compile(r"(?i)\b(bearer|basic)(\s+)(?=[A-Za-z0-9._~+/-]*[0-9=])[A-Za-z0-9._~+/-]{8,}=*")
_USER_IN_URL = re.compile(r"(?i)\b([a-z][a-z0-9+.-]*://)([^\s/@:'\"]*):([^\s/@'\"]+)@")
_KEY_IN_URL = re.compile(r"(?i)\b(https?://)([A-Za-z0-9]{16,})@")  # a lone token as the user (Sentry, GitHub)
# name=value and name: value, with the value quoted or up to white space or the next parameter of a URL.
_NAMED = re.compile(
    r"""(?x)
    (?P<name>[A-Za-z][A-Za-z0-9_.-]*)
    (?P<quote>["']?)(?P<sep>\s?=\s?|:\s?(?!//|:))
    (?P<value>"[^"]*" | '[^']*' | [^\s&,;"'}\])]+)
    """
)
_OPTION = re.compile(
    r"""(?P<dashes>(?:^|(?<=\s))--?)(?P<name>[A-Za-z][\w.-]*)(?P<gap>\s+)(?P<value>"[^"]*"|'[^']*'|[^\s"'-][^\s]*)"""
)


def _names_a_secret(name: str) -> bool:
    words = [word.lower() for word in _WORDS.findall(name)]
    if not words:
        return False
    for run in _ALWAYS:
        if any(tuple(words[i : i + len(run)]) == run for i in range(len(words))):
            return True
    if words[-1] in _DESCRIBES:
        return False
    return any(word in _SECRET_WORDS for word in words) or any(
        pair in _SECRET_PAIRS for pair in itertools.pairwise(words)
    )


def _hides(name: str, value: str) -> bool:
    """Whether `value`, given under `name`, is a secret: not a number, a switch or a reference to one."""
    bare = value.strip("\"'")
    if not bare or not _names_a_secret(name):
        return False
    if bare.lower() in ("true", "false", "none", "null", "yes", "no", "bearer", "basic"):
        return False
    return not re.fullmatch(r"\$\{?\w+\}?|\$\(.*|\[redacted\].*", bare)


def redact(text: str) -> str:
    """`text` with each secret replaced by "[redacted]". Idempotent. Takes microseconds for a command line."""
    text = _SHAPES.sub(HIDDEN, text)
    text = _BEARER.sub(lambda m: f"{m[1]}{m[2]}{HIDDEN}", text)
    text = _USER_IN_URL.sub(lambda m: f"{m[1]}{m[2]}:{HIDDEN}@", text)
    text = _KEY_IN_URL.sub(lambda m: f"{m[1]}{HIDDEN}@", text)
    text = _NAMED.sub(_hide_named, text)
    return _OPTION.sub(
        lambda m: f"{m['dashes']}{m['name']}{m['gap']}{HIDDEN}" if _hides(m["name"], m["value"]) else m[0], text
    )


def _hide_named(match: re.Match[str]) -> str:
    if not _hides(match["name"], match["value"]):
        return match[0]
    return f"{match['name']}{match['quote']}{match['sep']}{HIDDEN}"


def redact_command(argv: Sequence[str]) -> str:
    """A command line as one string, without its secrets. Works on the arguments, so values with spaces stay whole."""
    shown: list[str] = []
    hide_next = False
    for argument in argv:
        if hide_next and not argument.startswith("--"):
            hidden = _hides("secret", argument)
            shown.append(HIDDEN if hidden else argument)
            hide_next = False
            continue
        option = argument.startswith("-") and "=" not in argument and " " not in argument
        hide_next = option and _names_a_secret(argument)
        name, equals, value = argument.partition("=")
        if equals and re.fullmatch(r"-{0,2}[A-Za-z][\w.-]*", name) and _hides(name, value):
            shown.append(f"{name}={HIDDEN}")
        else:
            shown.append(redact(argument))
    return " ".join(shown)
