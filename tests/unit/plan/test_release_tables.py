"""Tables that name many sessions: one entry for each row, paths filled from its columns."""

import pytest

from spikeline.errors import InputError
from spikeline.plan.release_tables import sessions_of_table

ROWS = "session\trat\nA_1\tA\nA_2\tA\nB_1\tB\n"


def entry(path, **more):
    return {
        "kind": "arrays", "table": str(path), "name": "session", "group": "rat",
        "times": "${DATA}/{session}/times.npy", "clusters": "/data/{rat}/{session}.npy",
        "min_units": 10, **more,
    }  # fmt: skip


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "sessions.tsv"
    path.write_text(ROWS)
    return path


def test_a_row_is_a_session_and_its_columns_fill_the_paths(table):
    found = sessions_of_table("rats", entry(table))["rats"]
    assert set(found) == {"A_1", "A_2", "B_1"}
    assert found["A_2"]["clusters"] == "/data/A/A_2.npy"
    # a variable's braces are no column's
    assert found["A_2"]["times"] == "${DATA}/A_2/times.npy"
    assert found["A_2"]["min_units"] == 10
    assert not {"table", "name", "group"} & set(found["A_2"])


def test_a_cohort_may_name_the_sessions_of_one_animal(table):
    found = sessions_of_table("rats", entry(table))
    assert list(found["rats-A"]) == ["A_1", "A_2"]
    assert list(found["rats-B"]) == ["B_1"]
    assert set(sessions_of_table("rats", entry(table, group=None))) == {"rats"}


def test_the_first_sessions_are_of_many_animals(table):
    assert list(sessions_of_table("rats", entry(table))["rats"]) == ["A_1", "B_1", "A_2"]


def test_commas_separate_the_columns_of_a_csv(tmp_path):
    path = tmp_path / "sessions.csv"
    path.write_text(ROWS.replace("\t", ","))
    assert set(sessions_of_table("rats", entry(path))["rats-A"]) == {"A_1", "A_2"}


@pytest.mark.parametrize(
    ("rows", "more", "words"),
    [
        (ROWS, {"name": "sesion"}, "name: unknown column 'sesion'.*did you mean 'session'"),
        (ROWS, {"group": "mouse"}, "group: unknown column 'mouse'"),
        (ROWS, {"times": "/data/{probe}.npy"}, "times: unknown column 'probe'"),
        (ROWS + "A_1\tA\n", {}, "two rows are named 'A_1'"),
        (ROWS + "../x\tA\n", {}, "a name begins with a letter"),
        ("session\trat\n", {}, "names no session"),
    ],
)
def test_a_table_that_does_not_fit_is_one_line(tmp_path, rows, more, words):
    path = tmp_path / "sessions.tsv"
    path.write_text(rows)
    with pytest.raises(InputError, match=words) as said:
        sessions_of_table("rats", entry(path, **more))
    assert "\n" not in str(said.value)


def test_a_table_that_is_not_there_says_so(tmp_path):
    with pytest.raises(InputError, match="download the table first"):
        sessions_of_table("rats", entry(tmp_path / "none.tsv"))
