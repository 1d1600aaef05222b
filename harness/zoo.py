"""The registry: which models there are, where each comes from, and what it descends from.

`model_zoo.yaml` maps a model's name to its entry. An entry has a ``source`` (a root, whose
weights exist somewhere) or a ``parent`` and a ``step`` (a descendant, which `harness-train`
makes). What a descendant does not say about family, stage, tokenizer, BOS, backend, dtype, chat
template, own code and licence, it has from its parent.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.errors import RegistryError, UnknownName, closest
from harness.judge_options import JudgeOptions, RewardJudge, read_judge
from harness.origin import Source, is_hub_name, read_source, read_tokenizer
from harness.step_options import Recipe, options_class, read_recipe
from harness.storage import expanded
from harness.strict_yaml import Table, find_file, parse

STAGES = ("base", "sft", "dpo", "kto", "rlhf", "reward", "judge")
QUANTIZATIONS = ("none", "nf4", "fp4", "int8", "gptq", "awq", "easyquant")
DTYPES = ("auto", "float32", "bfloat16", "float16")

_MODEL_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")
_LONGEST_LINEAGE = 100
_KEYS = (
    "family",
    "stage",
    "source",
    "parent",
    "step",
    "quantization",
    "judge",
    "tokenizer",
    "add_bos",
    "backend",
    "dtype",
    "chat_template",
    "trust_remote_code",
    "allow_pickle",
    "notes",
    "licence",
)


@dataclass(frozen=True)
class Step:
    """How a descendant is made from its parent: the options are those that the registry writes."""

    kind: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ModelSpec:
    """One entry of the registry; has either a source, or a parent and a step.

    Attributes:
        name: how commands call it.
        family: models of one family share a pretrained ancestor (``qwen``).
        stage: one of STAGES; quantization: one of QUANTIZATIONS.
        tokenizer: hub name or folder of the tokenizer where the weights bring none, else ``None``.
        add_bos: whether prompts begin with BOS; ``None`` leaves it to the tokenizer.
        backend: what answers requests about it.
        dtype: dtype of the loaded body; ``auto`` is the checkpoint's own.
        chat_template: whether prompts go through the model's chat template.
        trust_remote_code: whether Python code inside the checkpoint may run.
        allow_pickle: of a root: whether weights that are a pickle only are read and converted.
        judge: of a model that judges answers and gives none (stages judge and reward): how.
    """

    name: str
    family: str
    stage: str
    quantization: str = "none"
    source: Source | None = None
    parent: str | None = None
    step: Step | None = None
    tokenizer: str | None = None
    add_bos: bool | None = None
    backend: str = "hf"
    dtype: str = "auto"
    chat_template: bool = False
    trust_remote_code: bool = False
    allow_pickle: bool = False
    notes: str = ""
    licence: str = ""
    judge: JudgeOptions | None = None

    @property
    def served(self) -> bool:
        """Whether its weights are a server's, and none of them here."""
        return self.source is not None and self.source.kind == "server"

    @property
    def judges(self) -> bool:
        """Whether it judges answers, and gives none."""
        return self.judge is not None


@dataclass(frozen=True)
class Zoo:
    """A registry that was read and checked: every parent exists, and no lineage is a circle.

    Attributes:
        path: the file.
        models: name to entry, in the file's order.
    """

    path: Path
    models: Mapping[str, ModelSpec]

    def get(self, name: str) -> ModelSpec:
        """The entry of that name; raises UnknownName, with the closest names."""
        try:
            return self.models[name]
        except KeyError:
            raise UnknownName("model", name, self.models, str(self.path)) from None

    def lineage(self, name: str) -> tuple[ModelSpec, ...]:
        """The walk from the root to the model, both included."""
        walk = [self.get(name)]
        while (parent := walk[-1].parent) is not None:
            walk.append(self.models[parent])
        return tuple(reversed(walk))

    def tokenizer_folder(self, spec: ModelSpec) -> Path | None:
        """The folder that the entry names as its tokenizer, seen from the registry's file;
        ``None`` if it names no tokenizer, or one of the hub.
        """
        if spec.tokenizer is None:
            return None
        folder = self.path.parent / expanded(spec.tokenizer)
        return folder if folder.is_dir() or not is_hub_name(spec.tokenizer) else None

    def children(self, name: str) -> tuple[ModelSpec, ...]:
        """The models made directly from this one, in the file's order."""
        self.get(name)
        return tuple(spec for spec in self.models.values() if spec.parent == name)


