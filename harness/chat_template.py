"""Chat templates: a conversation as the text that a model was trained to read.

A template comes with the weights and is a program in the language of jinja. It is rendered by
transformers' own function, so that prompts are those of transformers, in a process with bounds of
time, memory and output (`harness.render_chat`). One such process serves all templates; it starts
with the first conversation, which costs half a second, and ends with this program.
"""

from __future__ import annotations

import contextlib
import json
import os
import reprlib
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from typing import Any

from harness import render_chat
from harness.errors import WeightsError

_PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "LD_LIBRARY_PATH", "TMPDIR", "SYSTEMROOT")
"""Of the environment: a stranger's program is not handed the user's tokens."""


class TemplateRefusal(WeightsError):
    """A template says itself that it does not take this conversation."""


class _Renderer:
    """The process, started when it is first needed and again after it was ended."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._owner, self._lock = 0, threading.Lock()

    def ask(self, asked: dict[str, Any]) -> dict[str, str]:
        """What the process answers; ``failed`` where it was ended."""
        with self._lock:
            process = self._started()
            assert process.stdin is not None and process.stdout is not None
            try:
                process.stdin.write(json.dumps(asked) + "\n")
                process.stdin.flush()
                answer: dict[str, str] = json.loads(process.stdout.readline())
                return answer
            except (OSError, ValueError):
                return {"failed": self.end()}

    def end(self) -> str:
        """Let the process end, and say why it did where that was its own doing."""
        process, self._process = self._process, None
        if process is None:
            return "it was not begun"
        assert process.stdin is not None and process.stdout is not None
        with contextlib.suppress(OSError):  # what it was not given any more
            process.stdin.close()
        process.stdout.close()
        code = process.wait()
        if code == -signal.SIGPROF:
            return f"it takes more than {render_chat.SECONDS:g} s for one conversation"
        return f"it ended the process that rendered it (exit {code})"

    def _started(self) -> subprocess.Popen[str]:
        # A forked copy of this program must not speak into its parent's pipes.
        if self._process is None or self._owner != os.getpid() or self._process.poll() is not None:
            self._process = subprocess.Popen(
                # -P: neither the working directory nor this folder may shadow a library.
                [sys.executable, "-P", render_chat.__file__, str(render_chat.SECONDS)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={name: os.environ[name] for name in _PASSED_ON if name in os.environ},
                text=True,
                encoding="ascii",
            )
            self._owner = os.getpid()
        return self._process


_RENDERER = _Renderer()


def render(
    tokenizer: Any, messages: Sequence[dict[str, str]], add_generation_prompt: bool = True
) -> str:
    """The conversation in the tokenizer's template, as ``apply_chat_template`` gives it.

    Args:
        tokenizer: of transformers. One that brings its own way, no template, is asked itself.
        messages: role and content of each.
        add_generation_prompt: whether the model's answer begins at the end; else the last message
            is left open, to be continued.

    Raises:
        TemplateRefusal: the template does not take the conversation, with its own words.
        WeightsError: there is no template, or of several none is called ``default``, or rendering
            failed, took longer than `render_chat.SECONDS`, more than `render_chat.MEMORY`, or came
            to more than `render_chat.LONGEST` characters.
    """
    from transformers import PreTrainedTokenizerBase

    options = {"add_generation_prompt": add_generation_prompt}
    if not add_generation_prompt:
        options["continue_final_message"] = True
    own = getattr(type(tokenizer), "apply_chat_template", None)
    if own is not PreTrainedTokenizerBase.apply_chat_template:
        return str(tokenizer.apply_chat_template(list(messages), tokenize=False, **options))
    templates = tokenizer.chat_template
    if templates is None:
        raise WeightsError(
            f"{tokenizer.name_or_path}: the tokenizer has no chat template; set "
            "`chat_template: false` in the model's registry entry"
        )
    if isinstance(templates, dict) and "default" not in templates:
        raise WeightsError(
            f"{tokenizer.name_or_path}: the tokenizer has several chat templates "
            f"({reprlib.repr(list(templates))}) and none of them is called default; set "
            "`chat_template: false` in the model's registry entry"
        )
    said = _RENDERER.ask(
        {
            "messages": [_without_nothing(message) for message in messages],
            "template": tokenizer.get_chat_template(),
            "options": {**tokenizer.special_tokens_map, **options},
        }
    )
    if "text" in said:
        return said["text"]
    where = f"{tokenizer.name_or_path}: its chat template"
    if "refused" in said:
        raise TemplateRefusal(f"{where} does not take the conversation: {said['refused']}")
    raise WeightsError(
        f"{where} cannot be used: {said.get('failed', 'no answer')}; read chat_template in that "
        "folder, or set `chat_template: false` in the model's registry entry"
    )


def render_as_lm_eval(
    tokenizer: Any, messages: list[dict[str, str]], add_generation_prompt: bool = True
) -> str:
    """As `render`; a template that refuses is asked again without the system message.

    Raises:
        WeightsError: as `render`.
    """
    try:
        return render(tokenizer, messages, add_generation_prompt)
    except TemplateRefusal:
        others = [message for message in messages if message["role"] != "system"]
        if len(others) == len(messages):
            raise
        return render(tokenizer, others, add_generation_prompt)


def _without_nothing(message: dict[str, str]) -> dict[str, str]:
    return {key: value for key, value in message.items() if value is not None}
