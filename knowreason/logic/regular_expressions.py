r"""The dialect of regular expressions: what RE2, Java and Python read alike.

A pattern is read here and written again in words that mean the same to all three, so that no engine
finds what another does not. Classes are ASCII, ``$`` is the very end, ``.`` is all but ``\n``.
"""

from __future__ import annotations

from dataclasses import dataclass

MOST_REPEATS = 1000  # RE2 takes no more, nested ones multiplied
_CLASSES = {"d": "0-9", "w": "0-9A-Z_a-z", "s": r"\x09\x0a\x0c\x0d\x20"}
_CONTROLS = {"n": "\n", "r": "\r", "t": "\t", "f": "\f"}
_PUNCTUATION = frozenset("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~ ")


class PatternFault(ValueError):
    """A pattern that is none; ``place`` is the offset of the fault in it.

    >>> try:
    ...     portable_pattern("a(b")
    ... except PatternFault as fault:
    ...     fault.place
    1
    """

    def __init__(self, message: str, place: int, help: str | None = None) -> None:
        super().__init__(message)
        self.place, self.help = place, help


def portable_pattern(pattern: str) -> str:
    r"""The pattern as RE2, Java and Python read it alike (``\z`` is Python's ``\Z``).

    Raises:
        PatternFault: where it is none, or has what only some of them know.

    >>> portable_pattern(r"^\d+(?:-[a-c]|x)?$")
    '^[0-9]+(?:\\-[a-c]|x)?\\z'
    """
    reader = _PatternReader(pattern)
    if pattern.startswith("(?i)"):
        reader.at, reader.either_case = 4, True
    text, _ = reader.alternatives()
    if reader.at < len(pattern):
        raise PatternFault("this `)` closes nothing", reader.at, r"a parenthesis itself is `\)`")
    return text


