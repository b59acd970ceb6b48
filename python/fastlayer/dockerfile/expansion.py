"""Shell words: quotes, escapes and ``$name`` as the builder understands them.

What a shell would do with a word, as far as a Dockerfile has it: ``$x``, ``${x}``, the modifiers
``:- - :+ + :? ? # ## % %% / //``, single and double quotes, and the escape character of the file.
An unset variable is empty. Positional and special parameters (``$1``, ``$@``) are never set.
Nothing here knows instructions.
"""

from __future__ import annotations

from collections.abc import Mapping

from fastlayer.dockerfile import glob
from fastlayer.dockerfile.quoting import quote
from fastlayer.dockerfile.source import BLANKS, fail
from fastlayer.value import Value

#: How deep ``${a:-${b:-…}}`` may nest; no real file comes near, and it bounds the stack.
NESTING_LIMIT = 50

#: Most characters that substitutions may put into one word. ``ENV a=$a$a`` doubles with every line,
#: so forty short lines would take all memory; Linux takes no variable of more than 128 KiB.
EXPANSION_LIMIT = 1 << 20

_SPECIAL = "@*#?-$!0"
_TOO_LONG = f"it expands to more than {EXPANSION_LIMIT} characters"
_HEREDOC_BLANKS = "\t\r "
_WILDCARDS = "*?[\\"


class Expansion(Value):
    """What became of a word: ``used`` names were found, ``unset`` ones looked up in vain."""

    text: str
    words: tuple[str, ...]
    used: frozenset[str]
    unset: frozenset[str]


class _SyntaxError(Exception):
    """The word cannot be read; carries the reason."""


class _Splitter:
    """Gathers characters to words: blanks part words where they were not quoted."""

    def __init__(self) -> None:
        self.words: list[str] = []
        self._buffer: list[str] = []

    def add(self, text: str) -> None:
        for character in text:
            if character in BLANKS:
                self.end()
            else:
                self._buffer.append(character)

    def add_raw(self, text: str) -> None:
        if text:
            self._buffer.append(text)

    def end(self) -> None:
        if self._buffer:
            self.words.append("".join(self._buffer))
            self._buffer.clear()


