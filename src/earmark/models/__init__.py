"""Nets by name. Each maps features (b, channels, bands, frames) to logits (b, tags) and an embedding (b, d)."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from earmark.errors import RecipeError
from earmark.models.discriminant import Discriminant, WithDiscriminant
from earmark.models.members import Members
from earmark.models.reference import ConvFlat, ConvGap, ConvWide, SaxNet
from earmark.models.small_cnn import SmallCNN

MODELS: Mapping[str, Callable[..., nn.Module]] = {
    "small-cnn": SmallCNN,
    "conv-gap": ConvGap,
    "conv-flat": ConvFlat,
    "conv-wide": ConvWide,
    "sax-net": SaxNet,
}

# what a net is told about its input and output, never by a recipe
_GIVEN = ("n_tags", "in_channels", "picture")


def build(
    name: str,
    arguments: Mapping[str, Any],
    *,
    n_tags: int,
    shape: tuple[int, int, int],
    members: int = 1,
    discriminant: float = 0.0,
) -> nn.Module:
    """The net `name` for pictures of `shape` (channels, bands, frames) and `n_tags` tags; or `members` of it as one.

    With `discriminant` above 0 one that has learnt nothing yet votes beside it with that share, for weights that
    are to be loaded; in training one joins the net when both are fitted.

    Raises:
        RecipeError: no such net, or an argument it does not take; the nearest right one is named.
    """
    if name not in MODELS:
        near = difflib.get_close_matches(name, MODELS, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(MODELS)}"
        raise RecipeError(f"recipe field model.name: no net is called {name!r}; {hint}")
    known = inspect.signature(MODELS[name]).parameters
    for argument in arguments:
        if argument not in known or argument in _GIVEN:
            own = [p for p in known if p not in _GIVEN]
            near = difflib.get_close_matches(argument, own, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"it takes {', '.join(own)}"
            raise RecipeError(f"recipe field model.arguments: {name} takes no {argument!r}; {hint}")
    given = {"n_tags": n_tags, "in_channels": shape[0], "picture": shape[1:]}
    try:
        given = {key: value for key, value in given.items() if key in known}
        nets = [MODELS[name](**given, **arguments) for _ in range(members)]
    except (TypeError, ValueError, RuntimeError) as error:
        raise RecipeError(
            f"recipe field model: {name} cannot be built for a picture of {shape} with {dict(arguments)}: {error}"
        ) from None
    net = nets[0] if members == 1 else Members(nets)
    return WithDiscriminant(net, Discriminant(n_tags, shape), discriminant) if discriminant else net
