"""Conversations with a router whose models have prices of cached tokens."""

from floorline import SLA, Model, Router, Zoo
from floorline.encoders.message_prefixes import message_prefixes
from floorline.events import RequestContext
from floorline.replay.environment import GivenFeatures

CACHED_ZOO = Zoo(
    [
        Model("small", input_price=1.0, output_price=4.0, cached_input_price=0.1),
        Model(
            "large",
            input_price=3.0,
            output_price=15.0,
            cached_input_price=0.3,
            cache_write_price=3.75,
        ),
        Model("plain", input_price=2.0, output_price=6.0),
    ]
)


def cached_router(policy="cheapest", zoo=CACHED_ZOO, floor=0.5, budget=None, **more):
    encoder = GivenFeatures(2, "given")
    sla = SLA("gold", floor=floor, budget=budget)
    return Router(zoo, policy, [sla], encoder=encoder, seed=1, **more)


class Talk:
    """One conversation: its messages so far, and the requests that it sends."""

    def __init__(self, router, features, *, system="", tenant="", key="", session="", seconds=0.0):
        self.router = router
        self.features = features
        self.messages = [{"role": "system", "content": system}] if system else []
        self.tenant, self.key, self.session = tenant, key, session
        self.at = seconds
        self.count = 0

    def context(self):
        hashes, head_tokens = message_prefixes(self.messages)
        return RequestContext(
            self.tenant, self.key, self.session, prefixes=hashes, head_tokens=head_tokens
        )

    def say(self, text, *, tokens=2000):
        self.messages.append({"role": "user", "content": text})
        return self.send(tokens=tokens)

    def send(self, *, tokens=2000):
        return self.router.route(
            features=self.features, input_tokens=tokens, at=self.at, context=self.context()
        )

    def answered(self, decision, *, read=None, written=None, cost=0.01, text="ok", **more):
        self.router.outcome(
            decision.id,
            cost=cost,
            input_tokens=decision.input_tokens,
            output_tokens=100,
            cached_tokens=read,
            cache_write_tokens=written,
            at=self.at,
            **more,
        )
        self.messages.append({"role": "assistant", "content": text})

    def turn(self, text="more", *, tokens=2000, after=10.0, **more):
        self.at += after
        decision = self.say(text, tokens=tokens)
        self.answered(decision, **more)
        return decision
