"""`ganchor explore`: a page that shows a task's history, and verifies it in the browser."""

from __future__ import annotations

import webbrowser
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from chain.connection import Connection, connect
from chain.deploy import read_deployment
from fl_node.cli import options, wiring
from fl_node.cli.audit import read_witnesses

if TYPE_CHECKING:
    from fl_node.blobs.reader import Reader
    from fl_node.explorer.serving import BundledSite, Site

EXPLORER_PORT = 8548

Port = Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 picks a free one.")]
Open = Annotated[
    bool, typer.Option("--open", help="Open the page in this machine's browser as well.")
]
Witness = Annotated[
    list[str] | None,
    typer.Option(
        "--witness",
        help="The key of a witness that you trust, NAME+ID+KEY; it stands in the page when that opens. Repeat for "
        "several.",
    ),
]


def explore(
    task: options.Task = 1,
    store: options.StoreUrl = options.DEFAULT_STORE,
    rpc_url: options.RpcUrl = options.DEFAULT_RPC_URL,
    deployment: options.DeploymentFile = options.DEFAULT_DEPLOYMENT,
    workspace: options.WorkspaceFolder = None,
    bundle: Annotated[
        Path | None,
        typer.Option(
            help="Show this file of `ganchor export`: its task, with no chain, and with no store unless it was written "
            "--without-blobs."
        ),
    ] = None,
    witness: Witness = None,
    port: Port = EXPLORER_PORT,
    open_browser: Open = False,
) -> None:
    """Serve a page that shows a task's history and verifies it in the browser: log, updates and aggregates.

    Only browsers of this machine can reach it. It changes nothing, and asks nobody but the endpoint and the store.
    """
    wiring.refuse_two_sources(bundle, workspace)
    witnesses = [str(key) for key in read_witnesses(witness or (), ()).keys]
    if bundle is not None:
        show_bundle(bundle, store, port, open_browser, witnesses)
    else:
        with wiring.evidence(workspace, rpc_url, deployment, store) as evidence:
            show(evidence, task, workspace, port, open_browser, witnesses)


def show(
    evidence: wiring.Evidence,
    task: int,
    workspace: Path | None = None,
    port: int = 0,
    open_browser: bool = False,
    witnesses: Sequence[str] = (),
) -> None:
    """Serve the page until SIGINT or SIGTERM; its URL goes to standard output.

    Args:
        workspace: Where the pictures of the rounds are, if a demo drew some.
        witnesses: The keys of those that whoever looks trusts.
    """
    # Imports the HTTP server and the store.
    from fl_node.blobs.store import store_at_hand
    from fl_node.cli.workspace import Workspace
    from fl_node.explorer.serving import Site

    deployed = read_deployment(evidence.deployment)
    wiring.connect(evidence.rpc_urls, deployed, task=task)
    pictures = Workspace(workspace).pictures() if workspace else {}
    site = Site(deployed.chain_id, deployed.address, deployed.block, task, pictures, witnesses)

    connection = connect(evidence.rpc_urls, deployed.chain_id)
    _serve(site, connection, store_at_hand(evidence.store), port, open_browser)


def show_bundle(
    file: Path,
    store: str,
    port: int = 0,
    open_browser: bool = False,
    witnesses: Sequence[str] = (),
) -> None:
    """Serve the page for a bundle until SIGINT or SIGTERM; its URL goes to standard output.

    Args:
        file: Anything that somebody else wrote. The page is this program's, not the one in the bundle.
        store: Where the blobs are, if the bundle only names them.
        witnesses: The keys of those that whoever looks trusts.
    """
    from fl_node.blobs.store import open_store
    from fl_node.bundle.reading import read_bundle
    from fl_node.explorer.serving import BundledSite

    found = read_bundle(file)
    blobs = found.blobs or open_store(store, must_exist=True)
    _serve(BundledSite(found.record, witnesses), None, blobs, port, open_browser)


def _serve(
    site: Site | BundledSite,
    connection: Connection | None,
    blobs: Reader | None,
    port: int,
    open_browser: bool,
) -> None:
    from fl_node.explorer.serving import serve

    def announce(url: str) -> None:
        Console(stderr=True).print("the page verifies by itself; Ctrl+C ends it", style="dim")
        typer.echo(url)
        if open_browser:
            webbrowser.open(url)

    serve(site, connection, blobs, port, announce)
