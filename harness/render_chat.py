"""Renders chat templates, as a program of its own: a JSON object a line in, one a line out.

A template is a stranger's program. The sandbox of jinja keeps it from Python's insides, but not
from looping for ever or from making a text of ten gigabytes; only a process can be ended whatever
it does. The kernel ends this one after `SECONDS` of processor time and gives it no more than
`MEMORY`.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

SECONDS = 10.0
"""Of processor time that one conversation may take."""
MEMORY = 1 << 30
"""Bytes of address space; the program itself has 180 MB of them."""
LONGEST = 10_000_000
"""Characters that a rendered conversation may have."""


def render(asked: dict[str, Any]) -> dict[str, str]:
    """Answer one line: ``text``; ``refused``, by the template itself; or ``failed``, with why."""
    from jinja2 import TemplateError
    from transformers.utils.chat_template_utils import render_jinja_template

    try:
        rendered: Any = render_jinja_template(
            conversations=[asked["messages"]], chat_template=asked["template"], **asked["options"]
        )
        text = str(rendered[0][0])
        text.encode()  # half a pair of UTF-16 is in no record and no question
    except TemplateError as error:
        return {"refused": _first_line(error)}
    except MemoryError:
        return {"failed": f"it takes more than {MEMORY >> 20:,} MB of memory"}
    except RecursionError:
        return {"failed": "it is nested too deep, or calls itself without end"}
    except Exception as error:  # a template can raise whatever Python's operators raise
        return {"failed": f"{type(error).__name__}: {_first_line(error)}"}
    if len(text) > LONGEST:
        return {"failed": f"it makes a text of more than {LONGEST:,} characters"}
    return {"text": text}


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:300]


def _main(seconds: float) -> None:
    import resource
    import signal

    # What libraries print must not stand between the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)
    import transformers.utils.chat_template_utils  # noqa: F401  # before the time is counted

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for line in sys.stdin:
        # Nobody handles the signal: it ends the process even inside one long operation of C.
        signal.setitimer(signal.ITIMER_PROF, seconds)
        said = render(json.loads(line))
        signal.setitimer(signal.ITIMER_PROF, 0.0)
        answers.write(json.dumps(said) + "\n")
        answers.flush()


if __name__ == "__main__":
    _main(float(sys.argv[1]))