def load_zoo(path: Path | None = None) -> Zoo:
    """Read and check the registry.

    Args:
        path: the file; without one: the environment variable ``HARNESS_ZOO``,
            ``./model_zoo.yaml``, the copy in the installed package, the checkout's.

    Raises:
        RegistryError: there is no such file, or it is not valid; names file, line and key.
    """
    places = [path] if path is not None else find_file("model_zoo.yaml", "HARNESS_ZOO")
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        looked = ", ".join(str(place) for place in places)
        raise RegistryError(
            f"no registry: looked for {looked}. Name one with HARNESS_ZOO=file, or run the "
            "command in a folder that has a model_zoo.yaml"
        )
    top = parse(found)
    top.only(["models"])
    if "models" not in top:
        raise top.error(None, "the key 'models' is missing: it maps each model's name to its entry")
    entries = top.table("models", "models")
    if not entries.nodes:
        raise top.error("models", "no model is written here")
    tables: dict[str, Table] = {}
    for name in entries.nodes:
        if not _MODEL_NAME.fullmatch(name):
            raise RegistryError(
                f"{entries.at(name)}: {name!r} is not a valid model name: lower-case letters, "
                "digits, '.', '_' and '-', the first a letter or a digit, 100 at most"
            )
        tables[name] = entries.table(name, f"model {name!r}")
    parents = {name: _parent(table, tables) for name, table in tables.items()}
    _refuse_circles(parents, tables)
    specs: dict[str, ModelSpec] = {}
    for name in tables:
        _read_with_ancestors(name, parents, tables, specs)
    return Zoo(found, {name: specs[name] for name in tables})


def _parent(table: Table, tables: Mapping[str, Table]) -> str | None:
    table.only(_KEYS)
    has_source, has_parent = "source" in table, "parent" in table
    if has_source and (has_parent or "step" in table):
        other = "parent" if has_parent else "step"
        raise table.error(
            other, "an entry has a source (a root) or a parent and a step (a descendant), not both"
        )
    if has_source:
        return None
    if not has_parent:
        raise table.error(None, "it has neither a source nor a parent: write one of them")
    if "step" not in table:
        raise table.error("parent", "a descendant also needs a step: what is done to the parent")
    return table.text("parent")


def _refuse_circles(parents: Mapping[str, str | None], tables: Mapping[str, Table]) -> None:
    for start in parents:
        walk = [start]
        while (parent := parents[walk[-1]]) is not None:
            table = tables[walk[-1]]
            if parent not in parents:
                raise table.error("parent", f"unknown model {parent!r}{closest(parent, parents)}")
            if parent in walk:
                circle = [*walk[walk.index(parent) :], parent]
                raise table.error(
                    "parent",
                    f"the lineage is a circle ({' -> '.join(reversed(circle))}): "
                    "one of these models needs a source instead of a parent",
                )
            walk.append(parent)
            if len(walk) > _LONGEST_LINEAGE:
                raise table.error("parent", f"the lineage has over {_LONGEST_LINEAGE} generations")


def _read_with_ancestors(
    name: str,
    parents: Mapping[str, str | None],
    tables: Mapping[str, Table],
    specs: dict[str, ModelSpec],
) -> None:
    waiting: list[str] = []
    current: str | None = name
    while current is not None and current not in specs:
        waiting.append(current)
        current = parents[current]
    for ready in reversed(waiting):
        parent = parents[ready]
        table = tables[ready]
        specs[ready] = (
            _descendant(ready, table, specs[parent]) if parent is not None else _root(ready, table)
        )