class WordReader:
    """Reads one word; made for one use.

    Parameters
    ----------
    text:
        The word.
    environment:
        The variables.
    escape:
        The escape character, or an empty string for none.
    raw_quotes, raw_escapes:
        Keep quotes, keep escape characters.
    quotes:
        Whether quotes count at all.
    keep_unset:
        Leave ``$name`` as it is where the name is not set.
    pattern:
        The word is a pattern: an escaped wildcard stays escaped, by a backslash.
    """

    def __init__(
        self,
        text: str,
        environment: Mapping[str, str],
        escape: str = "\\",
        *,
        raw_quotes: bool = False,
        raw_escapes: bool = False,
        quotes: bool = True,
        keep_unset: bool = False,
        pattern: bool = False,
    ) -> None:
        self.text = text
        self.environment = environment
        self.escape = escape
        self.raw_quotes = raw_quotes
        self.raw_escapes = raw_escapes
        self.quotes = quotes
        self.keep_unset = keep_unset
        self.pattern = pattern
        self.used: set[str] = set()
        self.unset: set[str] = set()
        self._position = 0
        self._depth = 0
        self._room = EXPANSION_LIMIT

    def read(self) -> Expansion:
        """Read it all.

        Raises
        ------
        ValueError
            The word breaks the grammar, or a ``${name:?message}`` fired.
        """
        splitter = _Splitter()
        try:
            text = self._until("", splitter)
        except _SyntaxError as error:
            raise ValueError(f"failed to process {quote(self.text)}: {error}") from None
        splitter.end()
        return Expansion(
            text=text,
            words=tuple(splitter.words),
            used=frozenset(self.used),
            unset=frozenset(self.unset),
        )

    def _peek(self) -> str:
        return self.text[self._position : self._position + 1]

    def _next(self) -> str:
        character = self.text[self._position : self._position + 1]
        self._position += 1
        return character

    def _until(self, stop: str, splitter: _Splitter) -> str:
        """Read up to ``stop``, which is consumed, or to the end where ``stop`` is empty."""
        done: list[str] = []
        while character := self._peek():
            if character == stop:
                self._position += 1
                return "".join(done)
            if character == "$":
                part = self._dollar()
                splitter.add(part)
            elif character == "<":
                part = self._angle()
                splitter.add_raw(part)
            elif self.quotes and character in "'\"":
                part = self._single_quoted() if character == "'" else self._double_quoted()
                splitter.add_raw(part)
            elif character == self.escape:
                part = self._escaped()
                splitter.add_raw(part)
            else:
                self._position += 1
                part = character
                splitter.add(part)
            done.append(part)
        if stop:
            raise _SyntaxError(f"unexpected end of statement while looking for matching {stop}")
        return "".join(done)

    def _escaped(self) -> str:
        """The escape character and what it escapes; at the very end it stands for nothing."""
        character = self._next()
        following = self._next()
        kept = character if self.raw_escapes else self._pattern_escape(following)
        return kept + following

    def _pattern_escape(self, character: str) -> str:
        """What must stand before an escaped character so that a pattern takes it as it is."""
        return "\\" if self.pattern and character and character in _WILDCARDS else ""

    def _single_quoted(self) -> str:
        quote_character = self._next()
        end = self.text.find("'", self._position)
        if end < 0:
            raise _SyntaxError(
                "unexpected end of statement while looking for matching single-quote"
            )
        body = self.text[self._position : end]
        self._position = end + 1
        return f"{quote_character}{body}{quote_character}" if self.raw_quotes else body

    def _double_quoted(self) -> str:
        opener = self._next()
        done = [opener] if self.raw_quotes else []
        while character := self._peek():
            if character == '"':
                self._position += 1
                if self.raw_quotes:
                    done.append(character)
                return "".join(done)
            if character == "$":
                done.append(self._dollar())
                continue
            self._position += 1
            if character == self.escape:
                if self.raw_escapes:
                    done.append(character)
                following = self._peek()
                if not following:
                    continue
                if following in ('"', "$", self.escape):
                    character = self._next()
                    done.append(self._pattern_escape(character))
            done.append(character)
        raise _SyntaxError("unexpected end of statement while looking for matching double-quote")

    def _angle(self) -> str:
        """``<``, ``<<`` or ``<<-``; the blanks behind them belong to a heredoc's opener."""
        start = self._position
        self._position += 1
        if self._peek() == "<":
            self._position += 1
            if self._peek() == "-":
                self._position += 1
            while (blank := self._peek()) and blank in _HEREDOC_BLANKS:
                self._position += 1
        return self.text[start : self._position]

    def _lookup(self, name: str) -> str | None:
        value = self.environment.get(name)
        (self.unset if value is None else self.used).add(name)
        return value

    def _name(self) -> str:
        start = self._position
        first = self._peek()
        if first.isdecimal():
            while self._peek().isdecimal():
                self._position += 1
        elif first and first in _SPECIAL:
            self._position += 1
        else:
            while (character := self._peek()) and (
                character.isalpha() or character.isdecimal() or character == "_"
            ):
                self._position += 1
        return self.text[start : self._position]

    def _dollar(self) -> str:
        value = self._substitution()
        self._room -= len(value)
        if self._room < 0:
            raise _SyntaxError(_TOO_LONG)
        return value

    def _substitution(self) -> str:
        self._position += 1
        if self._peek() != "{":
            name = self._name()
            if not name:
                return "$"
            value = self._lookup(name)
            if value is None:
                return f"${name}" if self.keep_unset else ""
            return value
        self._position += 1
        self._depth += 1
        if self._depth > NESTING_LIMIT:
            raise _SyntaxError(f"more than {NESTING_LIMIT} substitutions inside each other")
        value = self._braced()
        self._depth -= 1
        return value

    def _braced(self) -> str:
        first = self._peek()
        if not first:
            raise _SyntaxError("syntax error: missing '}'")
        if first in "{}:":
            raise _SyntaxError("syntax error: bad substitution")
        name = self._name()
        modifier = self._next()
        if modifier == "}":
            value = self._lookup(name)
            if value is None:
                return f"${{{name}}}" if self.keep_unset else ""
            return value
        if modifier == ":":
            modifier += self._next()
        if not modifier:
            raise _SyntaxError("syntax error: missing '}'")
        if modifier in ("#", "%"):
            return self._trim(name, modifier)
        if modifier == "/":
            return self._replace(name)
        if modifier.removeprefix(":") in ("-", "+", "?"):
            return self._choose(name, modifier)
        raise _SyntaxError(f"unsupported modifier ({modifier}) in substitution")

    def _nested(self, stop: str, *, raw_escapes: bool) -> str:
        before, self.raw_escapes = self.raw_escapes, raw_escapes
        try:
            return self._until(stop, _Splitter())
        except _SyntaxError:
            if self._position >= len(self.text):
                what = "'}'" if stop == "}" else "'/' in ${}"
                raise _SyntaxError(f"syntax error: missing {what}") from None
            raise
        finally:
            self.raw_escapes = before

    def _choose(self, name: str, modifier: str) -> str:
        word = self._nested("}", raw_escapes=False)
        value = self._lookup(name)
        if value is None and self.keep_unset:
            return f"${{{name}{modifier}{word}}}"
        empty = modifier.startswith(":") and value == ""
        match modifier[-1]:
            case "-":
                return word if value is None or empty else value
            case "+":
                return "" if value is None or empty else word
        if value is None or empty:
            state = "unset" if value is None else "empty"
            raise _SyntaxError(f"{name}: {word or f'is not allowed to be {state}'}")
        return value

    def _trim(self, name: str, modifier: str) -> str:
        word = self._nested("}", raw_escapes=True)
        value = self._lookup(name)
        if value is None:
            if self.keep_unset:
                return f"${{{name}{modifier}{word}}}"
            value = ""
        longest = word.startswith(modifier)
        pattern = word[1:] if longest else word
        trim = glob.trim_prefix if modifier == "#" else glob.trim_suffix
        try:
            return trim(pattern, value, longest=longest)
        except ValueError as error:
            raise _SyntaxError(f"invalid pattern ({pattern}) in substitution: {error}") from None

    def _replace(self, name: str) -> str:
        every = self._peek() == "/"
        if every:
            self._position += 1
        pattern = self._nested("/", raw_escapes=True)
        replacement = self._nested("}", raw_escapes=True)
        value = self._lookup(name)
        if value is None:
            if self.keep_unset:
                return f"${{{name}/{pattern}/{replacement}}}"
            value = ""
        try:
            return glob.replace(pattern, replacement, value, every=every, limit=EXPANSION_LIMIT)
        except OverflowError:
            raise _SyntaxError(_TOO_LONG) from None
        except ValueError as error:
            raise _SyntaxError(f"invalid pattern ({pattern}) in substitution: {error}") from None


