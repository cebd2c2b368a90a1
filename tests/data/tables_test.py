"""Tables: kinds of columns, rows as numbers and back, words for what does not fit."""

import datetime
import decimal
import fractions
import json
import uuid

import numpy as np
import pandas as pd
import pytest

from infovae_jax import data
from infovae_jax.data import columns, intake, kinds, new_rows, tables
from infovae_jax.errors import ConfigError, DataError

RNG = np.random.default_rng(0)
N = 200


@pytest.fixture
def frame():
    """A column of each kind, and of each kind that is left out."""
    return pd.DataFrame(
        {
            "row": np.arange(N),
            "age": RNG.normal(40, 9, N),
            "colour": RNG.choice(["red", "green", "blue"], N),
            "member": RNG.random(N) < 0.3,
            "rooms": RNG.integers(1, 5, N),
            "visits": RNG.poisson(30, N),
            "name": [f"person {i}" for i in range(N)],
            "planet": ["earth"] * N,
            "species": RNG.choice(["ada", "bob"], N),
        }
    )


def learned(frame, kinds=None, missing="refuse", label="species"):
    return columns.learn(frame, np.arange(150), kinds or {}, missing, "here", label)


def test_kinds(frame):
    found = {c.name: c.kind for c in learned(frame).columns}
    assert found == {
        "row": "ignore",
        "age": "numeric",
        "colour": "categorical",
        "member": "binary",
        "rooms": "categorical",
        "visits": "numeric",
        "name": "ignore",
        "planet": "ignore",
    }
    assert {c.kind for c in learned(frame, {"rooms": "count"}).used} >= {"count"}
    assert "'count'" in learned(frame).columns[5].why
    for other in (frame.assign(visits=-frame["visits"]), frame[["row", "age"]]):
        lines = "\n".join(learned(other, label=None).decision())
        assert "'count'" not in lines
    lines = "\n".join(learned(frame).decision())
    for words in ("row numbers", "constant, 'earth'", "different text in every row"):
        assert words in lines


def test_rows_and_back(frame):
    scheme = learned(frame, {"visits": "count"})
    x = scheme.encode(frame, "here")
    assert x.shape == (N, 1, scheme.width, 1)
    assert sum(b.columns * b.size for b in scheme.blocks()) == scheme.width
    at = scheme.slices()
    ages = x[:150, 0, at["age"], 0]
    assert ages.mean() == pytest.approx(0, abs=1e-6)
    assert ages.std() == pytest.approx(1, abs=1e-6)
    assert (x[:, 0, at["colour"], 0].sum(-1) == 1).all()
    back = scheme.decode(x, drawn=True)
    for name in ("colour", "member", "rooms", "visits"):
        assert (back[name].to_numpy() == frame[name].to_numpy()).all(), name
    np.testing.assert_allclose(back["age"], frame["age"], rtol=1e-5)
    text = json.dumps(columns.to_json(scheme))
    assert columns.from_json(json.loads(text)) == scheme
    older = text.replace('"package"', '"library"')
    assert columns.from_json(json.loads(older)) == scheme


@pytest.mark.parametrize("unit", [1e300, 1e-300])
def test_columns_of_any_unit_are_standardised_and_come_back(frame, unit):
    scheme = learned(frame.assign(age=frame["age"] * unit))
    x = scheme.encode(frame.assign(age=frame["age"] * unit), "here")
    usual = learned(frame).encode(frame, "here")
    np.testing.assert_allclose(x, usual, rtol=1e-4, atol=1e-6)
    back = scheme.decode(x)["age"] / unit
    np.testing.assert_allclose(back, frame["age"], rtol=1e-5)


@pytest.mark.parametrize("kind", ["category", "string", "object"])
def test_texts_of_any_type_are_the_same(frame, kind):
    scheme = learned(frame)
    other = frame.assign(colour=frame["colour"].astype(kind))
    np.testing.assert_array_equal(
        scheme.encode(other, "here"), scheme.encode(frame, "here")
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda f: f.drop(columns="age"), ("no column 'age'", "on: age, colour, me")),
        (lambda f: f.rename(columns={"age": " AGE "}), ("did you mean ' AGE '",)),
        (lambda f: f.replace({"colour": {"red": "pink"}}), ("'pink'", "known are")),
        (lambda f: f.assign(age=[np.nan] * N), ("missing value", "'age', row 5")),
        (lambda f: f.assign(age=["x"] * N), ("'x' is no number", "row 5")),
        (lambda f: f.assign(age=[np.inf] * N), ("inf", "row 5")),
    ],
)
def test_rows_that_do_not_fit(frame, raises_line, change, words):
    scheme = learned(frame)
    with raises_line(DataError, 3, *words):
        scheme.encode(change(frame), "here", 5)


