from __future__ import annotations

import pytest

from hub.imports.table import MOST_BYTES, BadTable, read


@pytest.mark.parametrize(
    "content",
    [
        "Tên,Điểm\nBình,5\n\n".encode(),
        "\ufeffTên;Điểm\r\nBình;5\r\n".encode(),
        "Tên\tĐiểm\nBình\t5".encode("utf-16"),
        '"Tên"|"Điểm"\n"Bình"|"5"'.encode(),
    ],
)
def test_tables_are_read_as_spreadsheets_write_them(content: bytes) -> None:
    table = read(content)
    assert table.headings == ("Tên", "Điểm")
    assert table.rows == ((2, ("Bình", "5")),)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no rows"),
        (b"a,b\n", "no rows"),
        (b"PK\x03\x04rest", "Excel workbook"),
        (b"a,b\n1,2\n\xff\xe9,3\n", "Line 3 is not UTF-8"),
        (b"a,b\n\0,2\n", "no text"),
        (b'a,b\n"never closed,2\n', "no CSV"),
        (b"a,b\n" + b"x" * 10_001 + b",2\n", "Line 2 holds a cell"),
        (b"a" * (MOST_BYTES + 1), "larger than 50 MB"),
    ],
)
def test_what_is_no_table_is_refused_in_a_sentence(content: bytes, said: str) -> None:
    with pytest.raises(BadTable, match=said):
        read(content)
