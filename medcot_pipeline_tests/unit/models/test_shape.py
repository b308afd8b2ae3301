from pathlib import Path

import pytest

from medcot_pipeline.models.shape import KNOWN_SHAPES, ModelShape, base_shape
from medcot_pipeline.settings import load_settings
from medcot_pipeline.support.json_files import write_json

REAL = load_settings("rtx4090").base_model
CONFIG = {
    "num_hidden_layers": 28,
    "hidden_size": 3584,
    "intermediate_size": 18944,
    "num_attention_heads": 28,
    "num_key_value_heads": 4,
    "vocab_size": 152064,
    "tie_word_embeddings": False,
}


def test_the_shape_has_the_parameters_of_the_7b() -> None:
    shape = ModelShape.of(CONFIG)
    assert shape.linear_parameters == 6_525_288_448
    assert shape.adapter_parameters(8) == 20_185_088


def test_the_shape_comes_from_the_base_models_folder_where_there_is_one(tmp_path: Path) -> None:
    config = {"num_hidden_layers": 2, "hidden_size": 64, "intermediate_size": 256, "num_attention_heads": 4}
    write_json(tmp_path / "config.json", config | {"vocab_size": 1000})
    assert base_shape(REAL, tmp_path) == ModelShape(2, 64, 256, 4, 4, 16, 1000, tied=False)


def test_an_unknown_base_that_is_not_there_has_no_shape() -> None:
    other = REAL.model_copy(update={"repository": "someone/another-7b"})
    assert base_shape(other, None) is None
    assert base_shape(load_settings("demo").base_model, None) is None


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("Qwen-1.5B", 1_777_088_000),
        ("Qwen-7B", 7_615_616_512),
        ("Llama-8B", 8_030_261_248),
        ("Qwen-14B", 14_770_033_664),
        ("Qwen-32B", 32_763_876_352),
        ("Llama-70B", 70_553_706_496),
    ],
)
def test_a_known_shape_has_as_many_parameters_as_the_model_that_is_published(name: str, parameters: int) -> None:
    shape = KNOWN_SHAPES[f"deepseek-ai/DeepSeek-R1-Distill-{name}"]
    norms = (2 * shape.layers + 1) * shape.hidden
    biases = shape.layers * (shape.heads + 2 * shape.key_heads) * shape.head_size if name.startswith("Qwen") else 0
    assert shape.linear_parameters + 2 * shape.vocabulary * shape.hidden + norms + biases == parameters


def test_a_folder_without_a_readable_configuration_has_no_shape(tmp_path: Path) -> None:
    assert base_shape(load_settings("demo").base_model, tmp_path) is None
    (tmp_path / "config.json").write_text("no JSON")
    assert base_shape(load_settings("demo").base_model, tmp_path) is None
