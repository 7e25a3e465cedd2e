"""A recipe as a form: from the pydantic model to fields and back to changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from screens.recipe_fields import changes_of, fields_of, key_of_fault, methods_first, shown_keys
from workbench import yaml_file
from workbench.errors import Faults
from workbench.training.recipe import Recipe, load


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "tone.yaml"
    path.write_text(
        "# House tone.\ndataset: tone\nlearning_rate: 2.0e-4 # peak\nlora:\n  target_modules: [q_proj, v_proj]\n",
        encoding="utf-8",
    )
    return path


def test_every_setting_of_the_recipe_has_a_field_with_help(recipe: Path) -> None:
    fields = {field.key: field for field in fields_of(Recipe, yaml_file.read(recipe))}
    for name in ("dataset", "learning_rate", "max_steps", "max_length", "lora.r", "lora.lora_alpha", "context.index"):
        assert fields[name].help.endswith("."), name
    assert fields["dataset"].value == "tone"
    assert fields["dataset"].required
    assert (fields["learning_rate"].value, fields["learning_rate"].default) == ("0.0002", "0.0002")
    assert fields["lora.target_modules"].value == '["q_proj", "v_proj"]'
    assert "cosine" in fields["lr_scheduler_type"].choices
    assert fields["bf16"].choices == ("true", "false")
    assert fields["context.k"].value == ""


def test_only_what_was_changed_is_a_change_and_it_loads(recipe: Path) -> None:
    fields = fields_of(Recipe, yaml_file.read(recipe))
    texts = {field.key: field.value for field in fields}
    assert changes_of(fields, texts) == {}
    texts |= {
        "learning_rate": "1e-3",
        "lora.r": "8",
        "lora.target_modules": "[o_proj]",
        "context.index": "007",
        "bf16": "false",
        "samples.prompts": '["Who, then?"]',
    }
    loaded = load(recipe, changes_of(fields, texts))
    assert (loaded.learning_rate, loaded.lora.r, loaded.lora.target_modules) == (1e-3, 8, ["o_proj"])
    assert loaded.context is not None
    assert loaded.context.index == "007"
    assert loaded.bf16 is False
    assert loaded.samples.prompts == ["Who, then?"]


def test_an_emptied_field_goes_back_to_its_default(recipe: Path) -> None:
    fields = fields_of(Recipe, yaml_file.read(recipe))
    changes = changes_of(fields, {"learning_rate": "", "lora.target_modules": " "})
    loaded = load(recipe, changes)
    assert (loaded.learning_rate, loaded.lora.target_modules) == (2e-4, "all-linear")


def test_each_fault_is_told_at_its_field(recipe: Path) -> None:
    fields = fields_of(Recipe, yaml_file.read(recipe))
    texts = {"lora.r": "many", "learning_rate": "-1", "lora.target_modules": '[{"a": 1}]'}
    with pytest.raises(Faults) as raised:
        load(recipe, changes_of(fields, texts))
    told = {field.key: reason for field, reason in (key_of_fault(f, fields) for f in raised.value.faults) if field}
    assert set(told) == set(texts)
    assert "greater than 0" in told["learning_rate"]


def test_what_is_not_yaml_is_refused_with_its_key(recipe: Path) -> None:
    fields = fields_of(Recipe, yaml_file.read(recipe))
    with pytest.raises(Faults, match=r"lora\.r: .*'\[1,'"):
        load(recipe, changes_of(fields, {"lora.r": "[1,"}))


def test_a_field_of_texts_and_truth_values_knows_both(recipe: Path) -> None:
    fields = fields_of(Recipe, yaml_file.read(recipe))
    assert next(field for field in fields if field.key == "lora.init_lora_weights").choices[:3] == (
        "true", "false", "gaussian",
    )  # fmt: skip
    for text, value in (("true", True), ("pissa_niter_4", "pissa_niter_4")):
        changes = changes_of(fields, {"lora.init_lora_weights": text})
        assert load(recipe, changes or {}).lora.init_lora_weights == value
    assert changes_of(fields, {"lora.init_lora_weights": "true"}) == {"lora.init_lora_weights": True}


def test_common_fields_of_the_chosen_method_are_shown_at_first(recipe: Path) -> None:
    fields = methods_first(fields_of(Recipe, yaml_file.read(recipe)))
    shown = shown_keys(fields, {}, every=False)
    assert {"dataset", "lora.r", "lora.target_modules"} <= shown
    assert not shown & {"adam_beta1", "lora.use_dora", "dpo.beta"}
    assert "adam_beta1" in shown_keys(fields, {"adam_beta1": "0.8"}, every=False), "what says something is seen"
    every = shown_keys(fields, {"method": "kto"}, every=True)
    assert "kto.desirable_weight" in every
    assert "dpo.beta" not in every
    sections = list(dict.fromkeys(field.section for field in fields))
    assert sections.index("dpo") < sections.index("lora"), "a method's own fields follow the plain ones"


def test_the_section_of_a_method_that_is_not_chosen_any_more_goes(tmp_path: Path) -> None:
    path = tmp_path / "pref.yaml"
    path.write_text("dataset: tone\nmethod: dpo\ndpo:\n  beta: 0.3\n")
    fields = fields_of(Recipe, yaml_file.read(path))
    changes = changes_of(fields, {"method": "kto", "kto.beta": "0.2", "dpo.beta": "0.9"})
    assert changes == {"method": "kto", "dpo": None, "kto.beta": 0.2}
    assert load(path, changes).kto is not None
