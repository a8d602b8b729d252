"""XML from others, read without what makes it dangerous: no document type, no entities, bounded; pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from xml.parsers import expat

from controller.errors import SignalError

MAX_DEPTH = 32
MAX_ELEMENTS = 200_000


@dataclass(slots=True)
class Element:
    """An element: its name without namespace, its text, its children."""

    name: str
    text: str = ""
    children: list[Element] = field(default_factory=list)

    def all(self, name: str) -> Iterator[Element]:
        """Children of a name."""
        return (child for child in self.children if child.name == name)

    def find(self, *path: str) -> Element | None:
        """The first element at a path of names; None without one."""
        found: Element | None = self
        for name in path:
            found = None if found is None else next(found.all(name), None)
        return found

    def text_at(self, *path: str) -> str | None:
        """Text of the first element at a path, without the white space around it; None without one."""
        found = self.find(*path)
        return None if found is None else found.text.strip()


class _RefusedError(Exception):
    """Carries the reason through the parser."""


class _Builder:
    """Takes the parser's events."""

    def __init__(self) -> None:
        self._open = [Element("")]
        self._count = 0

    @property
    def root(self) -> Element:
        return self._open[0].children[0]

    def start(self, name: str, _attributes: dict[str, str]) -> None:
        self._count += 1
        if len(self._open) > MAX_DEPTH or self._count > MAX_ELEMENTS:
            raise _RefusedError(f"nested more than {MAX_DEPTH} deep, or more than {MAX_ELEMENTS} elements")
        element = Element(name.rpartition(" ")[2])
        self._open[-1].children.append(element)
        self._open.append(element)

    def end(self, _name: str) -> None:
        self._open.pop()

    def text(self, data: str) -> None:
        self._open[-1].text += data

    def refuse_type(self, *_: object) -> None:
        raise _RefusedError("a document type is declared, which may define entities; none is expected")


def read_xml(body: bytes, source: str) -> Element:
    """The root element of a document.

    Raises:
        SignalError: it is no XML, is cut off, or is of a kind that may harm.
    """
    if not body.strip():
        raise SignalError(source, "the answer is empty")
    builder = _Builder()
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.text
    parser.StartDoctypeDeclHandler = builder.refuse_type
    try:
        parser.Parse(body, True)
    except _RefusedError as error:
        raise SignalError(source, str(error)) from error
    except expat.ExpatError as error:
        raise SignalError(
            source, f"not XML, perhaps cut off ({expat.ErrorString(error.code)}, line {error.lineno})"
        ) from error
    except (ValueError, LookupError) as error:
        raise SignalError(source, "XML in an encoding that is not read; UTF-8 is expected") from error
    return builder.root
