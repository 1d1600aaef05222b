"""A tiny model is fine-tuned for real; what is reported is held against plain transformers."""

from __future__ import annotations

import dataclasses
import json
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file

from harness.errors import TrainingError
from harness.weights import check_folder
from tests.conftest import REPOSITORY
from tests.training.conftest import QUICK
from tests.training.plain import causal, log_probs, tokenizer_of
from training.held_out import hold_out
from training.step import Work
from training.steps.sft import Options, run

FULL: dict[str, Any] = QUICK | {"method": "full", "learning_rate": 3e-3, "epochs": 12.0}


def held_out_rows(path: str, seed: int = 1234, share: float = 0.1) -> list[dict[str, str]]:
    rows = [json.loads(line) for line in Path(path).read_text("utf-8").splitlines()]
    _, held = hold_out([row["instruction"] for row in rows], share, seed, "test")
    return [rows[row] for row in held]


def validation_loss(folder: Path, path: str, batch_size: int = 8) -> float:
    """The mean over batches of the mean over a batch's answer tokens, as the trainer weighs it.

    One batch holds all eight held-out rows, so it is the mean over their tokens.
    """
    rows = held_out_rows(path)
    assert len(rows) <= batch_size
    model, tokenizer = causal(folder), tokenizer_of(folder)
    found = [log_probs(model, tokenizer, row["instruction"], row["output"]) for row in rows]
    return -float(torch.cat(found).mean())


@pytest.mark.parametrize("method", ["lora", "full"])
def test_it_learns_and_the_folder_holds_what_was_measured(
    work: Work, sums: str, tiny_model: Path, method: str
) -> None:
    """Before and after, the reported loss is that of the folders on disk.

    That covers what is masked, which weights are kept, merging and the tokenizer at once: a plain
    forward pass over the held-out rows' answers must find the same number.
    """
    options = QUICK if method == "lora" else FULL
    made = run(Options(data=sums, **options), work)
    check_folder(work.out, "made")
    assert made.figures["validation_loss_before"] == pytest.approx(
        validation_loss(tiny_model, sums), abs=1e-4
    )
    assert made.figures["validation_loss"] == pytest.approx(
        validation_loss(work.out, sums), abs=1e-4
    )
    fall = made.figures["validation_loss_before"] - made.figures["validation_loss"]
    assert fall > (0.3 if method == "lora" else 3.0)
    assert made.figures["rows"] == 72
    assert made.figures["held_out_rows"] == 8
    assert list(made.data) == [sums]
    assert made.chosen == {"precision": "float32", "template": "plain"}


def test_a_model_learns_to_end_its_answers(work: Work, sums: str) -> None:
    """The end token is learned after the answer: a generation stops by itself."""
    run(Options(data=sums, **FULL), work)
    model, tokenizer = causal(work.out), tokenizer_of(work.out)
    question = held_out_rows(sums)[0]["instruction"]
    ids = tokenizer(f"Question: {question}\nAnswer:", return_tensors="pt")["input_ids"]
    made = model.generate(ids, max_new_tokens=40, do_sample=False)[0, ids.shape[1] :]
    assert made[-1] == tokenizer.eos_token_id
    assert tokenizer.decode(made, skip_special_tokens=True).startswith(" The sum is")


def test_the_merged_model_is_the_model_with_its_adapter(
    work: Work, sums: str, tiny_model: Path
) -> None:
    made = run(Options(data=sums, adapter="keep", **QUICK), work)
    assert made.figures["best_step"] > 0
    merged, base = causal(work.out), causal(tiny_model)
    ids = torch.arange(2, 60)[None]
    with torch.no_grad():
        before = base(input_ids=ids).logits
        adapted = PeftModel.from_pretrained(base, work.out / "adapter")(input_ids=ids).logits
        after = merged(input_ids=ids).logits
    assert (after - adapted).abs().max() < 1e-4
    assert (after - before).abs().max() > 0.1


def test_the_folder_is_ordinary(work: Work, sums: str, tiny_model: Path) -> None:
    """The parent's dtype, config, generation config and tokenizer, byte for byte the last."""
    sixteen = work.scratch.parent / "sixteen"
    model = causal(tiny_model).to(torch.bfloat16)
    model.save_pretrained(sixteen)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(tiny_model / name, sixteen / name)
    work = dataclasses.replace(work, parent=sixteen, tokenizer=sixteen)
    run(Options(data=sums, **(QUICK | {"precision": "bfloat16"})), work)
    assert not (work.out / "adapter").exists()
    for name in ("config.json", "generation_config.json", "tokenizer.json"):
        assert (work.out / name).read_text("utf-8") == (sixteen / name).read_text("utf-8")
    tensors = load_file(work.out / "model.safetensors")
    assert {tensor.dtype for tensor in tensors.values()} == {torch.bfloat16}
    assert set(tensors) == set(load_file(sixteen / "model.safetensors"))


