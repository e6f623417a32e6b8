"""The shop itself: an HTTP service written with asyncio, run on the loop that Loopwright's policy makes.

What it shows: a service that is told by its environment which of several instances it is, that says in one
line what is wrong when it cannot start, and that ends well when asked to: it accepts nothing more, finishes
what it is doing, and then says goodbye.
"""

from __future__ import annotations

import asyncio
import errno
import html
import json
import os
import sys
from dataclasses import asdict
from http import HTTPStatus

import shop
from access_log import AccessLog
from http11 import Request, Response, Server
from orders import Spool, TooManyOrdersError

from loopwright.policies import run

GRACE = 2.0  # seconds for requests in flight, once asked to end

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8"><meta name="viewport" content="width=device-width"><link rel="icon" href="data:,">
<title>{name}</title>
<style>
body {{ font: 1.1rem/1.5 Georgia, serif; max-width: 34rem; margin: 3rem auto; padding: 0 1rem; color: #222 }}
table {{ width: 100%; border-collapse: collapse }} td {{ padding: .5rem 0; border-bottom: 1px solid #ccc }}
td:nth-child(2) {{ text-align: right; padding-right: 1rem }} form {{ margin: 0 }}
footer {{ color: #666; font-size: .9rem }}
</style>
</head>
<body>
<h1>{name}</h1>
{thanks}<table>
{rows}
</table>
<footer><p>This page came from <b>{server}</b>, process {pid}.</p></footer>
</body>
</html>
"""
ROW = """<tr><td>{name}</td><td>{price}</td>
<td><form method="post" action="/order?item={key}"><button>Order</button></form></td></tr>"""


class Shop:
    """Answers requests."""

    def __init__(self, server: str, spool: Spool) -> None:
        self._server = server
        self._spool = spool
        self._pages = {
            "/": ("GET", self._front),
            "/products.json": ("GET", self._products),
            "/order": ("POST", self._order),
            "/healthz": ("GET", self._health),
        }

    async def answer(self, request: Request) -> Response:
        """The response to a request for any path, by any method."""
        if request.path not in self._pages:
            return Response(HTTPStatus.NOT_FOUND, "There is no such page in this shop.\n")
        method, page = self._pages[request.path]
        if request.method != method and (request.method, method) != ("HEAD", "GET"):
            allowed = "GET, HEAD" if method == "GET" else method
            return Response(HTTPStatus.METHOD_NOT_ALLOWED, f"Use {allowed} here.\n", headers={"Allow": allowed})
        return await page(request)

    async def _front(self, request: Request) -> Response:
        ordered = shop.PRODUCTS.get(request.query.get("ordered", ""))
        page = PAGE.format(
            name=html.escape(shop.name()),
            thanks=f"<p>Thank you. On its way to you: {html.escape(ordered.name)}.</p>\n" if ordered else "",
            rows="\n".join(ROW.format(**asdict(product)) for product in shop.PRODUCTS.values()),
            server=self._server,
            pid=os.getpid(),
        )
        return Response(HTTPStatus.OK, page, "text/html; charset=utf-8", {"Cache-Control": "no-store"})

    async def _products(self, _: Request) -> Response:
        products = [asdict(product) for product in shop.PRODUCTS.values()]
        return Response(
            HTTPStatus.OK,
            json.dumps({"server": self._server, "products": products}) + "\n",
            "application/json",
        )

    async def _order(self, request: Request) -> Response:
        item = request.query.get("item", "")
        if item not in shop.PRODUCTS:
            known = ", ".join(shop.PRODUCTS)
            return Response(HTTPStatus.BAD_REQUEST, f"Say /order?item= and one of: {known}.\n")
        try:
            # In a thread: a disk can take its time, and the loop has other customers.
            order = await asyncio.to_thread(self._spool.put, item)
        except TooManyOrdersError:
            return Response(HTTPStatus.SERVICE_UNAVAILABLE, "The packers are swamped.\n", headers={"Retry-After": "60"})
        if "text/html" in request.headers.get("accept", ""):
            # A person with a browser is sent back to the shop, so that reloading does not order once more.
            return Response(HTTPStatus.SEE_OTHER, "", headers={"Location": f"/?ordered={item}"})
        return Response(HTTPStatus.ACCEPTED, json.dumps({"order": order, "item": item}) + "\n", "application/json")

    async def _health(self, _: Request) -> Response:
        return Response(HTTPStatus.OK, "ok\n")


def why_not(error: OSError, port: int) -> str:
    """One line for a person: the address, the likely reason, and the mend."""
    place = f"cannot listen on {shop.HOST}:{port}"
    if error.errno == errno.EADDRINUSE:
        return (
            f"{place}: the port is taken, by another program or by an earlier run of this one; "
            f"stop that, or set STOREFRONT_PORT in storefront.env to a free port"
        )
    if error.errno == errno.EACCES:
        return f"{place}: not permitted to you; set STOREFRONT_PORT in storefront.env to 1024 or more"
    return f"{place}: {error.strerror}"


async def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    instance = shop.instance()
    port = shop.port(instance)
    folder = shop.data_folder()
    server_name = f"web.{instance}"
    stopping = asyncio.Event()
    shop.stop_on_signals(asyncio.get_running_loop(), stopping)
    with AccessLog(folder / "access.log", server_name) as log:
        server = Server(Shop(server_name, Spool(folder / "orders")).answer, log.write)
        try:
            await server.start(shop.HOST, port)
        except OSError as error:
            raise shop.SetupError(why_not(error, port)) from error
        print(f"listening on http://{shop.HOST}:{port}, data in {folder}", flush=True)
        await stopping.wait()
        cut_short = await server.stop(GRACE)
    print(f"goodbye (requests cut short: {cut_short})" if cut_short else "goodbye", flush=True)


if __name__ == "__main__":
    try:
        run(main())
    except shop.SetupError as trouble:
        sys.exit(f"web: {trouble}")