def _root(name: str, table: Table) -> ModelSpec:
    source = read_source(table.table("source", f"the source of model {name!r}"))
    backend = "api" if source.kind == "server" else "hf"
    ground = ModelSpec(name, "", "", source=source, backend=backend)
    return _common(
        ground,
        table,
        family=table.text("family"),
        stage=table.choice("stage", STAGES),
        quantization=table.choice("quantization", QUANTIZATIONS, "none"),
    )


def _descendant(name: str, table: Table, parent: ModelSpec) -> ModelSpec:
    recipe = read_recipe(table.table("step", f"the step of model {name!r}"))
    if parent.judges and recipe.kind != "reward":
        raise table.error(
            "step",
            f"{recipe.kind!r} makes a model that gives answers, and its parent {parent.name!r} "
            "judges them and gives none: of a judge only the step 'reward' makes something"
            + (f"; {parent.name!r} was made from {parent.parent!r}" if parent.parent else ""),
        )
    stage, quantization = recipe.stage or parent.stage, recipe.quantization
    _same(table, "stage", STAGES, stage, recipe)
    _same(table, "quantization", QUANTIZATIONS, quantization, recipe)
    ground = ModelSpec(
        name,
        "",
        "",
        parent=parent.name,
        step=Step(recipe.kind, recipe.options),
        tokenizer=parent.tokenizer,
        add_bos=parent.add_bos,
        backend=parent.backend,
        dtype=parent.dtype,
        chat_template=parent.chat_template,
        trust_remote_code=parent.trust_remote_code,
        licence=parent.licence,
        judge=parent.judge,
    )
    family = table.text("family", parent.family)
    return _common(ground, table, family=family, stage=stage, quantization=quantization)


def _same(table: Table, key: str, choices: tuple[str, ...], made: str, recipe: Recipe) -> None:
    if key in table and (written := table.choice(key, choices)) != made:
        raise table.error(
            key, f"{written!r} contradicts the step {recipe.kind!r}, which makes {made!r}"
        )


def _common(
    ground: ModelSpec, table: Table, *, family: str, stage: str, quantization: str
) -> ModelSpec:
    add_bos = ground.add_bos
    if "add_bos" in table and table.scalar("add_bos") is not None:
        add_bos = table.flag("add_bos", False)
    return ModelSpec(
        name=ground.name,
        family=family,
        stage=stage,
        quantization=quantization,
        source=ground.source,
        parent=ground.parent,
        step=ground.step,
        tokenizer=read_tokenizer(table) if "tokenizer" in table else ground.tokenizer,
        add_bos=add_bos,
        backend=table.text("backend", ground.backend),
        dtype=table.choice("dtype", DTYPES, ground.dtype),
        chat_template=table.flag("chat_template", ground.chat_template),
        trust_remote_code=table.flag("trust_remote_code", ground.trust_remote_code),
        allow_pickle=_allow_pickle(table, ground),
        notes=table.text("notes", ""),
        licence=table.text("licence", ground.licence),
        judge=_judge(table, stage, ground),
    )


def _allow_pickle(table: Table, ground: ModelSpec) -> bool:
    allowed = table.flag("allow_pickle", False)
    if allowed and (ground.source is None or ground.source.kind == "package"):
        raise table.error("allow_pickle", "it is for a source {hub: ...} or {path: ...}")
    return allowed


def _judge(table: Table, stage: str, ground: ModelSpec) -> JudgeOptions | None:
    """How a model judges: as is written; a reward model as it was trained, or as the hub's are."""
    if stage not in ("judge", "reward"):
        if "judge" in table:
            raise table.error("judge", f"a model of stage {stage!r} gives answers and judges none")
        return None
    if "judge" in table:
        hub_name = ground.source.name if ground.source and ground.source.kind == "hub" else None
        return read_judge(table.table("judge", f"the judge of {table.what}"), hub_name)
    if stage == "judge":
        raise table.error("stage", "a judge needs a mapping `judge:` with its kind")
    if ground.step is not None and ground.step.kind == "reward":
        return RewardJudge(options_class("reward")(**ground.step.options).template)
    return ground.judge or RewardJudge()
