"""Tables for a terminal: nothing is lost, and no line is wider than the screen."""

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from dothi.lines import GAP, LEAST, Column, Part, Screen, folded, table

WORDS = st.text(st.sampled_from("abcđươỷ漢字e\u0301 "), max_size=40)
ROWS = st.lists(st.tuples(WORDS, WORDS, st.integers(0, 99_999).map(str)), max_size=5)
COLUMNS = (Column(("số",), folds=True), Column(("thiết bị",), most=16), Column(("n",), folds=False))


@given(rows=ROWS, width=st.integers(40, 200))
def test_no_line_is_wider_than_the_screen_and_no_letter_is_lost(rows: list[tuple[str, str, str]], width: int) -> None:
    lines = list(table(COLUMNS, [[[Part(text)] for text in row] for row in rows], Screen(width, False)))
    assert all(cell_len(line) <= width for line in lines)
    heads = "".join(line for column in COLUMNS for line in column.head)
    put = sorted("".join(text for row in rows for text in row) + heads)
    assert [letter for letter in put if letter not in " "] == sorted(
        letter for line in lines for letter in line if letter not in " ─"
    )


@given(text=WORDS, width=st.integers(LEAST, 60))
def test_a_line_breaks_between_words_where_it_can(text: str, width: int) -> None:
    lines = folded(text, width)
    assert all(cell_len(line) <= width for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    if all(cell_len(word) <= width for word in text.split(" ")):
        assert [word for line in lines for word in line.split()] == text.split()


def test_colours_are_for_screens_that_show_them() -> None:
    rows = [[[Part("x", "bold red")]]]
    plain, coloured = (list(table((Column(("h",)),), rows, Screen(80, shows))) for shows in (False, True))
    assert "x" in plain
    assert "\x1b[1;31mx\x1b[0m" in coloured
    assert GAP not in plain[1]
