"""`earmark recipes`: list the shipped recipes, or print one."""

from __future__ import annotations

from pathlib import Path

import typer

from earmark.cli.console import Console, train_command


def register(app: typer.Typer) -> None:
    app.command("recipes")(recipes)


def recipes(
    name: str | None = typer.Argument(None, help="Print this recipe; it may also be a YAML file of your own."),
    overrides: list[str] = typer.Option([], "--set", help="Show it with a field changed: training.epochs=20."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON object; words for people go to stderr."),
) -> None:
    """List the shipped recipes, or print one whole to start your own from."""
    from earmark.recipes import load_recipe, recipe_names, recipe_text, render_recipe

    console = Console(as_json=as_json)
    if name is None:
        found = [load_recipe(known) for known in recipe_names()]
        for recipe in found:
            console.say(f"{recipe.name:<20} {recipe.summary}")
        listed = [{"name": recipe.name, "summary": recipe.summary} for recipe in found]
        console.finish(
            {"recipes": listed},
            "`earmark recipes small-cnn > my.yaml`, change it, `earmark train DATA --recipe my.yaml --out model/`",
        )
        return
    recipe = load_recipe(name, overrides)
    shipped = name in recipe_names()
    # a shipped recipe is printed as it is written, with its comments, unless a field was changed
    text = recipe_text(name) if shipped and not overrides else render_recipe(recipe)
    console.say(text.rstrip())
    console.aside = True  # stdout is the recipe's, which may be going into a file
    train = f"`{train_command(Path('DATA'), Path('model'), name, overrides, None, [])}`"
    own = "; or keep this as my.yaml, change it, and give --recipe my.yaml" if shipped else ""
    console.finish(recipe.model_dump(mode="json"), next_step=train + own)
