"""No GPL or AGPL package comes in with Earmark: the metadata of everything our extras pull in says so."""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Iterable
from email.message import Message

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

REFUSED = re.compile(r"^A?GPL", re.IGNORECASE)
# Words that a free-text licence field uses for the refused ones; "Lesser" and "Library" stand in the allowed LGPL.
REFUSED_WORDS = re.compile(r"\bA?GPL(v|-|\b)|GNU (AFFERO )?GENERAL PUBLIC LICENSE|\bAffero\b", re.IGNORECASE)

# Metadata that says nothing, or says GPL of a file that is not ours to import, looked up by hand: name -> what is so.
KNOWN: dict[str, str] = {
    "axe-playwright-python": "MIT, by the LICENSE file in it; the axe-core in it is MPL-2.0",
    "cuda-toolkit": "NVIDIA's licence; comes with a CUDA build of torch alone, and names only what else to install",
}


def _spdx(expression: str) -> bool:
    """Whether an SPDX expression leaves a choice that is neither GPL nor AGPL. OR is a choice, AND and WITH are not."""
    tokens = re.findall(r"[()]|[^\s()]+", expression)
    position = 0

    def one() -> bool:
        nonlocal position
        token = tokens[position]
        position += 1
        if token == "(":
            allowed = either()
            position += 1  # the closing one
            return allowed
        allowed = not REFUSED.match(token)
        if position < len(tokens) and tokens[position].upper() == "WITH":
            # an exception such as GCC's runtime library's or Classpath's lets anybody link
            allowed, position = True, position + 2
        return allowed

    def both() -> bool:
        nonlocal position
        allowed = one()
        while position < len(tokens) and tokens[position].upper() == "AND":
            position += 1
            allowed = one() and allowed
        return allowed

    def either() -> bool:
        nonlocal position
        allowed = both()
        while position < len(tokens) and tokens[position].upper() == "OR":
            position += 1
            allowed = both() or allowed
        return allowed

    return either()


def refusal(metadata: Message) -> str | None:
    """Why a distribution may not come in, or None. Order of trust: SPDX expression, classifiers, free text."""
    expression = metadata.get("License-Expression")
    if expression:
        return None if _spdx(expression) else f"License-Expression: {expression}"
    licences = [line for line in metadata.get_all("Classifier") or [] if line.startswith("License ::")]
    named = [line.rpartition("::")[2].strip() for line in licences if line != "License :: OSI Approved"]
    if named:
        refused = [name for name in named if REFUSED_WORDS.search(name)]
        # several classifiers are a choice, as in "MIT or GPL"
        return f"Classifier: {refused[0]}" if len(refused) == len(named) else None
    text = (metadata.get("License") or "").strip()
    if not text or text.upper() == "UNKNOWN":
        return "says nothing about its licence"
    # a field may hold the whole licence: its title decides, not what it says of other licences
    title = " ".join(text.splitlines()[:3])[:200]
    if REFUSED_WORDS.search(title) and not re.search(r"\bor\b", title):
        return f"License: {title}"
    return None


def closure(name: str, extras: Iterable[str]) -> dict[str, importlib.metadata.Distribution]:
    """Every installed distribution that `name[extras]` needs here, itself left out."""
    found: dict[str, importlib.metadata.Distribution] = {}
    seen: set[tuple[str, str]] = set()
    waiting = [(name, extra) for extra in ("", *extras)]
    while waiting:
        package, extra = waiting.pop()
        if (package, extra) in seen:
            continue
        seen.add((package, extra))
        try:
            distribution = importlib.metadata.distribution(package)
        except importlib.metadata.PackageNotFoundError:
            continue
        found[canonicalize_name(package)] = distribution
        for line in distribution.requires or []:
            need = Requirement(line)
            if need.marker is None or need.marker.evaluate({"extra": extra}):
                waiting += [(canonicalize_name(need.name), wanted) for wanted in ("", *need.extras)]
    found.pop(canonicalize_name(name), None)
    return found


def _extras() -> list[str]:
    return importlib.metadata.metadata("earmark").get_all("Provides-Extra") or []


def test_nothing_that_any_extra_pulls_in_is_gpl_or_agpl() -> None:
    found = closure("earmark", _extras())
    assert {"numpy", "torch", "soundfile", "mkdocs"} <= set(found)
    refused = {
        name: reason
        for name, distribution in sorted(found.items())
        if name not in KNOWN and (reason := refusal(distribution.metadata))
    }
    assert refused == {}


def test_tagging_alone_pulls_in_no_torch() -> None:
    assert {"torch", "lightning", "librosa", "scikit-learn"} & set(closure("earmark", [])) == set()
    assert "onnxruntime" in closure("earmark", [])


def _metadata(**fields: str | list[str]) -> Message:
    message = Message()
    for name, values in fields.items():
        for value in [values] if isinstance(values, str) else values:
            message[name.replace("_", "-")] = value
    return message


@pytest.mark.parametrize(
    ("metadata", "refused"),
    [
        (_metadata(License_Expression="MIT"), False),
        (_metadata(License_Expression="GPL-3.0-or-later"), True),
        (_metadata(License_Expression="AGPL-3.0-only"), True),
        (_metadata(License_Expression="LGPL-2.1-or-later"), False),
        (_metadata(License_Expression="MIT OR GPL-2.0-only"), False),
        (_metadata(License_Expression="MIT AND GPL-2.0-only"), True),
        (_metadata(License_Expression="(MIT OR GPL-2.0-only) AND BSD-3-Clause"), False),
        (_metadata(License_Expression="BSD-3-Clause AND (AGPL-3.0-only OR GPL-3.0-only)"), True),
        (_metadata(License_Expression="BSD-3-Clause AND GPL-3.0-or-later WITH GCC-exception-3.1"), False),
        (_metadata(Classifier="License :: OSI Approved :: GNU General Public License v3 (GPLv3)"), True),
        (_metadata(Classifier="License :: OSI Approved :: GNU Affero General Public License v3"), True),
        (_metadata(Classifier="License :: OSI Approved :: GNU Lesser General Public License v3 (LGPLv3)"), False),
        (
            _metadata(
                Classifier=[
                    "License :: OSI Approved :: MIT License",
                    "License :: OSI Approved :: GNU General Public License (GPL)",
                ]
            ),
            False,
        ),
        (_metadata(Classifier=["License :: OSI Approved", "Topic :: Software Development"], License="BSD"), False),
        (_metadata(License="GPLv3+"), True),
        (_metadata(License="GNU GPL v2"), True),
        (_metadata(License="LGPLv2.1+"), False),
        (_metadata(License="GNU GENERAL PUBLIC LICENSE\nVersion 3, 29 June 2007"), True),
        (_metadata(License="GNU LESSER GENERAL PUBLIC LICENSE\nVersion 3, 29 June 2007"), False),
        (_metadata(License="MIT License\n\nCopyright\n\n" + "compatible with the GPL " * 20), False),
        (_metadata(License="MPL 2.0 or GPL 2"), False),
        (_metadata(License="UNKNOWN"), True),
        (_metadata(), True),
    ],
    ids=lambda value: str(dict(value.items())) if isinstance(value, Message) else None,
)
def test_refusal_reads_licences_as_people_do(metadata: Message, refused: bool) -> None:
    assert (refusal(metadata) is not None) is refused
