"""The canonical layout of a rule file."""
