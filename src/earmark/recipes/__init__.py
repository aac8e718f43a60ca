"""Recipes: what a training decides before it sees the data, and the ones that are shipped."""

from earmark.recipes.load import load_recipe, parse_recipe, recipe_names, recipe_text, render_recipe
from earmark.recipes.recipe import Recipe

__all__ = ["Recipe", "load_recipe", "parse_recipe", "recipe_names", "recipe_text", "render_recipe"]
