"""The supervisor: starts, watches, ends and starts again the engines of one machine, and is told what to do by HTTP."""
