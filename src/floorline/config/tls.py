"""The ``server.tls`` section: certificate and key with which clients' connections are encrypted."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr, ValidationInfo, model_validator

from floorline.config.document import quoted
from floorline.config.secrets import LoadContext
from floorline.config.types import Fix, Section, Text, rule_error


def _existing_file(written: str, info: ValidationInfo) -> str:
    path = LoadContext.of(info).folder / written
    try:
        with path.open("rb"):
            return str(path)
    except OSError as error:
        fix = f"give the path of a PEM file that can be read ({error.strerror})"
        raise rule_error(f"is {quoted(written)}", fix) from None


PemFile = Annotated[
    Text, AfterValidator(_existing_file), Fix("give the path of a PEM file, relative to this file")
]


class TlsSettings(Section):
    """Encryption of clients' connections (HTTPS)."""

    certificate: PemFile = Field(
        description="PEM file of the server's certificate, followed by those of its issuers."
    )
    key: PemFile | None = Field(
        None,
        description="PEM file of the certificate's private key; empty if the file of the "
        "certificate has it.",
    )
    key_password: SecretStr | None = Field(
        None, description="Password of the private key, such as ${TLS_KEY_PASSWORD}."
    )
    client_ca: PemFile | None = Field(
        None,
        description="PEM file of the issuers of clients' certificates; clients without one are "
        "refused then.",
    )

    @model_validator(mode="after")
    def _fits(self) -> TlsSettings:
        self.context()
        return self

    def context(self) -> ssl.SSLContext:
        """Return the context of a server, with the files as they are now.

        Raises
        ------
        PydanticCustomError
            If the files cannot be used; it says which one.
        """
        found = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        _check_certificates("certificate", self.certificate)
        self.load_into(found)
        if self.client_ca is not None:
            _check_certificates("client_ca", self.client_ca)
            found.load_verify_locations(self.client_ca)
            found.verify_mode = ssl.CERT_REQUIRED
        return found

    def load_into(self, context: ssl.SSLContext) -> None:
        """Read certificate and key, for connections from now on; errors as for ``context``."""
        password = "" if self.key_password is None else self.key_password.get_secret_value()
        key = self.certificate if self.key is None else self.key
        try:
            # With a password, because OpenSSL asks for a missing one at the terminal.
            context.load_cert_chain(self.certificate, key, password)
        except ssl.SSLError as error:
            if "MISMATCH" in str(error):
                wrong = f"is {quoted(key)}, which is the key of another certificate"
                raise rule_error(wrong, "give the key of this certificate", "key") from None
            if "TOO_SMALL" in str(error) or "TOO_WEAK" in str(error):
                wrong = f"is {quoted(self.certificate)}, whose key or signature is too weak"
                fix = "give one with a key of 2,048 bits (RSA) or 256 bits (EC), or more"
                raise rule_error(wrong, fix, "certificate") from None
            wrong = f"is {quoted(key)}, which has no private key that can be read"
            fix = "give a PEM file with a private key, and its password in key_password"
            raise rule_error(wrong, fix, "key") from None
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "its password is too long"
            raise rule_error(
                f"is {quoted(key)}", f"give files that can be read ({reason})", "key"
            ) from None

    def files(self) -> list[Path]:
        """Return the files that are read again when they change."""
        return [Path(file) for file in (self.certificate, self.key) if file is not None]


def _check_certificates(field: str, path: str) -> None:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_verify_locations(path)
    except (ssl.SSLError, OSError):
        wrong = f"is {quoted(path)}, which has no certificate that can be read"
        raise rule_error(wrong, "give a PEM file with a certificate", field) from None
