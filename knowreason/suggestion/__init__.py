"""Rules that data suggest: candidates, counted by the relational engine, ranked by what they add."""

from knowreason.suggestion.suggestions import Suggestion, Suggestions, suggest

__all__ = ["Suggestion", "Suggestions", "suggest"]
