import gzip
import http.server
import socket
import subprocess
import sys
import threading
from urllib.parse import urlsplit

import msgspec
import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span as OtlpSpan
from opentelemetry.proto.trace.v1.trace_pb2 import Status as OtlpStatus
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased
from opentelemetry.trace import SpanKind, StatusCode
from tests.support.live_gateway import ZOO, wait_until, write_settings

from floorline import SLA, Model, Router, Zoo
from floorline.config import TelemetrySettings
from floorline.gateway.observability.gen_ai_metrics import GenAiMetrics, meters
from floorline.gateway.observability.otel import Tracing
from floorline.gateway.observability.spans import NoTelemetry, make_telemetry
from floorline.gateway.upstreams import UpstreamSettings

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"
QUESTION = {"model": "floorline/gold", "messages": [{"role": "user", "content": ZOO.prompts[0]}]}
UPSTREAM = UpstreamSettings(model="llama3.2:3b", endpoint="http://127.0.0.1:11434/v1")


@pytest.fixture
def decision():
    zoo = Zoo([Model("small", output_price=0.4), Model("large", output_price=12.0)])
    return Router(zoo, "sla_router", [SLA("gold", floor=0.9)], seed=1).route("Hello", "gold")


@pytest.fixture
def exporter():
    return InMemorySpanExporter()


@pytest.fixture
def tracing(exporter):
    """Build a tracing whose spans land in ``exporter``."""

    def build(*, capture_content=False, sampler=None):
        provider = TracerProvider(sampler=sampler, shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        return Tracing(provider, capture_content=capture_content)

    return build


def test_a_call_is_a_span_by_the_conventions(tracing, exporter, decision):
    call = tracing().call(decision, UPSTREAM, {}, stream=True, content=b'{"messages": []}')
    call.answered(
        status=200,
        completion="chatcmpl-1",
        model="llama3.2:3b-q4",
        input_tokens=12,
        output_tokens=34,
        finish_reasons=["stop"],
        cached_tokens=8,
        cache_write_tokens=0,
        reasoning_tokens=20,
        cost=0.002,
        content=b"{}",
    )
    call.end()
    (span,) = exporter.get_finished_spans()
    assert (span.name, span.kind) == ("chat llama3.2:3b", SpanKind.CLIENT)
    assert span.status.status_code is StatusCode.UNSET
    assert dict(span.attributes) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai_compatible",
        "gen_ai.system": "openai_compatible",
        "gen_ai.request.model": "llama3.2:3b",
        "gen_ai.request.stream": True,
        "gen_ai.response.id": "chatcmpl-1",
        "gen_ai.response.model": "llama3.2:3b-q4",
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.input_tokens": 12,
        "gen_ai.usage.output_tokens": 34,
        "gen_ai.usage.cache_read.input_tokens": 8,
        "gen_ai.usage.reasoning.output_tokens": 20,
        "http.response.status_code": 200,
        "server.address": "127.0.0.1",
        "server.port": 11434,
        "floorline.decision.id": decision.id,
        "floorline.model": decision.model,
        "floorline.sla": "gold",
        "floorline.policy": "sla_router",
        "floorline.explored": decision.explored,
        "floorline.floor": 0.9,
        "floorline.expected_quality": decision.expected_quality,
        "floorline.expected_cost": decision.expected_cost,
        "floorline.propensity": decision.propensity,
        "floorline.cost": 0.002,
    }


def test_the_clients_trace_continues_at_the_provider(tracing, exporter, decision):
    incoming = {"traceparent": TRACEPARENT, "tracestate": "vendor=1"}
    call = tracing().call(decision, UPSTREAM, incoming)
    call.end()
    (span,) = exporter.get_finished_spans()
    assert f"{span.context.trace_id:032x}" == TRACE
    assert f"{span.parent.span_id:016x}" == PARENT
    assert call.headers == {
        "traceparent": f"00-{TRACE}-{span.context.span_id:016x}-01",
        "tracestate": "vendor=1",
    }


def test_a_malformed_trace_begins_a_new_one(tracing, exporter, decision):
    call = tracing().call(decision, UPSTREAM, {"traceparent": "nonsense"})
    call.end()
    (span,) = exporter.get_finished_spans()
    assert span.parent is None
    assert call.headers["traceparent"].startswith("00-")


def test_a_trace_that_is_not_sampled_costs_no_span(tracing, exporter, decision):
    call = tracing(sampler=ParentBased(ALWAYS_OFF)).call(decision, UPSTREAM, {})
    call.answered(status=200)
    call.end()
    assert exporter.get_finished_spans() == ()
    assert int(call.headers["traceparent"][-2:], 16) & 1 == 0


