"""Speaks to an MCP server with the protocol's own Python library, as a program that uses it would.

usage: client.py URL HEADER MODE < steps > results

HEADER is the one that shows who calls, "name: value". MODE is the library's: auto, as it is by default, or legacy. The steps
are a JSON array of ["tools"], ["ping"] or ["call", tool, arguments], taken one after the other in one connection; the results
are a JSON array of what the library gave, with what was agreed on first.
"""

import json
import sys

import anyio
import httpx2
import mcp.client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError


async def take(client, step):
    try:
        if step[0] == "tools":
            return (await client.list_tools()).model_dump(mode="json", by_alias=True)
        if step[0] == "ping":
            return (await client.send_ping()).model_dump(mode="json", by_alias=True)
        return (await client.call_tool(step[1], step[2])).model_dump(mode="json", by_alias=True)
    except MCPError as error:
        return {"error": {"code": error.error.code, "message": error.error.message}}


async def main(url, header, mode):
    name, value = header.split(": ", 1)
    steps = json.load(sys.stdin)
    async with httpx2.AsyncClient(headers={name: value}, timeout=300, trust_env=False) as http:
        async with mcp.client.Client(streamable_http_client(url, http_client=http), mode=mode) as client:
            results = [{"protocolVersion": client.protocol_version, "server": client.server_info.name}]
            for step in steps:
                results.append(await take(client, step))
    json.dump(results, sys.stdout)


anyio.run(main, *sys.argv[1:])
