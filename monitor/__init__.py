"""A monitor that watches news feeds and tells analysts, once per story, what their topics call for."""

__version__ = "0.1.0"