def test_missing_values(frame, raises_line):
    frame.loc[7, "age"] = np.nan
    frame.loc[9, "colour"] = None
    with raises_line(DataError, 3, "1 missing value in column 'age'", "row 7"):
        learned(frame)
    many = "row 7; 1 in 'colour'; 200 in 'c0'; 200 in 'c1'"
    with raises_line(DataError, 3, many, "and in 3 more", "data.columns='age"):
        kinds.require_whole(frame.assign(**{f"c{i}": None for i in range(7)}), "here")
    scheme = learned(frame, missing="impute")
    back = scheme.decode(scheme.encode(frame, "here"))
    assert back["age"][7] == pytest.approx(frame["age"][:150].mean(), rel=1e-6)
    assert back["colour"][9] == frame["colour"][:150].mode()[0]
    assert "1 missing value becomes the mean" in "\n".join(scheme.decision())
    assert scheme.imputed(frame) == 2
    assert scheme.imputed(frame.fillna({"age": 1, "colour": "red"})) == 0


@pytest.mark.parametrize(
    ("unknown", "others", "names"),
    [
        ("", ["ada", "bob"], ("ada", "bob")),
        ("", [1, 2], ("1", "2")),
        (-1, [0, 1, 2], ("0", "1", "2")),
        ("-1", ["ada", "bob", "eve"], ("ada", "bob", "eve")),
    ],
)
@pytest.mark.parametrize("share", [0.2, 0.0])
def test_labels_that_are_not_known(
    tmp_path, frame, data_config, unknown, others, names, share
):
    path = tmp_path / "t.csv"
    labels = np.resize([*others, unknown], N).astype(object)
    frame.assign(species=labels).to_csv(path, index=False)
    config = data_config(path, label_column="species", test_fraction=share)
    dataset = data.load(config)
    hidden, known = (labels == unknown).sum(), (labels != unknown).sum()
    assert dataset.label_names == names
    assert (dataset.train_y < 0).sum() == hidden
    assert dataset.spec.labels_missing
    assert len(dataset.test_y) == round((share or 1) * known)
    assert min(dataset.test_y) == 0
    assert dataset.tests_on_training == (share == 0)
    assert f"unknown of {hidden} training examples" in dataset.decision
    (part,) = new_rows.read(path, dataset, N)
    assert (part.labels < 0).sum() == hidden


def test_two_classes_may_be_minus_one_and_one(frame):
    signs = frame.assign(species=np.resize([-1.0, 1.0, np.nan], N))
    assert learned(signs).label_levels == (-1, 1)


@pytest.mark.parametrize(
    ("kinds", "words"),
    [
        ({"agee": "numeric"}, ("did you mean 'age'",)),
        ({"age": "numbers"}, ("unknown kind 'numbers'",)),
        ({"colour": "binary"}, ("are not two",)),
    ],
)
def test_kinds_that_cannot_be(frame, raises_line, kinds, words):
    with raises_line(ConfigError, 2, "data.columns", *words):
        learned(frame, kinds)


def test_counts_that_are_none(frame, raises_line):
    with raises_line(DataError, 3, "is no count", "say 'numeric'"):
        learned(frame, {"age": "count"})
    # What training took for counts is no matter of kinds any more.
    scheme = learned(frame.assign(age=3 + np.arange(len(frame)) % 40), {"age": "count"})
    with raises_line(DataError, 3, "-1 is no count", "repair that value"):
        scheme.encode(frame.assign(age=-1), "here")


def test_the_text_of_kinds(raises_line):
    assert columns.parse("a=count, b c=ignore") == {"a": "count", "b c": "ignore"}
    assert columns.parse('{"a, b": "count"}') == {"a, b": "count"}
    assert columns.parse(None) == {}
    with raises_line(ConfigError, 2, "data.columns"):
        columns.parse("a")


