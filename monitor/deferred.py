"""Imports put off until something of them is called, or not made at all.

A library that imports others for what we never ask of it costs their memory all the same; inside `deferred` it gets a stand-in
for each, which imports the real one when it is called.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Iterator, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any


@contextlib.contextmanager
def deferred(*names: str) -> Iterator[None]:
    """Put off the imports of these packages or modules, and of all that is in them, unless they were imported before.

    For functions and classes that are called, and for decorators that only mark a function, which goes without its mark;
    nothing else of a stand-in works. After the block all is imported as ever.
    """
    finder = _Finder(names)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for name in [name for name, module in sys.modules.items() if isinstance(module, _StandIn)]:
            _forget(name, sys.modules.pop(name))


def _forget(name: str, stand_in: ModuleType) -> None:
    package, _, last = name.rpartition(".")
    if vars(sys.modules.get(package, stand_in)).get(last) is stand_in:
        delattr(sys.modules[package], last)


@contextlib.contextmanager
def absent(package: str) -> Iterator[None]:
    """Import what does without a package if it must, as if that one were not installed, unless it was imported before."""
    if package in sys.modules:
        yield
        return
    sys.modules[package] = None  # type: ignore[assignment]  # documented: its import then fails
    try:
        yield
    finally:
        del sys.modules[package]


class _StandIn(ModuleType):
    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Later(name, (), {"__module__": self.__name__})


class _Later(type):
    """Stands for a function or a class of a module that was put off."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        module = importlib.import_module(cls.__module__)
        # what is called while others are imported marks a function, or looks at a value
        if isinstance(module, _StandIn):
            return args[0] if args and args[0] is not None else _unmarked
        return getattr(module, cls.__name__)(*args, **kwargs)

    def __instancecheck__(cls, instance: object) -> bool:
        module = sys.modules.get(cls.__module__)
        known = module is not None and not isinstance(module, _StandIn)
        return known and isinstance(instance, getattr(module, cls.__name__))


def _unmarked(function: Any) -> Any:
    return function


class _Finder(MetaPathFinder, Loader):
    def __init__(self, names: Sequence[str]) -> None:
        self._names = names

    def find_spec(self, name: str, _path: object = None, _target: object = None) -> ModuleSpec | None:
        put_off = any(f"{name}.".startswith(f"{one}.") for one in self._names)
        return ModuleSpec(name, self, is_package=True) if put_off else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _StandIn(spec.name)

    def exec_module(self, _module: ModuleType) -> None:
        """There is nothing to run."""
