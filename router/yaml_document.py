"""A YAML text whose parts are made into values one after the other, and whose faults are told by line. Pure."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import yaml

from router.errors import SettingsError

_LOADER: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The one in C where PyYAML has it: four times as fast."""

MAX_DEPTH = 100
"""Lists and mappings within each other. The loader in C takes as much of the stack as a text asks for, and crashes."""


class YamlDocument:
    """One document.

    Args:
        text: of the file.
        name: of the file, for messages.
        is_secret: whether what stands in it may be secret: no message then shows any of it.

    Attributes:
        root: its outermost part; None for an empty text.

    Raises:
        SettingsError: the text is not valid YAML, or nested too deeply.
    """

    def __init__(self, text: str, name: str, *, is_secret: bool = False) -> None:
        self._name = name
        self._is_secret = is_secret
        with self._faults():
            _refuse_depth(text, name)
            self._loader = _LOADER(text)
            self.root: yaml.Node | None = self._loader.get_single_node()

    def value(self, node: yaml.Node) -> Any:
        """What a part stands for.

        Raises:
            SettingsError: it stands for nothing, or a key in it appears twice, of which YAML itself keeps the last.
        """
        with self._faults():
            self._refuse_twins(node, set())
            return self._loader.construct_object(node, deep=True)

    def _refuse_twins(self, node: yaml.Node, visited: set[int]) -> None:
        if not isinstance(node, yaml.CollectionNode) or id(node) in visited:
            return
        visited.add(id(node))
        names: set[str] = set()
        for part in node.value:
            key, inner = part if isinstance(part, tuple) else (None, part)
            if isinstance(key, yaml.ScalarNode):
                if key.value in names:
                    what = "a setting" if self._is_secret else f"key {key.value!r}"
                    raise yaml.constructor.ConstructorError(None, None, f"{what} appears twice", key.start_mark)
                names.add(key.value)
            self._refuse_twins(inner, visited)

    @contextlib.contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        # A date that does not exist is a ValueError.
        except (yaml.YAMLError, ValueError) as error:
            mark = getattr(error, "problem_mark", None)
            where = f"{self._name}:{mark.line + 1}" if mark else self._name
            raise SettingsError(f"{where}: not valid YAML: {getattr(error, 'problem', error)}") from error


def _refuse_depth(text: str, name: str) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=_LOADER):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                where = f"{name}:{event.start_mark.line + 1}" if event.start_mark else name
                raise SettingsError(
                    f"{where}: more than {MAX_DEPTH} lists and mappings within each other; take some out"
                )
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
