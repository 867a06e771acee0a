"""Where something stands in a document, and which parts of a topic name something."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

Document: TypeAlias = "bool | int | float | str | list[Document] | dict[str, Document] | None"
"""What JSON can say."""

_LEVEL: Final = re.compile(r"\{([1-9][0-9]?)\}")


class MissingError(LookupError):
    """Nothing stands at that path; the text says from where on."""


@dataclass(frozen=True)
class Path:
    """A dotted path (`a.b.0`) begins at the record, a JSON pointer (`/a/b/0`) at the whole message."""

    keys: tuple[str, ...]
    absolute: bool
    text: str

    @classmethod
    def parse(cls, text: str) -> "Path":
        """Raises ValueError when `text` is neither."""
        if text.startswith("/"):
            return cls(tuple(key.replace("~1", "/").replace("~0", "~") for key in text[1:].split("/")), absolute=True, text=text)
        keys = text.split(".")
        if not all(keys):
            raise ValueError('write a dotted path such as "a.b" (within the record), or a JSON pointer such as "/a/b" (from the whole)')
        return cls(tuple(keys), absolute=False, text=text)

    def find(self, record: Document, whole: Document) -> Document:
        """What stands there. Raises MissingError."""
        found = whole if self.absolute else record
        for key in self.keys:
            if isinstance(found, dict) and key in found:
                found = found[key]
            elif isinstance(found, list) and key.isascii() and key.isdigit() and int(key[:9]) < len(found):
                found = found[int(key[:9])]
            else:
                raise MissingError(f"{self.text!r} is not there")
        return found


@dataclass(frozen=True)
class Template:
    """A text in which `{n}` stands for level n of the topic, counted from 1."""

    text: str

    @classmethod
    def parse(cls, text: str) -> "Template":
        """Raises ValueError when a brace is no level."""
        if not text or set(_LEVEL.sub("", text)) & set("{}"):
            raise ValueError('write a text in which {n} stands for level n of the topic, such as "{3}" or "line-{2}"')
        return cls(text)

    @property
    def highest(self) -> int:
        """The highest level it needs, 0 for a constant."""
        return max((int(number) for number in _LEVEL.findall(self.text)), default=0)

    def fill(self, levels: Sequence[str]) -> str:
        """The text for a topic. Raises MissingError when the topic has too few levels."""
        if self.highest > len(levels):
            raise MissingError(f"{self.text!r} needs level {self.highest} of the topic, which has {len(levels)}")
        return _LEVEL.sub(lambda found: levels[int(found[1]) - 1], self.text)


def leaves(found: Mapping[str, Document], deepest: int, before: str = "") -> Iterator[tuple[str, Document]]:
    """Every value in nested objects by its names joined with `/`. An object deeper than `deepest` is given as it is."""
    for key, value in found.items():
        if isinstance(value, dict) and deepest > 1:
            yield from leaves(value, deepest - 1, f"{before}{key}/")
        else:
            yield before + key, value