def expand_names(
    word: str,
    environment: Mapping[str, str],
    escape: str = "\\",
    *,
    file: str | None = None,
    line: int | None = None,
) -> Expansion:
    """Expand a word, and tell which names were looked up.

    Parameters
    ----------
    word:
        The word as written.
    environment:
        The variables that are set.
    escape:
        The file's escape character.
    file, line:
        The place for an error.

    Raises
    ------
    DockerfileError
        The word breaks the grammar, or a ``${name:?message}`` fired.
    """
    try:
        return WordReader(word, environment, escape).read()
    except ValueError as error:
        fail(str(error), file=file, line=line, source=word)


def expand(
    word: str,
    environment: Mapping[str, str],
    escape: str = "\\",
    *,
    file: str | None = None,
    line: int | None = None,
) -> str:
    """The word with quotes removed and variables replaced; see :func:`expand_names`.

    Raises
    ------
    DockerfileError
        As :func:`expand_names`.
    """
    return expand_names(word, environment, escape, file=file, line=line).text


def expand_words(
    word: str,
    environment: Mapping[str, str],
    escape: str = "\\",
    *,
    file: str | None = None,
    line: int | None = None,
) -> tuple[str, ...]:
    """The words that the text makes after expansion, split at blanks that were not quoted.

    Raises
    ------
    DockerfileError
        As :func:`expand_names`.
    """
    return expand_names(word, environment, escape, file=file, line=line).words


def expand_content(
    text: str,
    environment: Mapping[str, str],
    *,
    file: str | None = None,
    line: int | None = None,
) -> Expansion:
    """Expand the body of a heredoc: quotes are plain characters, the escape is a backslash.

    Raises
    ------
    DockerfileError
        As :func:`expand_names`.
    """
    try:
        return WordReader(text, environment, "\\", quotes=False).read()
    except ValueError as error:
        fail(str(error), file=file, line=line)