@dataclass
class _PatternReader:
    """Reads a pattern from left to right; each method gives text, and how often it repeats."""

    pattern: str
    at: int = 0
    either_case: bool = False

    def alternatives(self) -> tuple[str, int]:
        """Sequences with ``|`` between them, up to a ``)`` or the end."""
        parts = [self._sequence()]
        while self._next() == "|":
            self.at += 1
            parts.append(self._sequence())
        return "|".join(text for text, _ in parts), max(most for _, most in parts)

    def _next(self) -> str:
        return self.pattern[self.at : self.at + 1]

    def _sequence(self) -> tuple[str, int]:
        texts, most = [], 1
        while (char := self._next()) and char not in "|)":
            start = self.at
            text, repeats = self._part(char)
            bounds, times = self._repetition()
            if bounds and char in "^$":
                raise PatternFault(f"`{char}` cannot be repeated", start)
            if repeats * times > MOST_REPEATS:
                message = f"this repeats more than {MOST_REPEATS} times"
                raise PatternFault(message, start, "`*` and `+` have no bound")
            texts.append(text + bounds)
            most = max(most, repeats * times)
        return "".join(texts), most

    def _part(self, char: str) -> tuple[str, int]:
        start = self.at
        self.at += 1
        if char == "(":
            return self._group(start)
        if char == "[":
            return self._class(start), 1
        if char == "\\":
            return self._escaped(start), 1
        if char in "*+?{":
            help = rf"the character itself is `\{char}`"
            raise PatternFault(f"`{char}` stands after nothing it could repeat", start, help)
        if char == ".":
            return r"[^\x0a]", 1
        if char in "^$":
            return {"^": "^", "$": r"\z"}[char], 1
        return self._literal(char), 1

    def _group(self, start: int) -> tuple[str, int]:
        if self.pattern.startswith("?:", self.at):
            self.at += 2
        elif self._next() == "?":
            raise PatternFault(
                "groups are `(..)` and `(?:..)`; nothing looks ahead or back",
                start,
                "`(?i)` as the first thing ignores case" if "i" in self.pattern[start:] else None,
            )
        text, most = self.alternatives()
        if self._next() != ")":
            raise PatternFault("this `(` is not closed", start, r"a parenthesis itself is `\(`")
        self.at += 1
        return f"(?:{text})", most

    def _repetition(self) -> tuple[str, int]:
        char, start = self._next(), self.at
        if not char or char not in "*+?{":
            return "", 1
        self.at += 1
        bounds, most = char, 1
        if char == "{":
            end = self.pattern.find("}", start)
            inner = self.pattern[start + 1 : end] if end > 0 else ""
            low, comma, high = inner.partition(",")
            plain = all(one.isascii() and one.isdigit() for one in (low, high or "0"))
            if not plain or len(low) > 4 or len(high) > 4:
                help = r"write `{2}`, `{2,}` or `{2,4}`; the character itself is `\{`"
                raise PatternFault("`{` begins a number of times", start, help)
            most = max(int(low), int(high or 0), 1)
            if comma and high and int(high) < int(low):
                raise PatternFault("the upper bound is below the lower one", start)
            self.at = end + 1
            bounds = self.pattern[start : self.at]
        if self._next() == "?":
            self.at += 1
            bounds += "?"
        if (again := self._next()) and again in "*+?{":
            message = f"`{again}` stands after a repetition"
            raise PatternFault(message, self.at, "put what is repeated in parentheses")
        return bounds, most

    def _escaped(self, start: int) -> str:
        char = self._next()
        self.at += 1
        if char.lower() in _CLASSES and char:
            return f"[{'^' if char.isupper() else ''}{_CLASSES[char.lower()]}]"
        return self._literal(self._character(char, start))

    def _character(self, char: str, start: int) -> str:
        """The character that a backslash and another one mean."""
        if char in _CONTROLS:
            return _CONTROLS[char]
        if char and char in _PUNCTUATION:
            return char
        help = None
        if char == "b":
            help = r"write `(^|\W)` before a word and `(\W|$)` after it"
        elif not char:
            help = r"a backslash itself is `\\`"
        elif char in "DWS":
            help = f"in brackets write `[^{_CLASSES[char.lower()]}]` for it alone"
        known = r"`\d \w \s \D \W \S \n \r \t \f`, and punctuation after a backslash is itself"
        message = f"`\\{char}` is not part of the dialect"
        raise PatternFault(message, start, help or known)

    def _literal(self, char: str) -> str:
        other = char.swapcase()
        if self.either_case and len(other) == 1 and other != char:
            return f"[{char}{other}]"
        return _quoted(char)

    def _class(self, start: int) -> str:
        """``[..]``; ``]`` stands for itself only after a backslash."""
        negative = self._next() == "^"
        self.at += negative
        items: list[str] = []
        while (char := self._next()) != "]":
            if not char:
                raise PatternFault("this `[` is not closed", start, r"a bracket itself is `\[`")
            if self.pattern.startswith("[:", self.at):
                raise PatternFault("`[:..:]` is not part of the dialect", self.at, r"write `\w`")
            if char == "\\" and self.pattern[self.at + 1 : self.at + 2] in tuple(_CLASSES):
                items.append(_CLASSES[self.pattern[self.at + 1]])
                self.at += 2
                continue
            items.append(self._range())
        if not items:
            raise PatternFault("this class has no characters", start)
        self.at += 1
        return f"[{'^' if negative else ''}{''.join(items)}]"

    def _range(self) -> str:
        start = self.at
        low = self._one_of_class()
        if self._next() != "-" or self.pattern[self.at + 1 : self.at + 2] in ("]", ""):
            other = low.swapcase()
            both = self.either_case and len(other) == 1 and other != low
            return _quoted(low) + (_quoted(other) if both else "")
        self.at += 1
        high = self._one_of_class()
        if high < low:
            raise PatternFault("this range ends before it begins", start)
        text = f"{_quoted(low)}-{_quoted(high)}"
        if self.either_case:
            for first, last, step in (("a", "z", -32), ("A", "Z", 32)):
                least, most = max(low, first), min(high, last)
                if least <= most:
                    text += f"{chr(ord(least) + step)}-{chr(ord(most) + step)}"
        return text

    def _one_of_class(self) -> str:
        char, start = self._next(), self.at
        self.at += 1
        if char != "\\":
            return char
        self.at += 1
        return self._character(self.pattern[self.at - 1 : self.at], start)


def _quoted(char: str) -> str:
    if char in _PUNCTUATION and char not in " _":
        return "\\" + char
    return f"\\x{ord(char):02x}" if ord(char) < 32 or ord(char) == 127 else char
