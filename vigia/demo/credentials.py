"""Who logs in to the demo. Passwords are made at the first start and kept in `<home>/credentials.json`, for its owner's eyes only."""

import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from vigia.api.passwords import hash_password
from vigia.errors import ConfigError
from vigia.store.accounts import AccountKind, Language

# No vowels, no look-alikes: readable aloud, and no word appears by chance. 27 letters and digits, 12 of them: 57 bits.
_ALPHABET = "bcdfghjkmnpqrstvwxz23456789"


@dataclass(frozen=True)
class Person:
    """Someone to be. `airline` is a customer's code, None for staff; `time_zone` where a technician works."""

    title: str
    kind: AccountKind
    login: str
    name: str
    language: Language = "en"
    airline: str | None = None
    time_zone: str | None = None


@dataclass(frozen=True)
class Account(Person):
    """A person with a password."""

    password: str = ""
    password_hash: str = ""


PEOPLE = (
    Person("customer", "customer", "flota@brisal.example", "Elena Soria", "en", "brisal"),
    Person("customer", "customer", "frota@ventalia.example", "Rafael Moura", "pt", "ventalia"),
    Person("customer", "customer", "flota@altiplana.example", "Camila Rincón", "es", "altiplana"),
    Person("customer", "customer", "frota@tejomar.example", "Inês Valadão", "pt", "tejomar"),
    Person("technician", "technician", "lucia@vigia.example", "Lucía Herrán", "en", time_zone="Europe/Madrid"),
    Person("technician", "technician", "tomas@vigia.example", "Tomás Brandão", "pt", time_zone="Europe/Lisbon"),
    Person("technician", "technician", "davi@vigia.example", "Davi Peçanha", "pt", time_zone="America/Sao_Paulo"),
    Person("technician", "technician", "andrea@vigia.example", "Andrea Quiroga", "es", time_zone="America/Bogota"),
    Person("service manager", "service_manager", "service@vigia.example", "Marta Olmedo"),
)
SIMULATED_TECHNICIAN = "lucia@vigia.example"


@dataclass(frozen=True)
class Credentials:
    """Everybody's log-in."""

    people: tuple[Account, ...]

    @property
    def shown(self) -> list[Account]:
        """The first of each kind: whom a visitor tries."""
        return list({person.kind: person for person in reversed(self.people)}.values())[::-1]

    @property
    def simulated_technician(self) -> tuple[str, str]:
        """Login and password of whom the demo's technician logs in as."""
        return next((person.login, person.password) for person in self.people if person.login == SIMULATED_TECHNICIAN)


def credentials(home: Path) -> Credentials:
    """The log-ins of this home; made and stored for whoever has none yet. Raises ConfigError when the file cannot be used."""
    path = home / "credentials.json"
    known = _read(path)
    people = tuple(_account(person, known.get(person.login)) for person in PEOPLE)
    kept = {person.login: {"name": person.name, "password": person.password, "password_hash": person.password_hash} for person in people}
    if any(person.login not in known for person in people):
        _write(path, kept)
    return Credentials(people)


def _account(person: Person, known: Mapping[str, str] | None) -> Account:
    # The file keeps the secrets, the program knows who is who.
    secret = known or _new_password()
    return Account(**asdict(person), password=secret["password"], password_hash=secret["password_hash"])


def _new_password() -> dict[str, str]:
    letters = [secrets.choice(_ALPHABET) for _ in range(12)]
    password = "-".join("".join(letters[i : i + 4]) for i in (0, 4, 8))
    return {"password": password, "password_hash": hash_password(password)}


def _read(path: Path) -> Mapping[str, dict[str, str]]:
    try:
        stored = json.loads(path.read_text("utf-8"))
        return {
            login: {"password": str(entry["password"]), "password_hash": str(entry["password_hash"])} for login, entry in stored.items()
        }
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ConfigError(f"{path} cannot be read ({error.strerror}); choose another folder with --home") from None
    except (ValueError, AttributeError, TypeError, KeyError):
        raise ConfigError(f"{path} is not what the demo wrote; delete it, and the next start makes new passwords") from None


def _write(path: Path, kept: Mapping[str, Mapping[str, str]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    new.unlink(missing_ok=True)
    # Born private: nobody may open it between making and restricting it.
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        json.dump(kept, file, indent=2, ensure_ascii=False)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
