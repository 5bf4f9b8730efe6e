"""The least that a gateway in Python can do: uvicorn passes every POST on with aiohttp's client.

``python benchmarks/gateway_proxy.py PORT UPSTREAM`` serves on loopback until it is stopped.
"""

import sys

import aiohttp
import uvicorn

_ANSWER_HEADERS = [(b"content-type", b"application/json")]


class Proxy:
    """ASGI application that sends bodies to one URL, and answers what comes back."""

    def __init__(self, url):
        self.url = url
        self.session = None

    async def __call__(self, scope, receive, send):
        """Pass one request on."""
        if self.session is None:
            self.session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        headers = {"content-type": "application/json"}
        async with self.session.post(self.url, data=body, headers=headers) as answer:
            data = await answer.read()
        length = (b"content-length", b"%d" % len(data))
        start = {"type": "http.response.start", "status": answer.status}
        await send({**start, "headers": [*_ANSWER_HEADERS, length]})
        await send({"type": "http.response.body", "body": data})


if __name__ == "__main__":
    port, upstream = int(sys.argv[1]), sys.argv[2]
    app = Proxy(f"{upstream}/v1/chat/completions")
    uvicorn.run(app, port=port, lifespan="off", access_log=False, log_level="error")
