"""All of ``floorline.yaml``, validated."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from floorline.config.aliases import Aliases, check_aliases
from floorline.config.auto_prices import UnknownPrice
from floorline.config.bridges import BridgeSettings
from floorline.config.document import quoted
from floorline.config.explain import check_exposure
from floorline.config.judging import (
    RULES_JUDGE,
    JudgeSettings,
    JudgingSettings,
    RuleSettings,
    ShadowSettings,
)
from floorline.config.models import PRICE_FIX, HintSettings, ModelDefaults, ModelSettings
from floorline.config.runtime_models import RuntimeModelSettings
from floorline.config.sections import (
    DashboardSettings,
    EncoderName,
    FeedbackSettings,
    PolicySettings,
    ReplicaSettings,
    SlaSettings,
    StoreSettings,
    TelemetrySettings,
    history_file,
    relative_to_file,
)
from floorline.config.server import ServerSettings
from floorline.config.types import Count, Fix, Section, Text, Whole, field, rule_error
from floorline.errors import listed
from floorline.sla import SLA
from floorline.zoo import Zoo


class Settings(Section):
    """Settings of a Floorline server. Required are only models and slas."""

    model_config = ConfigDict(defer_build=False, title="floorline.yaml")

    models: Annotated[list[ModelSettings], Fix("give a list of models: '- name: …'")] = Field(
        min_length=1, description="Models that can serve."
    )
    slas: Annotated[list[SlaSettings], Fix("give a list of SLAs: '- name: …'")] = Field(
        min_length=1, description="SLAs that requests can ask for; the first is the default."
    )
    aliases: Aliases = Field(
        {},
        description="Names that clients have built in, and the floorline/SLA, floorline/auto or "
        "model that each stands for, such as {claude-*: floorline/gold}; * stands for any text, "
        "and the first one that fits counts. A model of that very name comes first.",
    )
    defaults: ModelDefaults = field({}, "Fields for all models that do not set them themselves.")
    hints: Annotated[
        dict[str, HintSettings],
        Fix("give hints by the names of models, such as {small: 0.62, new: {like: large}}"),
    ] = Field(
        {},
        description="What is known of models beforehand, by name: 'floorline hints' prints this "
        "section. The policy primal_dual starts from it and learns it away.",
    )
    policy: PolicySettings = field(
        {}, "Policy that decides which model serves: a name, or name and options."
    )
    encoder: Annotated[EncoderName, AfterValidator(relative_to_file)] = Field(
        "hashed",
        description="Encoder that turns prompts into features: hashed, hashed:sparse, lsa:PATH, "
        "minilm or minilm:PATH.",
    )
    seed: Annotated[Whole, Field(ge=0), Fix("give a whole number of 0 or more")] = Field(
        0, description="Seed of all random choices."
    )
    memory: Count = Field(
        5_000,
        description="Number of latest decisions kept in memory for outcomes and feedback; older "
        "ones are looked up in the store.",
    )
    history: Annotated[
        Text | None,
        AfterValidator(history_file),
        Fix("give the path of a routing table, relative to this file, or log"),
    ] = Field(
        None,
        description="Labelled requests that the policy learns at the start, once: a file that "
        "'floorline datasets describe' can read, or log for the labels in the server's own log.",
    )
    cost_unit: Literal["USD", "J"] = Field(
        "USD", description="Unit of all prices and budgets: US dollars or joules."
    )
    store: StoreSettings = field({}, "Where the event log is kept, and for how long.")
    auth: Literal["keys", "none"] = Field(
        "keys",
        description="keys: clients need a key of 'floorline keys create'. none: every client is "
        "accepted, and only a loopback address can be listened on.",
    )
    completion_ids: Literal["provider", "own"] = Field(
        "provider",
        description="Id in answers. provider: the provider's, which some providers repeat. own: "
        "the id of the decision takes its place in answers and in every chunk of a stream.",
    )
    server: ServerSettings = field({}, "The HTTP server.")
    runtime_models: RuntimeModelSettings = field(
        {}, "What models that are added over HTTP (POST /v1/zoo/models) may use."
    )
    feedback: FeedbackSettings = field({}, "Feedback from users.")
    bridges: list[BridgeSettings] = Field(
        [], description="Programs that send feedback with a signature (docs/bridges.md)."
    )
    judges: list[JudgeSettings] = Field(
        [], description="Models that judge a share of the responses (docs/judges.md)."
    )
    rules: list[RuleSettings] = Field(
        [], description="Tests of responses that need no model; together they are a judge."
    )
    shadow: ShadowSettings | None = Field(
        None, description="Calls of other models, whose responses only judges see."
    )
    judging: JudgingSettings = field({}, "Responses that wait for judges.")
    replicas: ReplicaSettings = field({}, "Several processes that keep one promise.")
    dashboard: DashboardSettings = field({}, "Pages that show what the gateway does.")
    telemetry: TelemetrySettings = field({}, "OpenTelemetry traces (extra otel).")

    @model_validator(mode="after")
    def _complete_models(self) -> Settings:
        self.models[:] = [
            self._priced(model.completed(self.defaults), number).hinted(self.hints.get(model.name))
            for number, model in enumerate(self.models)
        ]
        self._check_budgets()
        self._check_judges()
        self._check_bridges()
        check_aliases(
            self.aliases, [model.name for model in self.models], [sla.name for sla in self.slas]
        )
        return self

    def _priced(self, model: ModelSettings, number: int) -> ModelSettings:
        if model.price not in (None, "free") and self.cost_unit != "USD":
            fix = "give prices in joules, or cost_unit: USD"
            wrong = f"is {quoted(model.price)}, which is in USD, but cost_unit is J"
            raise rule_error(wrong, fix, "models", number, "price")
        try:
            return model.priced()
        except UnknownPrice as error:
            wrong = f"is {quoted(model.price)}, but {error}"
            raise rule_error(wrong, PRICE_FIX, "models", number, "price") from None

    def _check_budgets(self) -> None:
        """Refuse budgets for models without prices: they would never be spent."""
        for number, model in enumerate(self.models):
            if model.price_source:
                continue
            for sla in self.slas:
                if sla.budget is not None and (sla.models is None or model.name in sla.models):
                    wrong = f"has no price, but SLA {quoted(sla.name)} has a budget"
                    raise rule_error(wrong, PRICE_FIX, "models", number)

    def _check_judges(self) -> None:
        """Refuse judges of one name, and those whose models do not exist or cost an unknown sum."""
        models = {model.name: model for model in self.models}
        names = [judge.name for judge in self.judges]
        fix = f"name one of: {', '.join(models)}"
        for number, judge in enumerate(self.judges):
            if judge.name in names[:number] or judge.name == RULES_JUDGE:
                raise rule_error("is used twice", "give each a name", "judges", number, "name")
            for part, name in (("model", judge.model), ("against", judge.against)):
                if name is None:
                    continue
                if name not in models:
                    raise rule_error(f"is {quoted(name)}", fix, "judges", number, part)
                if not models[name].price_source:
                    wrong = f"is {quoted(name)}, which has no price, and the judge has a budget"
                    raise rule_error(wrong, PRICE_FIX, "judges", number, part)
            self._check_left_out(judge, number)
        for number, rule in enumerate(self.rules):
            if rule.kind in ("schema", "tool_call") and find_spec("jsonschema") is None:
                wrong = f"is {quoted(rule.kind)}, which needs the extra 'judges'"
                raise rule_error(wrong, "pip install 'floorline[judges]'", "rules", number, "kind")
        if self.shadow is None:
            return
        if self.shadow.judge not in names:
            known = f"name one of: {', '.join(names)}" if names else "declare it in judges"
            raise rule_error(f"is {quoted(self.shadow.judge)}", known, "shadow", "judge")
        if self.judges[names.index(self.shadow.judge)].against is not None:
            wrong = f"is {quoted(self.shadow.judge)}, which compares and does not grade"
            raise rule_error(wrong, "name a judge without against", "shadow", "judge")
        for number, name in enumerate(self.shadow.models or ()):
            if name not in models:
                raise rule_error(f"is {quoted(name)}", fix, "shadow", "models", number)
            if not models[name].price_source:
                wrong = f"is {quoted(name)}, which has no price, and the calls have a budget"
                raise rule_error(wrong, PRICE_FIX, "shadow", "models", number)
        if self.shadow.models is None:
            served = [
                n for n in models if any(s.models is None or n in s.models for s in self.slas)
            ]
            unpriced = [name for name in served if not models[name].price_source]
            if unpriced:
                wrong = f"may call {listed(unpriced)} without a price, and the calls have a budget"
                raise rule_error(wrong, f"{PRICE_FIX}, or name the others in models", "shadow")

    def _check_left_out(self, judge: JudgeSettings, number: int) -> None:
        """Refuse to leave a tenant out of what a judge says of an SLA that others share."""
        for place, other in enumerate(judge.rates):
            if other.rate > 0.0 or other.tenant is None:
                continue
            for sla in self.slas:
                if other.sla in (None, sla.name) and not sla.per_tenant:
                    wrong = f"is 0 for a tenant under SLA {quoted(sla.name)}, which tenants share"
                    fix = "set per_tenant: true in this SLA, or name an SLA that has it"
                    raise rule_error(wrong, fix, "judges", number, "rates", place, "rate")

    def _check_bridges(self) -> None:
        """Refuse bridges of one name: it is their path."""
        names = [bridge.name for bridge in self.bridges]
        for number, name in enumerate(names):
            if name in names[:number]:
                raise rule_error("is used twice", "give each a name", "bridges", number, "name")

    def as_zoo(self) -> Zoo:
        """Return the models as a router takes them."""
        return Zoo([model.as_model() for model in self.models], self.cost_unit)

    def as_slas(self) -> list[SLA]:
        """Return the SLAs as a router takes them, in order."""
        return [sla.as_sla() for sla in self.slas]

    def replicated(self) -> Settings:
        """Return the settings of one of several processes that share the log."""
        replicas = self.replicas.model_copy(update={"enabled": True})
        return self.model_copy(update={"replicas": replicas})

    def at(self, host: str | None, port: int | None, unix_socket: Path | None = None) -> Settings:
        """Return the settings with another address to listen on; None keeps a part of it.

        A host or a port takes the place of a unix socket, and a unix socket that of both.

        Raises
        ------
        InvalidInput
            If ``auth`` is "none" and the host is no loopback address.
        """
        given = {"host": host, "port": port}
        changed: dict[str, Any] = {k: value for k, value in given.items() if value is not None}
        if unix_socket is not None:
            changed["unix_socket"] = str(unix_socket.absolute())
        elif changed:
            changed["unix_socket"] = None
        server = self.server.model_copy(update=changed)
        if server.unix_socket is None:
            check_exposure(self.auth, server.host)
        return self.model_copy(update={"server": server})

    @property
    def per_tenant_slas(self) -> frozenset[str]:
        """Names of the SLAs that each tenant has separately."""
        return frozenset(sla.name for sla in self.slas if sla.per_tenant)

    def key_files(self) -> list[Path]:
        """Return the files that hold providers' keys, and secrets of bridges."""
        paths = [model.key_path for model in self.models]
        paths += [bridge.secret_path for bridge in self.bridges]
        return [path for path in paths if path is not None]