@pytest.mark.parametrize(("status", "error"), [(429, None), (None, "timeout")])
def test_a_failed_call_has_an_error_type(tracing, exporter, decision, status, error):
    call = tracing().call(decision, UPSTREAM, {})
    if status is not None:
        call.answered(status=status)
    call.end(error, "no answer within 5 s")
    (span,) = exporter.get_finished_spans()
    assert span.attributes["error.type"] == (error or str(status))
    assert span.status.status_code is StatusCode.ERROR


@pytest.mark.parametrize("capture", [False, True])
def test_texts_are_put_into_spans_only_if_configured(tracing, exporter, decision, capture):
    call = tracing(capture_content=capture).call(decision, UPSTREAM, {}, content=b"the question")
    call.answered(status=200, content=b"the answer" + b"." * 100_000)
    call.end()
    (span,) = exporter.get_finished_spans()
    found = [span.attributes.get(f"gen_ai.{way}.messages") for way in ("input", "output")]
    if capture:
        assert found[0] == "the question"
        assert found[1].startswith("the answer")
        assert len(found[1]) == 64 * 1024
    else:
        assert found == [None, None]
        assert "the question" not in str(dict(span.attributes))


def test_a_text_of_any_bytes_can_be_put_into_a_span(tracing, exporter, decision):
    call = tracing(capture_content=True).call(decision, UPSTREAM, {}, content=b'"a\xff\\ud800"')
    call.answered(status=200, content=b"\xed\xa0\x80")
    call.end()
    (span,) = exporter.get_finished_spans()
    assert span.attributes["gen_ai.input.messages"] == '"a\ufffd\\ud800"'
    assert span.attributes["gen_ai.output.messages"] == "\ufffd" * 3


_MESSAGES = {
    "/v1/traces": ExportTraceServiceRequest,
    "/v1/metrics": ExportMetricsServiceRequest,
}


