"""The section for bridges: programs that send feedback with a signature in place of a key."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, PrivateAttr, SecretStr, ValidationInfo, model_validator

from floorline.config.secrets import Key, KeyFile, KeyVariable, LoadContext, key_in
from floorline.config.types import Fix, Number, Section, Share, Text, rule_error
from floorline.config.variables import variable

BridgeKind = Literal["webhook", "langfuse", "open_webui", "librechat"]
SECRET_FIELDS = ("secret", "secret_env", "secret_file")
"""The ways to give a bridge's secret, of which it takes one."""
_MIN_SECRET = 16
_SCALE_FIX = "give the worst and the best rating, such as [1, 5]"


def _ascending(scale: list[float]) -> list[float]:
    if scale[0] >= scale[1]:
        raise rule_error(f"is [{scale[0]:g}, {scale[1]:g}]", _SCALE_FIX)
    return scale


_Scale = Annotated[
    list[Number],
    Field(min_length=2, max_length=2),
    AfterValidator(_ascending),
    Fix(_SCALE_FIX),
]


class BridgeSettings(Section):
    """A program that may send feedback to ``POST /v1/bridges/NAME``."""

    name: Annotated[
        str,
        Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"),
        Fix("give at most 64 letters, digits, '.', '_' or '-'"),
    ] = Field(description="Name in the path; unique.")
    kind: BridgeKind = Field(
        "webhook",
        description="Form of the bodies. webhook: that of /v1/feedback, with ids of your own. "
        "langfuse: scores as Langfuse's API lists them. open_webui: feedback as Open WebUI exports "
        "it. librechat: messages with feedback as LibreChat stores them.",
    )
    secret: Key | None = Field(
        None,
        description="Secret that signs the bodies, best written as ${NAME}; 16 characters or "
        "more. Never shown or logged.",
    )
    secret_env: KeyVariable | None = Field(
        None, description="Environment variable that holds the secret."
    )
    secret_file: KeyFile | None = Field(
        None,
        description="File that holds the secret, relative to this file; read again when it "
        "changes.",
    )
    tenant: Text | None = Field(
        None,
        description="Tenant whose answers it judges; empty for all answers of no tenant.",
    )
    source: Text = Field(
        "user",
        description="Who judged: user, judge or rule. Scores that Langfuse's evaluators gave are "
        "of judge in any case.",
    )
    scale: _Scale | None = Field(
        None,
        description="Worst and best rating, such as [1, 5]: ratings become scores from 0 to 1. "
        "Empty: ratings are from 0 to 1; of Open WebUI only the thumb counts.",
    )
    labels: dict[Text, Share] = Field(
        {},
        description="Scores of Langfuse's categories by name, such as {good: 1, bad: 0}; others "
        "are refused.",
    )
    scores: list[Text] | None = Field(
        None, min_length=1, description="Names of the Langfuse scores that count; empty for all."
    )

    _secret: SecretStr = PrivateAttr(SecretStr(""))
    _secret_path: Path | None = PrivateAttr(None)

    @model_validator(mode="after")
    def _find_secret(self, info: ValidationInfo) -> BridgeSettings:
        given = [name for name in SECRET_FIELDS if getattr(self, name) is not None]
        if len(given) != 1:
            wrong = "is given beside another one" if given else "is missing"
            raise rule_error(
                wrong, f"give one of: {', '.join(SECRET_FIELDS)}", *given[1:2] or ["secret"]
            )
        context = LoadContext.of(info)
        if self.secret is not None:
            secret = self.secret.get_secret_value()
        elif self.secret_env is not None:
            secret = variable(self.secret_env, context.environ)
        else:
            self._secret_path = context.folder / str(self.secret_file)
            secret = key_in(self._secret_path)
        if len(secret) < _MIN_SECRET:
            wrong = f"has fewer than {_MIN_SECRET} characters (its value is not shown)"
            raise rule_error(wrong, "give a random one: openssl rand -hex 32", given[0])
        self._secret = SecretStr(secret)
        return self

    @property
    def signing_secret(self) -> SecretStr:
        """The secret, from whichever field it was given in."""
        return self._secret

    @property
    def secret_path(self) -> Path | None:
        """The file that holds the secret, if one does."""
        return self._secret_path
