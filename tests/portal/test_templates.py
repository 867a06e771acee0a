"""A template uses only what the dataclass of its page has, and no text that escapes translation."""

import importlib
import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest
from jinja2 import meta, nodes

import vigia.portal
from vigia.portal.language import language_of
from vigia.portal.rendering import Ui, environment

TEMPLATES = Path(vigia.portal.__file__).parent / "templates"
FILES = sorted(str(path.relative_to(TEMPLATES)) for path in TEMPLATES.rglob("*.html"))
PAGES = [name for name in FILES if not name.startswith("parts/") and name != "layout.html"]
WORD = re.compile(r"[^\W\d_]{2,}")
SPOKEN = re.compile(r"""\b(?:aria-label|title|placeholder|alt)="([^"]*)\"""")
NAMES = {"Vigía", "CSV", "UTC", "EN", "ISA", "IEC", "ISO", "NAMUR", "NE"}


def source(name: str) -> str:
    return (TEMPLATES / name).read_text("utf-8")


def names_of(kind: type) -> set[str]:
    assert is_dataclass(kind)
    return {field.name for field in fields(kind)} | {name for name, value in vars(kind).items() if isinstance(value, property)}


def context_of(name: str) -> type:
    said = re.search(r"\{# context: ([\w.]+)\.(\w+) #\}", source(name))
    assert said is not None, f"{name} does not say what its context is"
    found: type = getattr(importlib.import_module(said[1]), said[2])
    return found


def used(name: str, variable: str) -> Iterator[str]:
    for node in environment(language_of("en")).parse(source(name)).find_all(nodes.Getattr):
        if isinstance(node.node, nodes.Name) and node.node.name == variable:
            yield node.attr


@pytest.mark.parametrize("name", PAGES)
def test_a_page_uses_only_what_its_class_has(name: str) -> None:
    kind = context_of(name)
    assert kind.__doc__
    assert set(used(name, "page")) <= names_of(kind)
    tree = environment(language_of("en")).parse(source(name))
    imported = {part if isinstance(part, str) else part[1] for one in tree.find_all(nodes.FromImport) for part in one.names}
    made = {macro.name for macro in tree.find_all(nodes.Macro)} | {one.name for one in tree.find_all(nodes.Name) if one.ctx == "store"}
    assert meta.find_undeclared_variables(tree) - imported - made <= {"page", "ui", "_", "gettext", "ngettext"}


@pytest.mark.parametrize("name", FILES)
def test_the_layout_is_used_only_as_its_class_says(name: str) -> None:
    assert set(used(name, "ui")) <= names_of(Ui)


@pytest.mark.parametrize("name", FILES)
def test_no_text_escapes_translation(name: str) -> None:
    bare = re.sub(r"\{#.*?#\}", "", source(name), flags=re.DOTALL)
    bare = re.sub(r"\{%.*?%\}|\{\{.*?\}\}", "\x00", bare, flags=re.DOTALL)
    spoken = [word for text in SPOKEN.findall(bare) for word in WORD.findall(text)]
    shown = re.sub(r"<(script|style)\b.*?</\1>", "", bare, flags=re.DOTALL)
    shown = re.sub(r"<[^>]*>", " ", shown)
    assert [word for word in [*spoken, *WORD.findall(shown)] if word not in NAMES] == []


@pytest.mark.parametrize("name", FILES)
def test_no_script_or_style_stands_inside_a_page(name: str) -> None:
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=|https?://(?!www\.w3\.org)", source(name))
