"""The version, for the command line, metrics and traces; the package is built with it."""

VERSION = "0.1.0"