@pytest.mark.parametrize("suffix", ["csv", "tsv", "parquet"])
def test_a_source_and_new_rows(tmp_path, frame, data_config, suffix):
    path = tmp_path / f"t.{suffix}"
    if suffix == "parquet":
        frame.to_parquet(path)
    else:
        frame.to_csv(path, sep=tables.SEPARATORS[path.suffix], index=False)
    dataset = data.load(data_config(path, label_column="species"))
    assert dataset.spec.likelihood == "mixed"
    assert dataset.label_names == ("ada", "bob")
    assert "age: numeric" in dataset.decision
    kept = intake.from_json(json.loads(json.dumps(intake.to_json(dataset))))
    assert kept.spec == dataset.spec
    parts = list(new_rows.read(path, kept, 64))
    assert not any(part.extra for part in parts)
    assert [part.first for part in parts] == [0, 64, 128, 192]
    x, y = (np.concatenate([p[i] for p in parts]) for i in (1, 3))
    np.testing.assert_array_equal(x[dataset.origin[0]], dataset.train_x)
    np.testing.assert_array_equal(y[dataset.origin[1]], dataset.test_y)


def test_columns_that_training_did_not_have_are_named(tmp_path, frame, data_config):
    frame.to_csv(tmp_path / "t.csv", index=False)
    dataset = data.load(data_config(tmp_path / "t.csv", label_column="species"))
    frame.assign(more=1, other=2).to_csv(tmp_path / "new.csv", index=False)
    (part,) = new_rows.read(tmp_path / "new.csv", dataset, N)
    assert part.extra == ("more", "other")


def test_new_rows_of_which_there_are_none(tmp_path, frame, data_config, raises_line):
    frame.to_csv(tmp_path / "t.csv", index=False)
    dataset = data.load(data_config(tmp_path / "t.csv", label_column="species"))
    frame[:0].to_csv(tmp_path / "new.csv", index=False)
    with raises_line(DataError, 3, "no rows", "new.csv"):
        list(new_rows.read(tmp_path / "new.csv", dataset, N))


def test_a_file_that_is_no_table(tmp_path, data_config, raises_line):
    for name, content in (
        ("a.csv", b""),
        ("b.parquet", b"PAR1 cut"),
        ("c.csv", b"a\n"),
    ):
        (tmp_path / name).write_bytes(content)
        with raises_line(DataError, 3, name):
            data.load(data_config(tmp_path / name))


def test_polars(frame):
    polars = pytest.importorskip("polars")
    scheme = learned(frame)
    other = tables.as_frame(polars.from_pandas(frame))
    np.testing.assert_array_equal(
        scheme.encode(other, "here"), scheme.encode(frame, "here")
    )
    assert tables.is_mixed(frame)
    assert tables.is_mixed(polars.from_pandas(frame))
    assert not tables.is_mixed(frame[["age", "member"]])


def test_frames_of_other_packages_keep_their_names(frame, raises_line):
    polars = pytest.importorskip("polars")
    arrow = pytest.importorskip("pyarrow")

    class GeoFrame(pd.DataFrame):
        pass

    class Dask:
        columns = ("age",)

    turned = frame[frame.columns[::-1]]
    scheme = learned(frame)
    for other in (GeoFrame(turned), arrow.Table.from_pandas(turned)):
        known = tables.known_frame(other)
        assert tables.package_of(known) == "pandas"
        assert tables.is_mixed(known)
        np.testing.assert_array_equal(
            scheme.encode(tables.as_frame(known), "here"), scheme.encode(frame, "here")
        )
    with raises_line(DataError, 3, "a polars LazyFrame", "give X.collect()"):
        tables.known_frame(polars.from_pandas(frame).lazy())
    with raises_line(DataError, 3, "Dask, a table of unknown kind", "pandas DataFrame"):
        tables.known_frame(Dask())
    for same in (frame, polars.from_pandas(frame), frame.to_numpy(), [[1.0]]):
        assert tables.known_frame(same) is same


def test_a_slip_among_numbers_costs_no_column_unsaid(
    tmp_path, data_config, raises_line
):
    income = [f"{value:.2f}" for value in np.linspace(1.0, 9.0, 100)]
    path = tmp_path / "t.csv"

    def write(slips):
        values = ["lots"] * slips + income[slips:]
        path.write_text(
            "a,income\n" + "".join(f"{i % 7},{v}\n" for i, v in enumerate(values))
        )

    write(1)
    line = (
        "1 of 100 values of column 'income' is no number, the first, 'lots', in row 0"
    )
    with raises_line(DataError, 3, line, "t.csv", "income=ignore"):
        data.load(data_config(path))
    write(20)
    with raises_line(DataError, 3, "20 of 100 values", "are no number"):
        data.load(data_config(path))
    write(40)  # no column of numbers
    assert "income: ignore" in data.load(data_config(path)).decision
    write(1)
    config = data_config(path)
    config.columns = "income=ignore"
    assert "income: ignore" in data.load(config).decision


