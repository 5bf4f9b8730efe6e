"""A provider whose model lets an agent write a file, read it back and end, in three dialects.

The script is read off the conversation: without a tool's result the model asks for the tool that
writes, with one result for the tool that reads, and with two it ends with what it has read. A
request that offers no tools, such as that for a title, gets a text.
"""

import asyncio
import json
import shlex
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from tests.support.agent_answers import DIALECTS, AgentAnswer, Tokens

CONTENT = "Grüße aus dem Modell 🦉\n"
"""What the file is to hold."""
_CHARACTERS_PER_TOKEN = 4
_SECONDS = 20.0
"""Longest time for which an answer waits to be seen by its client."""


def _write(path):
    """Arguments of the tools that write a file, by their names, the best first."""
    command = f"printf %s {shlex.quote(CONTENT)} > {shlex.quote(str(path))}"
    return {
        "Write": {"file_path": str(path), "content": CONTENT},
        "write": {"filePath": str(path), "content": CONTENT},
        "exec_command": {"cmd": command},
    }


def _read(path):
    """Arguments of the tools that read a file."""
    return {
        "Read": {"file_path": str(path)},
        "read": {"filePath": str(path)},
        "exec_command": {"cmd": f"cat {shlex.quote(str(path))}"},
    }


class AgentProvider:
    """Serves the script.

    Parameters
    ----------
    path
        The file that the agent is to write.

    Attributes
    ----------
    requests
        What arrived: method, path, headers and body.
    answers
        The answers that were given.
    seen
        Waits until a text has reached the agent, and returns whether it has; None to wait for
        nothing.
    unseen
        Texts of answers that had not reached the agent while the answer was still going on.
    """

    def __init__(self, path):
        self.path = Path(path)
        self.requests = []
        self.answers = []
        self.seen = None
        self.unseen = []
        routes = [Route(path, self._answer, methods=["POST"]) for path in DIALECTS]
        rest = Route("/{path:path}", self._other, methods=["GET", "HEAD", "POST"])
        self.app = Starlette(routes=[*routes, rest])

    def _note(self, request, body):
        about = {"method": request.method, "path": request.url.path, "query": request.url.query}
        self.requests.append(about | {"headers": dict(request.headers), "body": body})

    async def _other(self, request: Request) -> Response:
        self._note(request, await request.body())
        return JSONResponse({"error": {"message": "no such path"}}, status_code=404)

    async def _answer(self, request: Request) -> Response:
        data = await request.body()
        body = json.loads(data)
        self._note(request, body)
        dialect = DIALECTS[request.url.path]
        answer = self._next(dialect, body, len(data))
        self.answers.append(answer)
        if body.get("stream"):
            return StreamingResponse(self._stream(dialect, answer), media_type="text/event-stream")
        return JSONResponse(dialect.whole(answer))

    def _next(self, dialect, body, size):
        number = len(self.requests)
        results = dialect.results(body)
        tokens = Tokens(size // _CHARACTERS_PER_TOKEN, 2048 if results else 0, 40)
        offered = dialect.tools(body)
        calls = {0: _write, 1: _read}.get(len(results))
        tool, arguments, text = "", {}, f"Title {number}."
        if offered and calls is not None:
            known = calls(self.path)
            tool = next(name for name in known if name in offered)
            arguments, text = known[tool], f"Step {number}: {tool}."
        elif offered:
            text = f"Step {number}: the file says {results[-1]}"
        return AgentAnswer(f"answer{number}", body["model"], text, tool, arguments, tokens)

    async def _stream(self, dialect, answer):
        """Stream an answer, whose end waits until the agent has seen its text."""
        marker = answer.text[:6]
        waited = False
        for event in dialect.events(answer):
            yield event
            if not waited and marker.encode() in event:
                waited = True
                if self.seen is not None and not await self.seen(marker, _SECONDS):
                    self.unseen.append(answer.text)
            await asyncio.sleep(0.002)
