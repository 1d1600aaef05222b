"""Hostile chat templates: kept from Python's insides, and ended where they would not end."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness import chat_template, render_chat
from harness.chat_template import TemplateRefusal, render, render_as_lm_eval
from harness.errors import WeightsError
from tests.conftest import Command

SECRET = "hf_" + "a" * 30
MARK = "rendered: "
REFUSED = re.compile(r"access to attribute '\w+' of '\w+' object is unsafe|no loader for this env")
ASKED = [{"role": "user", "content": "hi"}]
CHATML = (
    "{% for m in messages %}{{ '<|' + m['role'] + '|>' + m['content'] + eos_token }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


@pytest.fixture(scope="module")
def tokenizer(tiny_model: Path) -> Any:
    from transformers import AutoTokenizer

    loading: Any = AutoTokenizer
    return loading.from_pretrained(tiny_model)


@pytest.fixture(scope="module", autouse=True)
def _impatient() -> Iterator[None]:
    """Half a second of processor time instead of ten; and a secret in the environment."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_TOKEN", SECRET)
        patch.setattr(render_chat, "SECONDS", 0.5)
        patch.setattr(chat_template, "_RENDERER", chat_template._Renderer())
        yield
        chat_template._RENDERER.end()


@pytest.mark.parametrize(
    "template",
    [
        "{{ ''.__class__.__mro__ }}",
        "{{ ''|attr('__class__') }}",
        "{{ ''['__class__'] }}",
        "{{ lipsum.__globals__['os'].popen('touch was-run').read() }}",
        "{{ cycler.__init__.__globals__.os }}",
        "{{ raise_exception.__globals__ }}",
        "{{ strftime_now['__globals__'] }}",
        "{{ '{0.__class__.__mro__}'.format(1) }}",
        "{{ '{a.__class__}'.format_map({'a': 1}) }}",
        "{% set f = '{0.__class__}'.format %}{{ f(1) }}",
        "{{ [1]|map(attribute='__class__')|list }}",
        "{{ [1]|groupby('__class__') }}",
        "{{ nothing.__class__.__init__.__globals__ }}",
        "{{ self._TemplateReference__context }}",
        "{{ self.__init__.__globals__ }}",
        "{% for m in messages %}{{ loop.__class__ }}{% endfor %}",
        "{{ namespace.__init__.__globals__ }}",
        "{% include '/etc/passwd' %}",
        "{% import 'os' as os %}",
        "{{ messages.append(1) }}",
        "{{ messages[0].update({'role': 'system'}) }}",
    ],
)
def test_no_attribute_leads_out_of_the_sandbox(
    tokenizer: Any, template: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    tokenizer.chat_template = MARK + template
    text = refused = ""
    try:
        text = render(tokenizer, ASKED)
    except WeightsError as error:
        refused = str(error)
    # A renderer that fails whatever it is asked would pass for a sandbox.
    assert text.startswith(MARK) or REFUSED.search(refused), refused
    assert not any(word in text for word in ("class", "function", "module", "environ", "root:"))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("template", "says"),
    [
        (
            "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
            "more than 0.5 s",
        ),
        # One operation of C, during which no Python runs that could stop it.
        ("{{ (10**10) ** (10**8) }}", "more than 0.5 s"),
        ("{{ 'x' * 10**10 }}", "more than 1,024 MB of memory"),
        ("{{ '{:>9999999999}'.format(1) }}", "memory"),
        ("{{ 'x'|center(10**10) }}", "memory"),
        ("{{ 'x' * 10000001 }}", "a text of more than 10,000,000 characters"),
        ("{% macro f() %}{{ f() }}{{ f() }}{% endmacro %}{{ f() }}", "calls itself without end"),
        ("{{ " + "(" * 9_000 + "1" + ")" * 9_000 + " }}", "nested too deep"),
        ("{{ 1 // 0 }}", "ZeroDivisionError"),
        ("{{ '\\ud800' }}", "UnicodeEncodeError"),
    ],
)
def test_a_template_without_end_is_ended_and_explained(
    tokenizer: Any, template: str, says: str
) -> None:
    tokenizer.chat_template = template
    with pytest.raises(WeightsError, match=says) as caught:
        render(tokenizer, ASKED)
    assert "its chat template cannot be used" in str(caught.value)
    assert "chat_template: false" in str(caught.value)
    tokenizer.chat_template = CHATML
    assert render(tokenizer, ASKED) == "<|user|>hi</s><|assistant|>", "the next one is rendered"


def test_a_run_says_which_template_it_was(
    harness: Command, tiny_zoo: Path, tiny_model: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "hostile"
    shutil.copytree(tiny_model, folder)
    (folder / "chat_template.jinja").write_text("{{ 'x' * 10**10 }}", "utf-8")
    registry = tiny_zoo.read_text("utf-8").replace(str(tiny_model), str(folder))
    tiny_zoo.write_text(
        registry.replace("    notes:", "    chat_template: true\n    notes:"), "utf-8"
    )
    code, _, err = harness("eval", "--model", "tiny", "--tasks", "gsm8k", "--samples",
                           "--limit", "2")  # fmt: skip
    assert code == 1 and "Traceback" not in err
    assert f"gsm8k, doc 0: {folder}: its chat template cannot be used: it takes more than" in err


def test_a_rendered_text_is_that_of_transformers(tokenizer: Any) -> None:
    tokenizer.chat_template = CHATML
    talk = [{"role": "user", "content": "a\U0001d11e é"}, {"role": "assistant", "content": "b"}]
    for open_end in (True, False):
        own = tokenizer.apply_chat_template(
            talk,
            tokenize=False,
            add_generation_prompt=open_end,
            continue_final_message=not open_end,
        )
        assert render(tokenizer, talk, open_end) == own


def test_a_template_that_refuses_is_asked_without_the_system_message(tokenizer: Any) -> None:
    system = "messages[0].role == 'system'"
    refuses = f"{{% if {system} %}}{{{{ raise_exception('no system') }}}}{{% endif %}}"
    tokenizer.chat_template = refuses + CHATML
    talk = [{"role": "system", "content": "s"}, *ASKED]
    with pytest.raises(TemplateRefusal, match="does not take the conversation: no"):
        render(tokenizer, talk)
    assert render_as_lm_eval(tokenizer, talk) == "<|user|>hi</s><|assistant|>"


def test_no_template_is_explained(tokenizer: Any) -> None:
    tokenizer.chat_template = None
    with pytest.raises(WeightsError, match=r"has no chat template; set `chat_template: false`"):
        render(tokenizer, ASKED)


def test_templates_of_which_none_is_default_are_explained(tokenizer: Any) -> None:
    tokenizer.chat_template = {"rag": CHATML, "tool_use": CHATML}
    says = (
        r"\(\['rag', 'tool_use'\]\) and none of them is called default; set `chat_template: false`"
    )
    with pytest.raises(WeightsError, match=says):
        render(tokenizer, ASKED)
    tokenizer.chat_template = {"rag": "x", "default": CHATML}
    assert render(tokenizer, ASKED) == "<|user|>hi</s><|assistant|>"


def test_the_process_has_no_secret_and_ends_with_this_program(tokenizer: Any) -> None:
    """Where nobody is left who asks, the end of its input ends it."""
    tokenizer.chat_template = CHATML
    render(tokenizer, ASKED)
    process = chat_template._RENDERER._process
    assert process is not None and process.stdin is not None
    environment = Path(f"/proc/{process.pid}/environ").read_bytes()
    assert b"PATH=" in environment and SECRET.encode() not in environment
    process.stdin.close()
    assert process.wait(timeout=30) == 0
