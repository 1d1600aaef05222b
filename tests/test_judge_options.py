"""What the registry may say of a judge."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import RegistryError
from harness.judge_options import BertScoreJudge, JudgeOptions
from harness.zoo import load_zoo


def read(folder: Path, judge: str, source: str = "{hub: org/name}") -> JudgeOptions | None:
    path = folder / "zoo.yaml"
    path.write_text(
        f"models: {{j: {{family: f, stage: judge, source: {source}, judge: {judge}}}}}", "utf-8"
    )
    return load_zoo(path).get("j").judge


def test_a_baseline_is_known_by_the_encoders_name(tmp_path: Path) -> None:
    scaled = read(tmp_path, "{kind: bertscore, layer: 5, rescale: true}")
    assert scaled == BertScoreJudge(5, "org/name")
    plain = read(tmp_path, "{kind: bertscore, layer: 0, idf: false}", "{path: mine}")
    assert plain == BertScoreJudge(0)


@pytest.mark.parametrize(
    ("judge", "says"),
    [
        ("{kind: bertscore, layer: 5, rescale: true}", "for encoders of the hub only"),
        ("{kind: bertscore, layer: 5, idf: true}", "idf must be false"),
        ("{kind: bertscore, layer: -1}", "-1 is not valid: a whole number from 0"),
        ("{kind: bertscore, layer: yes}", "True is not valid"),
        ("{kind: bertscore}", "needs `layer:`, whose outputs"),
        ("{kind: dialogrpt, layer: 5}", "unknown key 'layer'"),
        ("{kind: bleurt}", "bleurt"),
    ],
)
def test_what_is_not_valid_is_refused(tmp_path: Path, judge: str, says: str) -> None:
    with pytest.raises(RegistryError, match=says):
        read(tmp_path, judge, "{path: mine}")
