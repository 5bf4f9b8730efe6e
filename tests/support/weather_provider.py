"""A provider whose model answers a question about the weather with the result of a tool."""

from tests.support.agent_answers import AgentAnswer
from tests.support.agent_provider import AgentProvider

TOOL = "temperature"
CITY = "Oslo"


class WeatherProvider(AgentProvider):
    """Asks for the tool once, answers with its result, and later questions with a text."""

    def __init__(self):
        super().__init__("unused")

    def _next(self, dialect, body, size):
        number = len(self.requests)
        results = dialect.results(body)
        tool, arguments, text = "", {}, f"Answer {number}: no coat."
        if not results and TOOL in dialect.tools(body):
            tool, arguments, text = TOOL, {"city": CITY}, f"Answer {number}: I look it up."
        elif results and body["messages"][-1]["role"] == "tool":
            text = f"Answer {number}: it says {results[-1]}."
        return AgentAnswer(f"answer{number}", text, tool, arguments, 50, 0)
