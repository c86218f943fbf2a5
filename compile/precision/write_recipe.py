"""The recipe of an assignment, as TOML that ``compile/build.py --recipe`` takes."""

from __future__ import annotations

import json
from collections.abc import Sequence

from compile.precision.scopes import LETTERS, WORDS
from compile.quantize.schemes import Rule


def recipe_text(scheme: str, rules: Sequence[Rule], comments: Sequence[str] = ()) -> str:
    """The text of a recipe: ``scheme`` with ``rules``, and ``comments`` above."""
    lines = [*(f"# {comment}" for comment in comments), f"scheme = {json.dumps(scheme)}"]
    for rule in rules:
        lines += ["", "[[rule]]", f"modules = {json.dumps(rule.modules)}"]
        if rule.operations:
            lines.append(f"operations = {json.dumps(list(rule.operations))}")
        lines.append(f"precision = {json.dumps(WORDS[LETTERS[rule.precision]])}")
    return "\n".join(lines) + "\n"


def describe_rules(rules: Sequence[Rule]) -> str:
    """``rules`` in one line, as "head weight-only, head.conv3 int8"."""
    return ", ".join(f"{rule.modules} {WORDS[LETTERS[rule.precision]]}" for rule in rules)
