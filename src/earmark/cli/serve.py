"""`earmark serve`: the labelling app of a workspace, in the browser."""

from __future__ import annotations

import typer

from earmark.cli.catalog.opening import Database, In, opened
from earmark.cli.console import Console, need_extra


def register(app: typer.Typer) -> None:
    app.command("serve")(serve)


def serve(
    workspace: In = None,
    database: Database = None,
    host: str = typer.Option("127.0.0.1", "--host", help="Where to listen; 0.0.0.0 is for everybody on the network."),
    port: int = typer.Option(8000, "--port", min=0, max=65535, help="0 takes any that is free."),
    anyone: bool = typer.Option(False, "--anyone", help="Anyone may help with every task, without an invite."),
    guests: int = typer.Option(
        30, "--guests-an-hour", min=1, help="New guests from one address: a class or an office may have one for all."
    ),
    behind_proxy: bool = typer.Option(
        False, "--behind-proxy", help="A proxy on this machine brings the visitors: believe what it says of them."
    ),
    recipe: str = typer.Option("small-cnn", "--recipe", help="Whose front end draws the spectrograms."),
    open_page: bool = typer.Option(False, "--open", help="Open the page in a browser."),
) -> None:
    """Serve the pages on which people label, and the JSON API, until Ctrl-C."""
    console = Console()
    with need_extra("web"):
        from earmark.web.app import create_app
        from earmark.web.listening import listen, run
        from earmark.web.settings import LOOPBACK, WebSettings
    from earmark.recipes import load_recipe

    front_end = load_recipe(recipe).front_end
    with opened(workspace, database) as (found, catalog):
        from earmark.catalog.people import admin_link
        from earmark.catalog.tasks import list_tasks

        local = host in ("127.0.0.1", "localhost", "::1")
        hosts = LOOPBACK if local and not behind_proxy else None
        settings = WebSettings(front_end=front_end, anyone=anyone, hosts=hosts, guests_an_hour=guests)
        app = create_app(catalog, found, settings)
        with listen(host, port) as socket:
            shown = "127.0.0.1" if host in ("0.0.0.0", "::") else host  # noqa: S104 - compared, not bound
            address = f"http://{f'[{shown}]' if ':' in shown else shown}:{socket.getsockname()[1]}"
            console.say(f"serving {found.root} at {address}  (Ctrl-C stops)")
            secret = admin_link(catalog)
            if secret is not None:
                console.say(f"first admin, good once and for a day: {address}/invite/{secret}")
            _say_who_may(console, [(task.name, task.open or anyone) for task in list_tasks(catalog)])
            if not local:
                console.say("others on the network can reach this; put a proxy with https before it for the internet.")
            if open_page:
                import webbrowser

                webbrowser.open(address)
            run(app, socket, behind_proxy=behind_proxy)
    console.say("stopped; everything that was acknowledged is kept.")


def _say_who_may(console: Console, tasks: list[tuple[str, bool]]) -> None:
    """Whom the address is of use to. Tasks are (name, anyone may help)."""
    open_, closed = ([name for name, anyone in tasks if anyone is wanted] for wanted in (True, False))
    if open_:
        console.say(f"anyone with the address can help with {', '.join(open_)}")
    if closed:
        console.say(
            f"only who has an invite can help with {', '.join(closed)}: earmark catalog people invite makes one,"
        )
        console.say("  earmark serve --anyone opens every task, and an admin one of them in the browser")
    if not tasks:
        console.say(
            "no task yet: earmark catalog task new NAME --tags A,B --anyone makes one that anyone can help with"
        )
