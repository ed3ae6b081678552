"""The least that an ASGI framework does for a call: a route that answers with the query."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route


async def echo(request: Request) -> Response:
    return Response(request.url.query, media_type="application/json")


app = Starlette(routes=[Route("/", echo, methods=["GET", "POST"])])
