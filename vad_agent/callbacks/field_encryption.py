"""Names and numbers at rest: plain, or encrypted if the centre has set a key.

    stored        with a key: "f:" + Fernet (AES-128-CBC and HMAC-SHA256); without: "p:" + the text
    looked up by  with a key: HMAC-SHA256 of the number; without: the number

The key is a Fernet key (`vad-agent callbacks key` makes one), from the environment or a file, never
in the database. Values stored before a key was set can still be read; they are encrypted when the
store is opened.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import TYPE_CHECKING

from vad_agent.errors import StoreError, extra

if TYPE_CHECKING:
    from cryptography.fernet import Fernet

PLAIN, SEALED = "p:", "f:"


class FieldEncryption:
    """Encrypts and decrypts personal data. `key`: 32 bytes as URL-safe base64; None: no encryption.

    Raises:
        StoreError: the key is not valid.
    """

    def __init__(self, key: str | None = None) -> None:
        self._fernet: Fernet | None = None
        self._secret = b""
        if key:
            with extra("callbacks", "encryption at rest"):  # 7 MB, needed with a key alone
                from cryptography.fernet import Fernet
            try:
                raw = base64.b64decode(key.strip(), b"-_", validate=True)
                self._fernet = Fernet(base64.urlsafe_b64encode(raw))
            except ValueError:
                raise StoreError(
                    "the key of the callbacks: expected 32 bytes as URL-safe base64: "
                    "vad-agent callbacks key makes one"
                ) from None
            self._secret = hashlib.sha256(b"look up " + raw).digest()

    @property
    def encrypts(self) -> bool:
        """A key is set."""
        return self._fernet is not None

    def close(self, text: str | None) -> str | None:
        """The form in which the text is stored."""
        if text is None:
            return None
        if self._fernet is None:
            return PLAIN + text
        return SEALED + self._fernet.encrypt(text.encode()).decode()

    def open(self, stored: str | None) -> str | None:
        """The text.

        Raises:
            StoreError: it was encrypted with another key.
        """
        if stored is None or stored.startswith(PLAIN):
            return stored and stored[len(PLAIN) :]
        if self._fernet is None:
            raise StoreError("names and numbers in the database are encrypted: set the key")
        from cryptography.fernet import InvalidToken

        try:
            return self._fernet.decrypt(stored[len(SEALED) :].encode()).decode()
        except InvalidToken:
            raise StoreError("names and numbers in the database have another key") from None

    def look_up(self, phone: str | None) -> str | None:
        """The value by which a number (E.164) is found."""
        if phone is None or self._fernet is None:
            return phone
        return hmac.new(self._secret, phone.encode(), hashlib.sha256).hexdigest()

    def needs_closing(self, stored: str | None) -> bool:
        """The value was stored before a key was set."""
        return self.encrypts and stored is not None and stored.startswith(PLAIN)


def new_key() -> str:
    """Generate a key."""
    with extra("callbacks", "encryption at rest"):
        from cryptography.fernet import Fernet
    return Fernet.generate_key().decode()
