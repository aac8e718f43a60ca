"""The documentation names every command, option, recipe, field and file format, and none that is not there."""

from __future__ import annotations

import importlib
import pkgutil
import re
import runpy
import shlex
import textwrap
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
LINKED = [*PAGES, ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", ROOT / "benchmarks/README.md"]
COMMAND = re.compile(r"^\$? ?(?:OMP_NUM_THREADS=\d+ )?earmark (.+)$")


def _id(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def _commands() -> dict[str, Any]:
    """`verb` or `verb sub` -> click command, groups left out."""
    import typer

    from earmark.cli.main import app

    def walk(command: Any, name: str) -> Iterator[tuple[str, Any]]:
        inner = getattr(command, "commands", None)
        if inner is None:
            yield name, command
        else:
            for key, child in inner.items():
                yield from walk(child, f"{name} {key}".strip())

    return dict(walk(typer.main.get_command(app), ""))


def _options(command: Any) -> set[str]:
    """`--long` and `-s` names of a command, both sides of an on/off pair."""
    flags = [flag for param in command.params for flag in (*param.opts, *param.secondary_opts)]
    return {flag for flag in flags if flag.startswith("-")}


def _blocks(text: str) -> Iterator[tuple[str, str]]:
    """(language, code) of every fenced block, those inside lists and admonitions too."""
    for indent, language, code in re.findall(r"^( *)```+ *(\w*)[^\n]*\n(.*?)^\1```", text, re.MULTILINE | re.DOTALL):
        yield language, re.sub(f"^{indent}", "", code, flags=re.MULTILINE)


def _prose(text: str) -> str:
    return re.sub(r"^( *)```.*?^\1```", "", text, flags=re.MULTILINE | re.DOTALL)


def _verbs() -> list[str]:
    return sorted({name.split()[0] for name in _commands()})


def _page_of(verb: str) -> Path:
    return DOCS / "commands" / f"{verb}.md"


def test_there_are_commands() -> None:
    assert {"train", "evaluate", "tag", "inspect", "demo"} <= set(_verbs())


@pytest.mark.parametrize("verb", _verbs())
def test_a_command_has_a_page_that_names_its_every_option(verb: str) -> None:
    page = _page_of(verb).read_text(encoding="utf-8")
    for name, command in _commands().items():
        if name.split()[0] != verb:
            continue
        assert f"earmark {name}" in page
        long = {flag for flag in _options(command) if flag.startswith("--") and flag != "--help"}
        named = set(re.findall(r"--[a-z][a-z0-9-]*", page))
        assert long - named == set(), f"docs/commands/{verb}.md does not name these options of `earmark {name}`"


@pytest.mark.parametrize("verb", _verbs())
def test_a_page_names_no_option_that_no_command_has(verb: str) -> None:
    known = {flag for command in _commands().values() for flag in _options(command)} | {"--help", "--version"}
    page = _page_of(verb).read_text(encoding="utf-8")
    prose = re.findall(r"`(--[a-z][a-z0-9-]*)", _prose(page))
    assert set(prose) - known == set()


@pytest.mark.parametrize("verb", _verbs())
def test_an_option_has_a_help_text(verb: str) -> None:
    for name, command in _commands().items():
        if name.split()[0] == verb:
            assert command.help, name
            silent = [p.name for p in command.params if getattr(p, "help", "-") in (None, "")]
            assert silent == [], name


def _command_lines(path: Path) -> Iterator[str]:
    for language, code in _blocks(path.read_text(encoding="utf-8")):
        if language in ("", "bash", "sh", "console", "shell", "text"):
            joined = code.replace("\\\n", " ")
            yield from (found.group(1) for line in joined.splitlines() if (found := COMMAND.match(line)))


@pytest.mark.parametrize("path", LINKED, ids=_id)
def test_a_command_line_that_is_shown_could_be_typed(path: Path) -> None:
    commands = _commands()
    for line in _command_lines(path):
        words = shlex.split(re.split(r" [|>]|&&|;|2>", line)[0], comments=True)
        if words[0].startswith("-"):
            assert words[0] in ("--help", "--version", "-h"), line
            continue
        names = [" ".join(words[:count]) for count in (3, 2, 1)]
        name = next((name for name in names if name in commands), words[0])
        assert name in commands, f"`earmark {line}`: no such command"
        flags = {word.split("=")[0] for word in words if re.match(r"--?[a-z]", word)}
        assert flags - _options(commands[name]) - {"--help"} == set(), f"`earmark {line}`: no such option"


@pytest.mark.parametrize("path", LINKED, ids=_id)
def test_python_that_is_shown_compiles(path: Path) -> None:
    for language, code in _blocks(path.read_text(encoding="utf-8")):
        if language == "python":
            compile(textwrap.dedent(code), _id(path), "exec")


def _slugs(path: Path) -> set[str]:
    """Anchors of a page's headings, as mkdocs makes them."""
    from markdown.extensions.toc import slugify

    headings = re.findall(r"^#+ +(.+?) *$", _prose(path.read_text(encoding="utf-8")), re.MULTILINE)
    given = {slug for heading in headings for slug in re.findall(r"\{ *#([\w-]+) *\}", heading)}
    return given | {slugify(re.sub(r"[`*]|\{.*\}", "", heading), "-") for heading in headings}


@pytest.mark.parametrize("path", LINKED, ids=_id)
def test_links_between_pages_resolve(path: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", _prose(path.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        goal = (path.parent / file).resolve() if file else path
        assert goal.exists(), f"{_id(path)}: {target} leads nowhere"
        if anchor and goal.suffix == ".md":
            assert anchor in _slugs(goal), f"{_id(path)}: {target}: no such heading"


def _nav(entries: Any) -> Iterator[str]:
    if isinstance(entries, str):
        yield entries
    elif isinstance(entries, dict):
        yield from (page for value in entries.values() for page in _nav(value))
    else:
        yield from (page for value in entries for page in _nav(value))


def test_the_menu_of_the_site_lists_every_page_once() -> None:
    menu = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]
    assert sorted(_nav(menu)) == sorted(page.relative_to(DOCS).as_posix() for page in PAGES)


@pytest.mark.parametrize("folder", ["commands", "recipes", "formats"])
def test_the_index_of_a_folder_links_to_its_every_page(folder: str) -> None:
    index = (DOCS / folder / "index.md").read_text(encoding="utf-8")
    pages = {path.name for path in (DOCS / folder).glob("*.md")} - {"index.md"}
    assert pages - set(re.findall(r"\]\(([\w-]+\.md)", index)) == set()


def _recipe_names() -> list[str]:
    from earmark.recipes.load import recipe_names

    return recipe_names()


@pytest.mark.parametrize("name", _recipe_names())
def test_a_recipe_has_a_page(name: str) -> None:
    assert f"# `{name}`" in (DOCS / "recipes" / f"{name}.md").read_text(encoding="utf-8")


def test_no_page_tells_of_a_recipe_that_is_not_shipped() -> None:
    pages = {path.stem for path in (DOCS / "recipes").glob("*.md")}
    assert pages - {"index", "fields"} == set(_recipe_names())


def test_every_field_of_a_recipe_is_told_as_the_code_tells_it() -> None:
    script = runpy.run_path(str(ROOT / "scripts" / "write_recipe_fields.py"))
    silent = [path for _, _, rows in script["sections"]() for path, _, meaning in rows if not meaning]
    assert silent == []
    kept = (DOCS / "recipes" / "fields.md").read_text(encoding="utf-8")
    assert kept == script["page"](), "run scripts/write_recipe_fields.py and commit what it writes"


def test_the_accuracies_that_are_told_are_those_that_were_measured() -> None:
    script = runpy.run_path(str(ROOT / "scripts" / "write_accuracy.py"))
    kept = (DOCS / "accuracy.md").read_text(encoding="utf-8")
    assert kept == script["page"](), "run scripts/write_accuracy.py and commit what it writes"


def _formats() -> list[str]:
    """Whatever is read or written in a format of its own: layouts, label formats, the model folder."""
    import earmark.formats
    from earmark.layouts import LAYOUTS

    modules = {module.name for module in pkgutil.iter_modules(earmark.formats.__path__)} - {"names", "spans", "words"}
    return sorted({*LAYOUTS, *modules, "bundle"})


@pytest.mark.parametrize("name", _formats())
def test_a_file_format_has_a_page(name: str) -> None:
    assert (DOCS / "formats" / f"{name}.md").read_text(encoding="utf-8").startswith("# ")


def _shown() -> list[str]:
    return [
        name for page in PAGES for name in re.findall(r"^::: ([\w.]+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    ]


def test_no_object_is_shown_on_two_pages() -> None:
    assert sorted(_shown()) == sorted(set(_shown()))


@pytest.mark.parametrize("name", sorted(set(_shown())))
def test_an_object_that_is_shown_exists_and_is_documented(name: str) -> None:
    module, _, member = name.rpartition(".")
    assert getattr(importlib.import_module(module), member).__doc__


@pytest.mark.parametrize("path", LINKED, ids=_id)
def test_a_page_fetches_nothing_from_elsewhere(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert re.findall(r"<script[^>]*src|!\[[^\]]*\]\(https?:|<img[^>]*src=.https?:", text) == []


def test_the_table_of_benchmarks_names_every_one() -> None:
    files = {path.stem for path in (ROOT / "benchmarks").glob("*.py") if not path.stem.startswith("_")}
    table = (ROOT / "benchmarks" / "README.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == sorted(files - {"harness", "run"})