COUNTED = "".join(f"{i},2,3\n" for i in range(40))


# A first column that counts is one that pandas takes for numbers of the rows.
@pytest.mark.parametrize("rows", ["1,2,3\n" * 40, "1,2,3,4\n" * 40, COUNTED])
def test_more_values_than_names(tmp_path, data_config, raises_line, rows):
    """pandas would take the first ones for the names of the rows."""
    path = tmp_path / "t.csv"
    path.write_text("a,b\n" + rows)
    with raises_line(DataError, 3, "names of columns", "t.csv", "first line"):
        data.load(data_config(path))
    with raises_line(DataError, 3, "names of columns"):
        list(tables.read_chunks(path, 7))


def test_words_of_a_missing_value_that_are_levels_are_none(tmp_path):
    frame = pd.DataFrame(
        {"v": few("NA", "None", "x", None), "w": few(1.5, None, 2.5, 4.0, 8.0)}
    )
    scheme = columns.learn(frame, np.arange(N), {}, "impute", "here")
    path = tmp_path / "t.csv"
    frame.to_csv(path, index=False)
    for part in (
        [tables.read_frame(path, scheme)],
        tables.read_chunks(path, 7, scheme),
    ):
        pd.testing.assert_frame_equal(pd.concat(part, ignore_index=True), frame)
    # Of other columns, and without a model, they stay what pandas takes them for.
    path.write_text("v\n" + "".join(f'"{word}"\n' for word in tables.NA_WORDS))
    assert tables.read_frame(path).isna().all(axis=None)
    found = tables.read_frame(path, scheme)["v"].dropna()
    assert sorted(found) == ["NA", "None"]


def test_a_blank_line_of_a_single_column_is_a_row(tmp_path):
    path = tmp_path / "t.csv"
    for text, rows in (
        ("a\n1.0\n\n2.0\n3.0\n", 4),
        ("\ufeff\r\na\r\n1.0\r\n\r\n2.0\r\n3.0", 4),
        ("a,b\n1.0,1\n\n2.0,1\n3.0,1\n\n", 3),
    ):
        path.write_text(text, newline="")
        for part in ([tables.read_frame(path)], tables.read_chunks(path, 2)):
            found = pd.concat(part)["a"].tolist()
            assert len(found) == rows, text
            np.testing.assert_array_equal(
                found, [1.0, np.nan, 2.0, 3.0] if rows == 4 else [1.0, 2.0, 3.0]
            )


@pytest.mark.parametrize("suffix", [".csv", ".tsv"])
def test_two_columns_of_one_name_in_a_file(tmp_path, data_config, raises_line, suffix):
    path = tmp_path / f"t{suffix}"
    text = "age,b,age\n" + "1,2,3\n" * 40
    path.write_text(text if suffix == ".csv" else text.replace(",", "\t"))
    words = "two columns called 'age'", path.name, "rename one"
    with raises_line(DataError, 3, *words):
        data.load(data_config(path))
    with raises_line(DataError, 3, *words):
        list(tables.read_chunks(path, 7))
    path.write_text(path.read_text().replace("age", ""))  # two without a name
    assert len(tables.read_frame(path).columns) == 3


