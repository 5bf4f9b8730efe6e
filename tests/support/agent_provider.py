"""A provider whose model lets an agent write a file, read it back and end, in three dialects.

The script is read off the conversation: without a tool's result the model asks for the tool that
writes, with one result for the tool that reads, and with two it ends with what it has read. Before
it calls a tool, it thinks. A request that offers no tools, such as that for a title, gets a text.
"""

import asyncio
import json
import shlex
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from tests.support.agent_answers import BY_PATH, AgentAnswer, written_for
from tests.support.dialect_answers import OVERLOADED

CONTENT = "Grüße aus dem Modell 🦉\n"
"""What the file is to hold."""
_CHARACTERS_PER_TOKEN = 4
_CACHED = 0.75
"""Part of the prompt that the provider has cached from the first turn on."""
_SECONDS = 20.0
"""Longest time for which an answer waits to be seen by its client."""


_WRITE = ("Write", "write", "exec_command")
"""Names of tools that write a file, or that run a command; an agent has one of them."""
_READ = ("Read", "read", "exec_command")
_PATH = ("file_path", "filePath", "filepath")
"""Names that agents give to the argument with the path."""


def _call(step, path, offered):
    """The tool to call at a step, and its arguments."""
    known = _READ if step else _WRITE
    tool = next(name for name in known if name in offered)
    shown = shlex.quote(str(path))
    if tool == "exec_command":
        write = f"printf %s {shlex.quote(CONTENT)} > {shown}"
        return tool, {"cmd": f"cat {shown}" if step else write}
    name = next(name for name in _PATH if name in offered[tool])
    return tool, {name: str(path)} | ({} if step else {"content": CONTENT})


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
    failing
        Numbers of results at which the next request is refused once, as if the provider were busy.
    thoughts
        What proved the reasoning of earlier turns in the last request.
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
        self.failing = set()
        self.thoughts = []
        self.seen = None
        self.unseen = []
        routes = [Route(path, self._answer, methods=["POST"]) for path in BY_PATH]
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
        dialect = BY_PATH[request.url.path]
        self.thoughts = dialect.thoughts(body)
        step = len(dialect.results(body))
        if dialect.tools(body) and step in self.failing:
            self.failing.discard(step)
            return JSONResponse(dialect.error("overloaded_error", OVERLOADED), status_code=529)
        answer = self._next(dialect, body, len(data))
        self.answers.append(answer)
        if body.get("stream"):
            return StreamingResponse(self._stream(dialect, answer), media_type="text/event-stream")
        return JSONResponse(written_for(dialect, answer).whole(*answer.said(), answer.id))

    def _next(self, dialect, body, size):
        number = len(self.requests)
        results = dialect.results(body)
        prompt = size // _CHARACTERS_PER_TOKEN
        cached = int(_CACHED * prompt) if results else 0
        offered = dialect.tools(body)
        tool, arguments, text = "", {}, f"Title {number}."
        if offered and len(results) < 2:
            tool, arguments = _call(len(results), self.path, offered)
            text = f"Step {number}: {tool}."
        elif offered:
            text = f"Step {number}: the file says {results[-1]}"
        return AgentAnswer(f"answer{number}", text, tool, arguments, prompt, cached)

    async def _stream(self, dialect, answer):
        """Stream an answer, whose end waits until the agent has seen its text."""
        # "Step 3:" is in no other answer.
        marker = " ".join(answer.text.split(" ")[:2])
        waits = self.seen is not None
        for event in written_for(dialect, answer).events(*answer.said(), answer.id):
            yield event
            if waits and marker.encode() in event:
                waits = False
                if not await self.seen(marker, _SECONDS):
                    self.unseen.append(answer.text)
            await asyncio.sleep(0.002)