def test_training_stops_when_the_held_out_loss_rises(
    work: Work, tmp_path: Path, told: list[str]
) -> None:
    """Answers that nobody can guess: learning them by heart makes the model surer, and wrong, of
    those held out.
    """
    draw = random.Random(0)
    rows = [
        {"instruction": f"The code of box {box}?", "output": f"{draw.randrange(10**6):06}"}
        for box in range(80)
    ]
    path = tmp_path / "codes.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    options = FULL | {"schedule": "constant", "epochs": 60.0, "patience": 1}
    made = run(Options(data=str(path), **options), work)
    curves = json.loads((work.out / "curves.json").read_text("utf-8"))
    by_step = {entry["step"]: entry["loss"] for entry in curves["validation"]}
    best = min(by_step, key=by_step.__getitem__)
    assert made.figures["steps"] < 60 * 72 / 8
    assert max(by_step) == made.figures["steps"] > best == made.figures["best_step"]
    assert any("stopped at step" in line for line in told)
    assert made.figures["validation_loss"] == pytest.approx(
        validation_loss(work.out, str(path)), abs=1e-4
    )


def test_a_diverging_loss_stops_at_its_step_and_keeps_the_checkpoint(
    work: Work, sums: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rate of 1e30 makes infinite weights in the first step, so the second step's loss is NaN.

    The rate is that of the second step of three that warm up: 2/3 of 1e30.
    """
    monkeypatch.setattr("training.watch.SAVE_EVERY_SECONDS", 0.0)
    options = QUICK | {"learning_rate": 1e30, "warmup_steps": 3}
    with pytest.raises(TrainingError) as error:
        run(Options(data=sums, **options), work)
    message = str(error.value)
    assert "nan at step" in message or "inf at step" in message
    assert "learning rate of" in message
    kept = [path for path in (work.scratch / "checkpoints").glob("checkpoint-*")]
    assert [path for path in kept if str(path) in message]
    for path in kept:
        for tensor in load_file(path / "adapter_model.safetensors").values():
            assert tensor.isfinite().all()
    assert not list(work.out.iterdir())


_KILLED = """
import os, signal, sys
from pathlib import Path
from training import watch
from training.step import Work
from training.steps.sft import Options, run

class Killed(watch.Watch):
    def on_save(self, args, state, control, **others):
        super().on_save(args, state, control, **others)
        if state.global_step == 7:
            os.kill(os.getpid(), signal.SIGKILL)

import training.finetune as finetune
finetune.Watch = Killed
watch.SAVE_EVERY_SECONDS = 0.0
parent, out, scratch, data, options = sys.argv[1:]
work = Work("tiny-made", Path(parent), Path(parent), Path(out), Path(scratch), None, False, print)
run(Options(data=data, **eval(options)), work)
"""


@pytest.mark.parametrize("method", ["lora", "full"])
def test_a_killed_training_goes_on_to_the_same_weights(
    work: Work,
    again: Callable[[str], Work],
    sums: str,
    tiny_model: Path,
    told: list[str],
    method: str,
) -> None:
    """Killed by signal 9 after step 7 of 18, and resumed: not one bit differs.

    Nothing random happens in a step, the order of the rows is laid out beforehand, and the
    checkpoint holds the optimizer's state in full, so there is no tolerance to allow.
    """
    options = QUICK | {"method": method, "learning_rate": 3e-3}
    uninterrupted = again("uninterrupted")
    first = run(Options(data=sums, **options), uninterrupted)
    killed = subprocess.run(
        [sys.executable, "-c", _KILLED, tiny_model, work.out, work.scratch, sums, repr(options)],
        cwd=REPOSITORY,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        timeout=300,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    assert not list(work.out.iterdir())
    second = run(Options(data=sums, **options), work)
    assert any("goes on from checkpoint-7" in line for line in told)
    assert second.figures == first.figures
    for name in ("model.safetensors", "curves.json", "curves.svg"):
        assert (work.out / name).read_bytes() == (uninterrupted.out / name).read_bytes()


def test_a_torn_checkpoint_and_one_of_another_recipe_are_not_used(
    work: Work, sums: str, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.watch.SAVE_EVERY_SECONDS", 0.0)
    run(Options(data=sums, **QUICK), work)
    checkpoints = work.scratch / "checkpoints"
    newest = max(checkpoints.glob("checkpoint-*"), key=lambda path: int(path.name[11:]))
    written = (newest / "trainer_state.json").read_text("utf-8")
    (newest / "trainer_state.json").write_text(written[: len(written) // 2], "utf-8")
    shutil.rmtree(work.out)
    work.out.mkdir()
    run(Options(data=sums, **QUICK), work)
    older = int(newest.name[11:]) - 1
    assert any(f"goes on from checkpoint-{older}" in line for line in told)
    told.clear()
    run(Options(data=sums, **(QUICK | {"seed": 5})), work)
    assert any("other options or rows" in line for line in told)
    assert not any("goes on" in line for line in told)


def test_the_user_is_told_what_matters(
    work: Work, sums: str, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """72 rows in batches of 8, 2 epochs: 18 steps. Of 36 of warm-up the first has the rate 0, the
    last of the training 17 / 36 of the peak: 47%.
    """
    monkeypatch.setattr("training.watch.TELL_EVERY_SECONDS", 0.0)
    run(Options(data=sums, **(QUICK | {"warmup_steps": 36})), work)
    assert any("step 9 of 18, loss" in line and "left" in line for line in told)
    assert any("learns from 72 rows" in line and "8 are held out" in line for line in told)
    assert any(
        "warmup_steps is 36" in line and "18 steps" in line and "47%" in line for line in told
    )
    curves = json.loads((work.out / "curves.json").read_text("utf-8"))
    assert curves["train"][-1]["learning_rate"] == pytest.approx(17 / 36 * 1e-2)


def test_a_training_that_would_change_nothing_is_refused(work: Work, sums: str) -> None:
    """72 rows in one step, at the rate that a warm-up begins with: 0."""
    options = QUICK | {"batch_size": 72, "epochs": 1.0}
    with pytest.raises(TrainingError, match=r"one step.*nothing would be learned"):
        run(Options(data=sums, **options), work)
    made = run(Options(data=sums, **(options | {"warmup_steps": 0})), work).figures
    assert made["validation_loss"] < made["validation_loss_before"]


def test_a_parent_whose_own_loss_is_no_number_is_named(
    work: Work, sums: str, tiny_model: Path, tmp_path: Path
) -> None:
    """Nothing has been learned when the parent is looked at: no learning rate is at fault."""
    model = causal(tiny_model)
    with torch.no_grad():
        model.model.norm.weight.fill_(float("nan"))
    model.save_pretrained(tmp_path / "broken")
    broken = dataclasses.replace(work, parent=tmp_path / "broken")
    with pytest.raises(TrainingError) as error:
        run(Options(data=sums, **QUICK), broken)
    assert "the validation loss of the parent is nan" in str(error.value)
    assert "learning" not in str(error.value)


def test_half_an_epoch_learns_from_half_the_rows(work: Work, sums: str, told: list[str]) -> None:
    made = run(Options(data=sums, **(QUICK | {"epochs": 0.5})), work)
    assert made.figures["rows"] == 36
    assert any("learns from 36 of 72 rows" in line for line in told)


def test_rows_that_are_too_long_are_counted_or_refused(
    work: Work, tmp_path: Path, told: list[str]
) -> None:
    """An answer that is cut still teaches; a prompt that fills the row does not."""
    rows = [{"instruction": f"Say {number}", "output": "word " * 300} for number in range(4)] + [
        {"instruction": f"{number} " * 300, "output": "yes"} for number in range(2)
    ]
    path = tmp_path / "long.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    options = QUICK | {"validation_share": 0.25, "max_length": 40, "warmup_steps": 0}
    made = run(Options(data=str(path), **options), work)
    assert made.figures["rows"] + made.figures["held_out_rows"] == 4
    assert any("2 are left out: longer than max_length" in line for line in told)
    with pytest.raises(TrainingError, match="max_length is 4, and each of the 6 rows is longer"):
        run(Options(data=str(path), **(options | {"max_length": 4})), work)


def test_bad_parents_are_refused(work: Work, sums: str, tiny_model: Path, tmp_path: Path) -> None:
    options = Options(data=sums, **QUICK)

    def refuse(words: str, **changes: Any) -> None:
        with pytest.raises(TrainingError, match=words):
            run(options, dataclasses.replace(work, **changes))

    adapter = tmp_path / "adapter"
    adapter.mkdir()
    shutil.copyfile(tiny_model / "tokenizer.json", adapter / "tokenizer.json")
    shutil.copyfile(tiny_model / "tokenizer_config.json", adapter / "tokenizer_config.json")
    (adapter / "adapter_config.json").write_text('{"base_model_name_or_path": "org/base"}')
    refuse("is an adapter of org/base, not a model", parent=adapter)

    empty = tmp_path / "empty"
    empty.mkdir()
    refuse("holds no tokenizer", tokenizer=empty)
    refuse("cannot be loaded", parent=empty)

    quantized = tmp_path / "quantized"
    shutil.copytree(tiny_model, quantized)
    config = json.loads((quantized / "config.json").read_text("utf-8"))
    config["quantization_config"] = {"quant_method": "gptq"}
    (quantized / "config.json").write_text(json.dumps(config), "utf-8")
    refuse("is quantized \\(gptq\\)", parent=quantized)


@pytest.mark.parametrize(
    ("tied", "named", "says"),
    [
        (True, True, "is a LlamaForSequenceClassification, which scores answers and gives none"),
        (False, False, r"holds no lm_head\.weight"),
    ],
)
def test_a_parent_without_a_vocabulary_head_is_refused(
    work: Work, sums: str, tmp_path: Path, tied: bool, named: bool, says: str
) -> None:
    """A reward model has none: transformers would begin one at random, or take the embeddings for
    one where they are tied, and say so to nobody.
    """
    from transformers import LlamaConfig, LlamaForSequenceClassification

    parent = tmp_path / "reward"
    LlamaForSequenceClassification(
        LlamaConfig(
            tie_word_embeddings=tied,
            vocab_size=600,
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=1,
            num_attention_heads=2,
            num_labels=1,
            pad_token_id=0,
        )
    ).save_pretrained(parent)
    if not named:
        config = json.loads((parent / "config.json").read_text("utf-8"))
        del config["architectures"]
        (parent / "config.json").write_text(json.dumps(config), "utf-8")
    with pytest.raises(TrainingError, match=says):
        run(Options(data=sums, **QUICK), dataclasses.replace(work, parent=parent))


def test_a_tokenizer_of_another_model_is_refused(
    work: Work, sums: str, tiny_model: Path, tmp_path: Path
) -> None:
    """A model of 100 tokens cannot read what a tokenizer of 600 writes."""
    from transformers import LlamaConfig, LlamaForCausalLM

    small = tmp_path / "small"
    LlamaForCausalLM(
        LlamaConfig(
            vocab_size=100,
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=1,
            num_attention_heads=2,
        )
    ).save_pretrained(small)
    with pytest.raises(TrainingError, match="knows only 100 tokens"):
        run(Options(data=sums, **QUICK), dataclasses.replace(work, parent=small))


def test_too_little_memory_is_said_before_the_training(
    work: Work, sums: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.room._free", lambda: 0)
    with pytest.raises(TrainingError, match="too little memory"):
        run(Options(data=sums, **QUICK), work)


def test_a_parent_that_does_not_fit_is_refused_before_it_is_loaded(
    work: Work, sums: str, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Linux would end the process without a word. A float32 weight takes 4 bytes."""
    count = sum(tensor.numel() for tensor in load_file(tiny_model / "model.safetensors").values())
    monkeypatch.setattr("training.parent.free_memory", lambda where: 4 * count - 4)
    monkeypatch.setattr("training.parent._load", lambda *_: pytest.fail("it was loaded"))
    with pytest.raises(TrainingError, match=f"at most {count - 1:,} weights would fit"):
        run(Options(data=sums, **QUICK), work)


def test_memory_that_runs_out_names_what_would_fit(
    work: Work, sums: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from training.trainers import SupervisedTrainer

    def fail(*_: Any, **__: Any) -> None:
        raise torch.OutOfMemoryError("no room")

    monkeypatch.setattr(SupervisedTrainer, "compute_loss", fail)
    with pytest.raises(TrainingError, match="batch_size: 4 with accumulation: 2"):
        run(Options(data=sums, **(QUICK | {"validation_share": 0.0})), work)
