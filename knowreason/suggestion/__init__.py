"""Rules that data suggest: candidates, their counts, and what each adds."""

from knowreason.suggestion.suggestions import Suggestion, Suggestions, suggest

__all__ = ["Suggestion", "Suggestions", "suggest"]
