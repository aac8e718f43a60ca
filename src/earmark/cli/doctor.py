"""`earmark doctor`: versions, device, formats, cache, speed."""

from __future__ import annotations

import typer

from earmark.cli.console import Console


def register(app: typer.Typer) -> None:
    app.command("doctor")(doctor)


def doctor(as_json: bool = typer.Option(False, "--json", help="One JSON object on stdout.")) -> None:
    """Say what is installed, which formats decode, where prepared audio lies, and how fast this machine is."""
    from earmark.data.housekeeping import size_words
    from earmark.explore.machine import check_up
    from earmark.settings import limit_native_threads, load_settings

    limit_native_threads()
    console = Console(as_json=as_json)
    found = check_up(load_settings())
    console.say("versions   " + ", ".join(f"{name} {version}" for name, version in found.versions.items()))
    if found.missing:
        console.say(f'not here   {", ".join(found.missing)}: to train, run pip install "earmark[train]"')
    bf16 = "bf16" if found.bf16 else "no bf16"
    console.say(f"processor  {found.processor}, {found.cores} cores, {found.memory_gb:.0f} GB, {bf16}")
    console.say(f"GPU        {', '.join(found.gpus) or 'none'}")
    if found.gpu_idle:
        console.say("           the GPU stands idle: this torch is built for the CPU; install one for your GPU")
    console.say("formats    " + ", ".join(name for name, trouble in found.formats.items() if not trouble))
    for name in found.broken:
        console.say(f"  {name} does not work: {found.formats[name]}")
    free = size_words(found.cache_free_bytes)
    console.say(f"cache      {found.cache_dir}, {size_words(found.cache_bytes)}, {free} free")
    if found.cache_trouble:
        console.say(f"  {found.cache_trouble}")
    console.say(f"speed      {found.speed}")
    step = 'pip install "earmark[train]"' if found.missing else "earmark inspect SOUNDS/"
    console.finish(found.to_json(), next_step=step)