def test_a_comma_at_the_end_of_each_row_names_nothing(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a,b\n" + "".join(f"{i},{2 * i},\n" for i in range(10)))
    for part in ([tables.read_frame(path)], tables.read_chunks(path, 2)):
        frame = pd.concat(part)
        assert list(frame["a"]) == list(range(10))
        assert list(frame["b"]) == list(range(0, 20, 2))


def test_kinds_that_are_nested_deep(raises_line):
    for text in ('{"a":' + "[" * 4000, '{"":' * 1000):
        with raises_line(ConfigError, 2, "data.columns"):
            columns.parse(text)


def test_any_damage_to_a_parquet_file_is_one_line(tmp_path, frame):
    path = tmp_path / "t.parquet"
    frame.to_parquet(path)
    whole, chance, refused = path.read_bytes(), np.random.default_rng(0), 0
    for _ in range(60):
        content = bytearray(whole)
        for at in chance.integers(len(whole), size=3):
            content[at] ^= 1 << chance.integers(8)
        path.write_bytes(content)
        try:
            tables.read_frame(path)
        except DataError:
            refused += 1
    assert refused > 5


def test_names_of_columns_are_shown_harmlessly(tmp_path, frame, data_config):
    frame.rename(columns={"age": "\x1b[31mage\nold"}).to_csv(
        tmp_path / "t.csv", index=False
    )
    decision = data.load(data_config(tmp_path / "t.csv")).decision
    assert "\\x1b[31mage\\nold: numeric" in decision
    assert "\x1b" not in decision


def few(*values):
    return [values[i % len(values)] for i in range(N)]


@pytest.mark.parametrize(
    ("values", "kind", "told"),
    [
        ([decimal.Decimal(i) / 7 for i in range(N)], "numeric", float),
        (few(*map(fractions.Fraction, ("1/3", "2/3", "4/3"))), "numeric", float),
        (few(decimal.Decimal("1.5"), decimal.Decimal(2)), "binary", float),
        (few(decimal.Decimal("1.00"), decimal.Decimal(2)), "binary", int),
        (pd.cut(np.arange(N), 4), "categorical", str),
        (few(*pd.interval_range(0, 3)), "categorical", str),
        (pd.PeriodIndex(few("2020", "2021", "2023"), freq="Y"), "categorical", str),
        (few(*map(uuid.UUID, ("1" * 32, "2" * 32))), "binary", str),
        (few(1, "a"), "binary", lambda value: value),
        (few(2.5, "a", 1), "categorical", lambda value: value),
    ],
)
def test_values_that_json_does_not_hold_become_such(values, kind, told):
    frame = pd.DataFrame({"v": values, "w": few("x", "y")})
    scheme = columns.learn(frame, np.arange(150), {}, "refuse", "here")
    assert tables.is_mixed(frame)
    assert scheme.columns[0].kind == kind
    again = columns.from_json(json.loads(json.dumps(columns.to_json(scheme))))
    assert again == scheme
    back = again.decode(again.encode(frame, "here"))
    for value, want in zip(back["v"], values, strict=True):
        assert type(value) is type(told(want)) or kind == "numeric"
        assert value == (
            pytest.approx(float(want), abs=1e-4) if kind == "numeric" else told(want)
        )


@pytest.mark.parametrize(
    "values",
    [
        few(*pd.to_datetime(["2020-01-01", "2020-01-02", "2021-01-01"])),
        pd.Categorical(few(*pd.to_datetime(["2020-01-01", "2020-01-02"]))),
        few(datetime.date(2020, 1, 1), datetime.date(2020, 1, 2)),
        few(datetime.time(1), datetime.time(2), None),
    ],
)
def test_dates_of_any_type_are_left_out(values, raises_line):
    frame = pd.DataFrame({"v": values})
    assert tables.is_mixed(frame)
    with raises_line(DataError, 3, "no column can be used (v: dates;"):
        columns.learn(frame, np.arange(9), {}, "refuse", "here")
    frame["w"] = few("x", "y")
    with raises_line(DataError, 3, "a date in place of", "column 'v', row 0"):
        columns.learn(frame, np.arange(9), {"v": "categorical"}, "refuse", "here")
    with raises_line(DataError, 3, "a date in place of", "label_column 'v'"):
        columns.learn(frame.dropna(), np.arange(9), {}, "refuse", "here", "v")


def test_dates_of_a_csv_are_left_out():
    times = ["2020-01-01", "2020-01-02T13:05:09Z", "2021-12-31 08:00", None]
    frame = pd.DataFrame({"v": times * 3, "w": list("xyxy") * 3})
    (first, _) = columns.learn(frame, np.arange(9), {}, "refuse", "here").columns
    assert (first.kind, first.why.split(";")[0]) == ("ignore", "dates")
    for other in ("2020-13-01", "2020", "soon", "2020-W01-1"):
        frame.loc[0, "v"] = other
        (first, _) = columns.learn(frame, np.arange(9), {}, "impute", "here").columns
        assert first.kind == "categorical"


def test_a_frame_read_with_another_separator(frame, raises_line):
    joined = pd.DataFrame({"id;age;visits": ["1;40;2", "2;41;7"]})
    for read in (learned(frame).encode, lambda f, where: learned(f, label=None)):
        with raises_line(DataError, 3, "'id;age;visits'", "sep=';'"):
            read(joined, "here")
    numbers = pd.DataFrame({"a|b": [1.0, 2.5, 7.0] * 60})
    assert learned(numbers, label=None).used[0].name == "a|b"


def test_columns_that_tell_rows_apart_stay_beside_them(tmp_path, frame, data_config):
    number = [f"{i:04}" for i in range(N)]
    frame = frame.assign(number=number, note="same")
    frame.to_csv(tmp_path / "t.csv", index=False)
    dataset = data.load(
        data_config(tmp_path / "t.csv", columns="number=ignore", label_column="species")
    )
    parts = list(new_rows.read(tmp_path / "t.csv", dataset, 64))
    assert [set(part.ids) for part in parts] == [{"row", "name", "number"}] * 4
    assert [n for part in parts for n in part.ids["number"]] == number
    assert list(kinds.texts(pd.Series([1.0, np.nan, 3.0]))) == ["1", "", "3"]
    assert list(kinds.texts(pd.Series([np.inf, 1e300]))) == ["inf", "1e+300"]


@pytest.mark.parametrize("values", [few(b"a", b"b"), few((1, 2)), few(1j), few({})])
def test_values_of_no_use_are_told(values, raises_line):
    objects = pd.Series([None, *values[1:]], dtype=object)
    frame = pd.DataFrame({"v": objects, "w": few("x", "y")})
    with raises_line(DataError, 3, "in place of numbers or texts in column 'v', row 1"):
        columns.learn(frame, np.arange(9), {}, "impute", "here")
    scheme = columns.learn(frame, np.arange(9), {"v": "ignore"}, "refuse", "here")
    assert [c.name for c in scheme.used] == ["w"]


@pytest.mark.parametrize(
    ("levels", "values", "numbers"),
    [
        ((1, "x"), ["1", "x", "1.0", None, "2"], [0, 1, 0, -1, -1]),
        (("1", "2", "3"), [3.0, 1.0, np.nan, 1.5], [2, 0, -1, -1]),
        (("1", "2", "3"), ["3", "1.0", "x"], [2, 0, -1]),
        (("01", "1"), [1], [1]),
        (("01", "1"), ["1.0", "01"], [-1, 0]),
        (("False", "True"), [True, False], [1, 0]),
        ((False, True), ["True", "False", "1"], [1, 0, -1]),
        (("nan", "x"), [np.nan, 1.0], [-1, -1]),
        ((1, 10), ["1_0", "1"], [-1, 0]),
    ],
)
def test_numbers_and_their_texts_are_the_same_level(levels, values, numbers):
    found = kinds.level_numbers(pd.Series(values), levels)
    assert found.tolist() == numbers
    assert found.dtype == np.int32
    found = kinds.level_numbers(pd.Series(values, dtype="category"), levels)
    assert found.tolist() == numbers


def test_numbers_beside_bools_and_texts_are_a_table():
    assert tables.is_mixed(pd.DataFrame({"v": few(1, "a")}))
    assert not tables.is_mixed(pd.DataFrame({"v": few(*map(decimal.Decimal, "123"))}))


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("t.csv", "a;b\n1,5;2\n", ("by ';' and not by ','", "sep=';', decimal=','")),
        ("t.csv", "a;b;c\n1.5;2;3\n", ("by ';'", "'t.csv', sep=';')")),
        ("t.csv", "a\tb\n1\t2\n", ("by '\\t'", "sep='\\t'")),
        ("t.tsv", "a,b\n1,2\n", ("by ',' and not by '\\t'", "sep=','")),
    ],
)
def test_another_separator_is_told(
    tmp_path, data_config, raises_line, name, text, words
):
    (tmp_path / name).write_text(text + text.partition("\n")[2] * 40)
    with raises_line(DataError, 3, name, *words):
        data.load(data_config(tmp_path / name))
    with raises_line(DataError, 3, name, *words):
        list(tables.read_chunks(tmp_path / name, 7))


@pytest.mark.parametrize("first", ["1,5", "-1,25", "1,234.5"])
def test_numbers_with_commas_are_no_categories(raises_line, first):
    frame = pd.DataFrame({"v": ["7", "8", None, first], "w": list("xyxy")})
    words = f"numbers with a comma, '{first}', in column 'v', row 3", "decimal=','"
    for more in (1, 60):
        other = [f"{i},5" for i in range(more)]
        longer = pd.DataFrame({"v": other, "w": "x"})
        with raises_line(DataError, 3, *words, "v=categorical"):
            columns.learn(
                pd.concat([frame, longer]), np.arange(3), {}, "impute", "here"
            )
    said = columns.learn(frame, np.arange(3), {"v": "categorical"}, "impute", "here")
    assert said.columns[0].kind == "categorical"
    texts = pd.DataFrame({"v": ["Bonn, Rhein", "1,5", "a", "b"]})
    found = columns.learn(texts, np.arange(3), {}, "refuse", "here")
    assert found.columns[0].kind == "categorical"
