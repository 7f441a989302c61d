import io
import re
import xml.etree.ElementTree as ET

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text

from learnt.core.estimate import Estimate
from learnt.core.matrix import ComparisonMatrix
from learnt.core.panels import Chart
from learnt.report import charts, drawings

KINDS = ("agreement", "accuracy", "kl", "ece", "localisation", "starc", "nothing", "ceiling", "invariance[blur]")


def saved(ax: Axes) -> bytes:
    buffer = io.BytesIO()
    ax.figure.savefig(buffer, format="png", dpi=60)
    return buffer.getvalue()


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_of_picture_is_drawn(make, name):
    ax = make.comparison().plot(name)
    assert isinstance(ax, Axes)
    assert saved(ax).startswith(b"\x89PNG")


def test_drawing_on_given_axes_uses_them(make):
    ax = Figure().add_subplot()
    assert make.comparison().plot("kl", ax) is ax


def test_the_backend_and_settings_of_the_user_stay(make):
    before, backend = dict(mpl.rcParams), mpl.rcParams._get_backend_or_none()
    for name in KINDS:
        make.comparison().plot(name)
    assert dict(mpl.rcParams) == before
    assert mpl.rcParams._get_backend_or_none() == backend


def test_marks_of_matplotlib_are_the_replicas(make):
    ax = charts.draw(make.answer(), make.comparison())
    points = np.concatenate(
        [c.get_offsets() for c in ax.collections if hasattr(c, "get_offsets") and len(c.get_offsets()) == 5]
    )
    assert {round(float(x), 6) for x, _ in points} == {93.0, 94.0, 94.5, 95.0, 89.0, 90.0, 91.0}


def test_hostile_labels_are_never_mathematics(make):
    drawn = 0
    for payload in ("$\\frac", "_$x_1^2$<b>\x00{{x}}%\\"):
        c = make.hostile(payload)
        for answer in c.answers:
            ax = charts.draw(answer, c)
            assert saved(ax).startswith(b"\x89PNG")
            texts = [t for t in ax.figure.findobj(Text) if "$" in t.get_text()]
            assert all(not t.get_parse_math() or r"\$" in t.get_text() for t in texts)
            drawn += len(texts)
    assert drawn > 0, "no hostile label was drawn at all"


def test_a_matrix_is_drawn_with_its_names(make):
    one, half = Estimate.exact(1.0), make.estimate(0.5)
    matrix = ComparisonMatrix(question="Alike?", name="agreement", unit="share", names=("x", "$y$"), cells=((one, half), (Estimate.undefined("?"), one)), data="d")  # fmt: skip
    ax = matrix.plot()
    assert [t.get_text() for t in ax.get_xticklabels()] == ["x", "$y$"]
    assert "0.50" in {t.get_text() for t in ax.texts}
    saved(ax)


@pytest.mark.parametrize("name", KINDS)
def test_svg_is_well_formed_small_and_named(make, name):
    c = make.comparison()
    text = charts.svg(c[name], c)
    root = ET.fromstring(text)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert root[0].tag.endswith("title")
    assert root[1].tag.endswith("desc")
    assert (root[1].text or "").strip()
    assert len(text.encode()) < 40_000
    assert charts.svg(make.comparison()[name], make.comparison()) == text


def test_svg_holds_text_and_adapts_to_the_theme(make):
    text = charts.svg(make.answer(), make.comparison())
    assert "<text" in text
    assert "KL students" in text
    assert "94.1 % [93.1, 95.1]" in text
    assert "var(--learnt-b,#0072B2)" in text
    assert 'fill="currentColor"' in text
    assert "nan" not in text


def test_hostile_labels_stay_text_in_svg(make):
    for payload in make.payloads:
        c = make.hostile(payload)
        for answer in c.answers:
            root = ET.fromstring(charts.svg(answer, c))
            for element in root.iter():
                assert element.tag.split("}")[1] in {
                    "svg",
                    "title",
                    "desc",
                    "text",
                    "line",
                    "rect",
                    "circle",
                    "path",
                }, payload
                assert not [k for k in element.attrib if k.startswith("on") or "href" in k or k == "style"], payload


def places(text: str) -> list[float]:
    return [float(x) for x in re.findall(r' (?:x|x1|x2|cx)="(-?[0-9.]+)%"', text)]


def test_marks_lie_inside_the_drawing(make):
    for name in KINDS:
        c = make.comparison()
        for _, text in charts.svg_panels(c[name], c):
            assert all(-0.01 <= x <= 100.01 for x in places(text)), name


def test_marks_are_in_the_order_of_the_values(make):
    answer = make.answer(replicas={"b": (0.91, 0.95), "control": ()})
    text = charts.svg(answer, make.comparison())
    x = [float(v) for v in re.findall(r'<circle cx="([0-9.]+)%"', text)]
    assert x == sorted(x)
    assert len(x) == 2


def test_large_heat_maps_are_averaged_to_stay_small(make):
    values = np.random.default_rng(0).random((200, 300))
    chart = Chart(kind="heatmap", series={"b": values}, alt="A large map.")
    ((_, text),) = drawings.heatmap(chart, ["b"], title="t")
    assert len(text) < 40_000
    pooled = drawings.blocks(values)
    assert pooled.size <= drawings.CELLS
    assert drawings.blocks(np.full((100, 100), 0.3)) == pytest.approx(0.3)


def test_missing_cells_stay_empty():
    assert np.isnan(drawings.blocks(np.full((2, 2), np.nan))).all()
    pooled = drawings.blocks(np.where(np.arange(4096).reshape(64, 64) % 2, np.nan, 1.0))
    assert pooled == pytest.approx(1.0)


def test_lines_break_where_values_are_missing():
    chart = Chart(kind="lines", series={"b": np.array([0.1, np.nan, 0.3, 0.4])}, x=np.arange(4.0), low=0.0, high=1.0)
    text = drawings.lines(chart, ["b"], title="t")
    path = re.search(r' d="(M[^"]+)"', text)
    assert path
    assert path[1].count("M") == 2


@pytest.mark.parametrize("kind", ["bars", "lines", "heatmap"])
@pytest.mark.parametrize("values", [[np.nan, np.nan], [0.0, 0.0], [1e300, -1e300], [np.inf, 1.0]])
def test_odd_values_are_drawn_without_nan(make, kind, values):
    series = {"b": np.array([values, values]) if kind == "heatmap" else np.array(values)}
    answer = make.answer(chart=Chart(kind=kind, series=series, x=("x", "y") if kind == "bars" else ()))
    with np.errstate(all="ignore"):
        text = charts.svg(answer, make.comparison())
    ET.fromstring(text)
    assert "nan" not in re.sub(r">[^<]*<", "", text)


def test_the_sides_keep_their_looks_in_bars(make):
    from learnt.report.palette import CONTROL, A, B, bar_inks

    chart = Chart(kind="bars", series={"kept": np.ones(3)}, x=("A", "B", "control"))
    assert bar_inks(chart) == [[A, B, CONTROL]]
    named = charts.svg(make.answer(chart=chart), make.comparison())
    assert ">teacher<" in named
    assert ">independent students<" in named