class Receiver:
    """An OTLP/HTTP receiver on loopback."""

    def __init__(self):
        received = self.received = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                received.append((self.path, _MESSAGES[self.path].FromString(body)))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *about):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def close(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def receiver():
    receiver = Receiver()
    yield receiver
    receiver.close()


def test_spans_reach_a_receiver(receiver, decision):
    settings = TelemetrySettings(otlp_endpoint=receiver.url, service_name="my-gateway")
    telemetry = make_telemetry(settings)
    telemetry.call(decision, UPSTREAM, {"traceparent": TRACEPARENT}).end()
    telemetry.close()
    ((path, request),) = receiver.received
    assert path == "/v1/traces"
    (resource,) = request.resource_spans
    about = {a.key: a.value.string_value for a in resource.resource.attributes}
    assert about["service.name"] == "my-gateway"
    (span,) = resource.scope_spans[0].spans
    assert span.name == "chat llama3.2:3b"
    assert span.trace_id.hex() == TRACE


def test_without_an_endpoint_nothing_is_traced_and_contexts_go_on(decision):
    telemetry = make_telemetry(TelemetrySettings())
    assert isinstance(telemetry, NoTelemetry)
    call = telemetry.call(decision, UPSTREAM, {"traceparent": TRACEPARENT, "accept": "*/*"})
    call.answered(status=200)
    call.end()
    assert call.headers == {"traceparent": TRACEPARENT}
    assert telemetry.call(decision, UPSTREAM, {}).headers == {}
    telemetry.close()


def test_without_an_endpoint_opentelemetry_is_not_imported():
    code = (
        "import sys; from floorline.config import TelemetrySettings; "
        "from floorline.gateway.observability.spans import make_telemetry; "
        "make_telemetry(TelemetrySettings()); "
        "sys.exit(any(name.startswith('opentelemetry') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def spans_of(receiver):
    """Spans that a receiver got, by their names, and each one's attributes by theirs."""
    spans = [
        span
        for path, request in receiver.received
        if path == "/v1/traces"
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]
    return [(span, {one.key: one.value for one in span.attributes}) for span in spans]


def test_calls_through_the_gateway_are_traced(receiver, start, provider):
    gateway = start(write_settings(provider, telemetry={"otlp_endpoint": receiver.url}))
    answer = gateway.chat(headers={"traceparent": TRACEPARENT})
    gateway.stop()
    (call, about), (request, asked) = spans_of(receiver)
    assert request.trace_id.hex() == call.trace_id.hex() == TRACE
    assert request.parent_span_id.hex() == PARENT
    assert call.parent_span_id == request.span_id
    assert (request.name, request.kind) == ("POST /v1/chat/completions", OtlpSpan.SPAN_KIND_SERVER)
    assert asked["http.response.status_code"].int_value == 200
    assert asked["floorline.asked"].string_value == "floorline/gold"
    assert asked["floorline.attempts"].int_value == 1
    assert about["gen_ai.response.id"].string_value == answer.json()["id"]
    assert about["floorline.decision.id"].string_value == answer.headers["x-floorline-decision"]
    assert about["gen_ai.usage.output_tokens"].int_value > 0


def test_attempts_are_children_of_their_request(receiver, start, provider):
    settings = msgspec.json.decode(
        write_settings(provider, telemetry={"otlp_endpoint": receiver.url})
    )
    closed = "http://127.0.0.1:9/v1"
    # Both models that the policy prefers cannot be connected to.
    for model in settings["models"][:2]:
        model["endpoint"] = closed
    settings["slas"] = [{"name": "gold", "floor": 0.01}]
    gateway = start(msgspec.json.encode(settings).decode())
    answer = gateway.chat()
    gateway.stop()
    assert answer.status_code == 200
    *calls, (request, asked) = spans_of(receiver)
    assert len(calls) >= 2
    assert {call.parent_span_id for call, _ in calls} == {request.span_id}
    assert {call.trace_id for call, _ in calls} == {request.trace_id}
    assert not request.parent_span_id
    first, second = calls[0][1], calls[1][1]
    assert "error.type" in first
    after = second["floorline.decision.after"].string_value
    assert after == first["floorline.decision.id"].string_value
    assert asked["http.response.status_code"].int_value == 200
    assert "error.type" not in asked


def test_a_refused_request_is_a_span_without_calls(receiver, start, provider):
    gateway = start(write_settings(provider, telemetry={"otlp_endpoint": receiver.url}))
    assert gateway.chat(model="floorline/missing").status_code == 404
    gateway.stop()
    ((span, about),) = spans_of(receiver)
    assert about["http.response.status_code"].int_value == 404
    assert about["error.type"].string_value
    # A client's error is none of the server.
    assert span.status.code == OtlpStatus.STATUS_CODE_UNSET


def test_a_client_that_leaves_before_an_answer_is_an_error_of_its_span(receiver, start):
    with socket.socket() as silent:
        # It takes connections and never answers.
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        gateway = start(write_settings(endpoint, telemetry={"otlp_endpoint": receiver.url}))
        admission = gateway.gateway.admission
        body = msgspec.json.encode(QUESTION)
        head = (
            "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\n"
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        with socket.create_connection(("127.0.0.1", urlsplit(gateway.url).port)) as client:
            client.sendall(head.encode() + body)
            wait_until(lambda: admission.in_flight == 1)
        wait_until(lambda: admission.in_flight == 0)
        gateway.stop()
    *_, (_, asked) = spans_of(receiver)
    assert asked["error.type"].string_value == "disconnected"
    assert "http.response.status_code" not in asked


@pytest.fixture
def reader():
    return InMemoryMetricReader()


def points(reader):
    """Points of the metrics in a reader, by the name of the metric."""
    found = {}
    for resource in reader.get_metrics_data().resource_metrics:
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                found[metric.name] = metric.unit, list(metric.data.data_points)
    return found


def test_calls_are_counted_whether_or_not_they_are_sampled(reader, decision):
    provider = TracerProvider(sampler=ParentBased(ALWAYS_OFF), shutdown_on_exit=False)
    tracing = Tracing(provider, metrics=GenAiMetrics(meters(reader, {"service.name": "x"})))
    call = tracing.call(decision, UPSTREAM, {})
    call.answered(status=200, input_tokens=12, output_tokens=34)
    call.end()
    failed = tracing.call(decision, UPSTREAM, {})
    failed.end("timeout", "no answer within 5 s")
    found = points(reader)
    labels = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai_compatible",
        "gen_ai.request.model": "llama3.2:3b",
        "server.address": "127.0.0.1",
        "server.port": 11434,
    }
    unit, durations = found["gen_ai.client.operation.duration"]
    assert unit == "s"
    assert [dict(point.attributes) for point in durations] == [
        labels,
        {**labels, "error.type": "timeout"},
    ]
    assert [point.count for point in durations] == [1, 1]
    assert durations[0].explicit_bounds[:2] == (0.01, 0.02)
    unit, tokens = found["gen_ai.client.token.usage"]
    assert unit == "{token}"
    assert {point.attributes["gen_ai.token.type"]: point.sum for point in tokens} == {
        "input": 12,
        "output": 34,
    }
    tracing.close()


def test_metrics_reach_a_receiver_only_if_configured(receiver, decision):
    for metrics in (False, True):
        settings = TelemetrySettings(otlp_endpoint=receiver.url, metrics=metrics)
        telemetry = make_telemetry(settings)
        telemetry.call(decision, UPSTREAM, {}).end()
        telemetry.close()
    assert [path for path, _ in receiver.received] == ["/v1/traces", "/v1/traces", "/v1/metrics"]
    (resource,) = receiver.received[-1][1].resource_metrics
    assert [metric.name for metric in resource.scope_metrics[0].metrics] == [
        "gen_ai.client.operation.duration"
    ]
