"""`floorline mcp` through the official client, over the command's input and output."""

import asyncio
import os
import sys

import pytest
from mcp import Client, StdioServerParameters
from tests.support.gateway_fixtures import (
    administered,
    gateway,
    provider,
    start,
    start_administered,
)

from floorline.cli.mcp_tools import MAX_ROWS, bounded

__all__ = ["administered", "gateway", "provider", "start", "start_administered"]


def talk(scene, *arguments, key=None):
    """Run the command, and a scene with a client of it."""
    # Nothing of the environment is passed on otherwise, such as the path of this checkout.
    environment = {**os.environ, "FLOORLINE_API_KEY": key or ""}
    server = StdioServerParameters(
        command=sys.executable, args=["-m", "floorline", "mcp", *arguments], env=environment
    )

    async def run():
        # The handshake that starts otherwise gives the command 10 s to start.
        async with Client(server, read_timeout_seconds=300, mode="legacy") as client:
            return await scene(client)

    return asyncio.run(run())


def result(answer):
    assert not answer.is_error, answer.content
    return answer.structured_content


def problem(answer):
    assert answer.is_error
    (part,) = answer.content
    return part.text


def test_status_explanation_and_judges_of_a_running_gateway(administered):
    response = administered.chat()
    decision = response.headers["x-floorline-decision"]
    administered.http.post("/v1/feedback", json={"id": decision, "satisfied": True})
    administered.call(administered.gateway.store.flush)

    async def scene(client):
        tools = (await client.list_tools()).tools
        assert {tool.name for tool in tools} == {"status", "explain", "judges"}
        assert all(tool.annotations.read_only_hint for tool in tools)
        assert all(tool.description for tool in tools)
        asked = [
            ("status", {}),
            ("status", {"sla": "gold"}),
            ("explain", {"decision": decision}),
            ("judges", {}),
            ("status", {"sla": "bronze"}),
            ("explain", {"decision": "../slas"}),
            ("explain", {"decision": "x" * 300}),
        ]
        return [await client.call_tool(*one) for one in asked]

    secret = administered.http.headers["authorization"].removeprefix("Bearer ")
    answers = talk(scene, "--url", administered.url, key=secret)
    every, gold, explained, judges = map(result, answers[:4])
    assert {one["name"] for one in every["data"]} == {"gold", "silver"}
    assert gold["satisfaction"] == 1.0
    assert gold["verdict"] == "unknown"
    assert gold["lower"] <= gold["satisfaction"] <= gold["upper"]
    assert gold["spent"] == pytest.approx(float(response.headers["x-floorline-cost"]))
    assert explained["id"] == decision
    assert [step["kind"] for step in explained["timeline"]] == ["decision", "outcome", "feedback"]
    assert judges == administered.http.get("/v1/judges").json()
    unknown, escaped, long = map(problem, answers[4:])
    assert "there is no SLA 'bronze': see /v1/slas" in unknown
    assert "/v1/decisions/..%2Fslas" in escaped
    assert "at most 200 characters" in long


def test_a_key_that_is_missing_is_an_error_of_the_tool(administered):
    async def scene(client):
        return problem(await client.call_tool("status", {}))

    assert "takes no request without a key" in talk(scene, "--url", administered.url)


def test_what_if_reads_a_log_and_a_gateway_may_be_away(gateway, tmp_path):
    for number in range(30):
        id = gateway.chat(f"question {number}").headers["x-floorline-decision"]
        gateway.http.post("/v1/feedback", json={"id": id, "satisfied": number % 3 > 0})
    gateway.call(gateway.gateway.store.flush)

    async def scene(client):
        return (
            result(await client.call_tool("what_if", {"policy": "always:sim-titan"})),
            problem(await client.call_tool("what_if", {"policy": "os:system"})),
            problem(await client.call_tool("status", {})),
        )

    log = f"sqlite:///{tmp_path / 'log.db'}"
    found, refused, away = talk(scene, "--url", "http://127.0.0.1:9", "--log", log)
    assert found["events"] >= 90
    # So few labels give bounds only.
    assert found["result"]["requests"] == 30
    assert "labels" in found["problem"] or "support" in found["problem"]
    assert "os:system" in refused
    assert "no gateway answers at http://127.0.0.1:9" in away


def test_long_lists_are_cut_and_say_so():
    found = bounded({"data": [{"rows": list(range(MAX_ROWS + 5))}], "name": "x"})
    assert found == {
        "data": [{"rows": list(range(MAX_ROWS)), "rows_left_out": 5}],
        "name": "x",
    }
