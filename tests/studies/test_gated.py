"""The study of gated networks: resuming, records and pictures, and what each figure claims, with its control."""

import json
import re
import shutil

import numpy as np
import pytest

from learnt.core.errors import InputError, Interrupted, ResumeError
from learnt.studies import (
    gated,
    gated_depth,
    gated_digits,
    gated_init,
    gated_order,
    gated_race,
    gated_relu,
    gated_routing,
    gated_xor,
    gated_zeroshot,
)
from learnt.studies.gated import FIGURES, NAMES, gated_study, planned
from learnt.studies.gated_page import page
from learnt.studies.gated_plan import Claim, Options, mean_of, rounded, seeds_of, thinned
from learnt.studies.programs_tables import Sheet

MADE = ("gated.json", "record.txt", "record.md", "figures.html")


def results(path):
    """The record without what differs from run to run: times and commands."""
    record = json.loads((path / "gated.json").read_text())
    for entry in record["results"]:
        entry["result"].pop("seconds")
        entry["result"].pop("made")
    return record["results"]


def pick(items, **wanted):
    """The first item with these fields."""
    return next(item for item in items if all(item[name] == value for name, value in wanted.items()))


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    return tmp_path_factory.mktemp("gated")


@pytest.fixture(scope="module")
def study(out):
    return gated_study(out, only=("routing",), seeds=2, quiet=True)


# ---------------------------------------------------------------------------------------------------------
# the study


def test_the_record_says_when_where_and_by_which_command_and_what_must_hold(study, out):
    record = json.loads((out / "gated.json").read_text())
    assert record["schema"] == "learnt.gated-study/1" and record["commands"] and record["seed"] == 0
    made = record["results"][0]["result"]["made"]
    assert made["cores"] >= 1 and made["processor"] and made["versions"]["numpy"] and len(made["date"]) == 10
    assert (out / "record.txt").read_text() == f"{study}\n" and (out / "record.md").read_text() == study.markdown()
    for claim in study.claims():
        assert claim.holds, claim
        assert claim.statement in str(study) and claim.found in study.markdown()
    assert "one thread a process" in str(study) and "![Routing" in study.markdown()


def test_pictures_are_there_in_two_formats_and_on_one_page_that_asks_for_nothing(study, out):
    assert (out / "figures" / "routing.png").read_bytes()[:4] == b"\x89PNG"
    assert b"<svg" in (out / "figures" / "routing.svg").read_bytes()
    text = (out / "figures.html").read_text()
    assert "default-src 'none'" in text and "<script" not in text
    assert not re.search(r"(src|href)=[\"'](?!data:)", text)
    caption = FIGURES[1].caption(study["routing"])
    assert "w = 2/28" in caption and "control" in caption and "2 random orthogonal starts" in caption


def test_running_again_computes_nothing_and_leaves_the_same_bytes(study, out, listing, monkeypatch):
    before = listing(out)
    for name in MADE:
        (out / name).unlink()
    for path in (out / "figures").iterdir():
        path.unlink()
    monkeypatch.setattr(gated, "worked", lambda item, data: 1 / 0)
    again = gated_study(out, only=("routing",), seeds=2, quiet=True)
    assert listing(out) == before and again.to_dict() == study.to_dict()


@pytest.fixture
def tiny(monkeypatch):
    """The figure of depth with large steps, as one of the figures of the study; what its work is called with."""
    calls, real = [], gated_depth.FIGURE

    def items(options):
        return [
            item | {"lr": 0.05, "steps": round(gated_depth.ENDS[item["layers"]] / 0.05)} for item in real.items(options)
        ]

    def work(item, data):
        calls.append(item)
        if len(calls) == 3:
            raise Interrupted("training", found="a signal", expected="the end")
        return real.work(item, data)

    monkeypatch.setattr(
        gated, "FIGURES", tuple(real._replace(items=items, work=work) if f.name == "depth" else f for f in FIGURES)
    )
    return calls


def test_an_interrupted_study_goes_on_to_the_same_bytes(tiny, tmp_path):
    with pytest.raises(Interrupted, match="2 of 5 chunks"):
        gated_study(tmp_path / "a", only=("depth",), quiet=True)
    assert not (tmp_path / "a" / "gated.json").exists()
    gated_study(tmp_path / "a", only=("depth",), quiet=True)
    assert len(tiny) == 6  # the finished ones were not done again
    gated_study(tmp_path / "b", only=("depth",), quiet=True)
    assert results(tmp_path / "a") == results(tmp_path / "b")
    for name in ("depth.png", "depth.svg"):
        assert (tmp_path / "a" / "figures" / name).read_bytes() == (tmp_path / "b" / "figures" / name).read_bytes()


def test_the_numbers_do_not_depend_on_the_number_of_jobs(study, out, tmp_path):
    gated_study(tmp_path, only=("routing",), seeds=2, jobs=2, quiet=True)
    assert results(tmp_path) == results(out)
    for name in ("routing.png", "routing.svg"):
        assert (tmp_path / "figures" / name).read_bytes() == (out / "figures" / name).read_bytes()


def test_a_figure_asked_for_again_replaces_its_earlier_version_and_others_stay(study, out, tiny, tmp_path):
    place = shutil.copytree(out, tmp_path / "copy")
    tiny += [None] * 3  # no interruption
    before = (place / "figures" / "routing.png").read_bytes()
    both = gated_study(place, only=("depth",), quiet=True)
    assert [f.name for f in both.figures] == ["routing", "depth"] and len(both["depth"]) == 5
    assert (place / "figures" / "routing.png").read_bytes() == before
    again = gated_study(place, only=("routing",), seeds=1, quiet=True)
    assert [item["seeds"] for item, _ in again["routing"] if item["part"] == "random"] == [1]
    assert (place / "figures" / "routing.png").read_bytes() != before and len(again["depth"]) == 5
    with pytest.raises(InputError, match="xor"):
        again["xor"]
    with pytest.raises(ResumeError, match="seed"):
        gated_study(place, only=("depth",), seed=3, quiet=True)
    (place / "gated.json").write_text('{"schema": "other"}')
    with pytest.raises(ResumeError, match="another kind"):
        gated_study(place, only=("depth",), quiet=True)


def test_the_command_line_runs_it_and_refuses_what_has_no_meaning(learnt, out, study, tmp_path):
    code, said, _ = learnt("study", "gated", "--only", "routing", "--seeds", "2", "--out", out)
    assert code == 0 and "77, 158, 328" in said
    code, _, error = learnt("study", "gated", "--only", "sorting", "--out", tmp_path / "x")
    assert code == 2 and "sorting" in error and "zeroshot" in error
    assert learnt("study", "gated", "--seeds", "0", "--out", tmp_path / "x")[0] == 2
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("only", [(), ("xor", "xor"), ("table1",), "xor"], ids=str)
def test_figures_that_are_none_are_refused(only):
    with pytest.raises(InputError, match="only"):
        planned(only, Options())


@pytest.mark.parametrize("settings", [{"scale": "huge"}, {"seeds": 0}, {"seeds": True}, {"seed": -1}], ids=str)
def test_settings_without_meaning_are_refused(settings):
    with pytest.raises(InputError):
        Options(**settings)


def test_every_item_has_a_name_of_its_own_and_the_seed_of_the_study_changes_all():
    for scale in ("small", "paper"):
        items = planned(NAMES, Options(scale=scale, images="mnist"))
        assert len({json.dumps(item, sort_keys=True) for item in items}) == len(items)
    others = planned(NAMES, Options(seed=1))
    assert not {item["seed"] for item in planned(NAMES, Options())} & {item["seed"] for item in others}


def test_more_seeds_leave_the_first_ones_as_they_are():
    few, many = (Options(seeds=n).item("xor", "given", seeds=n) for n in (2, 5))
    assert seeds_of(many)[:2] == seeds_of(few) and len(set(seeds_of(many))) == 5


def test_intervals_hold_the_mean_narrow_with_seeds_and_are_none_for_one_seed():
    draws = np.random.default_rng(0).normal(size=64) + 10
    few, many = mean_of(draws[:4], "a"), mean_of(draws, "a")
    assert few.low < few.mean < few.high and many.high - many.low < few.high - few.low
    assert many.low < 10 < many.high and mean_of(draws, "a") == many
    assert mean_of([3.0], "a") == (3.0, 3.0, 3.0) and str(mean_of([3.0], "a")) == "3"
    assert mean_of([0.1, 5.0, 0.2], "a", floor=0.0).low == 0.0


def test_curves_are_thinned_with_both_ends_and_rounded_to_digits():
    assert thinned(1001, 5).tolist() == [0, 250, 500, 750, 1000] and thinned(3).tolist() == [0, 1, 2]
    assert rounded([[1 / 3, 2e-9]], 3) == [[0.333, 2e-9]] and rounded(np.pi, 2) == 3.1


def test_text_on_the_page_cannot_act():
    sheet = Sheet(title="<script>", columns=("<b>",), rows=(("NO",), ("&",)))
    text = page("<i>", ["<img src=x>"], [("</h2>", '"><script>', b"<svg/>", [sheet])])
    assert "<script" not in text and "<img src=x>" not in text and 'class="no"' in text


# ---------------------------------------------------------------------------------------------------------
# the figures


def test_check_7_and_8_prediction_equals_simulation_and_would_not_from_another_start(study):
    for _, r in study["routing"][:2]:
        assert r["exact"] and r["difference"] < 1e-10 < 0.1 < r["wrong_start"]
    entries = [(item, r | {"difference": r.get("wrong_start", 0)}) for item, r in study["routing"]]
    assert sum(not claim.holds for claim in gated_routing.claims(entries)) == 2  # the claims can fail


def test_check_25_calibration_helps_against_the_uncalibrated_control(study):
    _, r = study["routing"][2]
    assert gated_routing._errors(r, "predicted").mean() < 0.15 < 0.5 < gated_routing._errors(r, "uncalibrated").mean()


@pytest.fixture(scope="module")
def xor():
    items = [item | {"lr": 0.05, "steps": 240} for item in gated_xor.items(Options(seeds=2)) if item["part"] == "given"]
    return [(item, gated_xor.work(item, None)) for item in items] + [
        (item, gated_xor.work(item, None)) for item in gated_relu.items(Options(seeds=1))
    ]


def test_check_6_and_19_xor_is_predicted_and_its_controls_learn_nothing(xor):
    claims = gated_xor.claims(xor)
    assert [c.statement for c in claims if not c.holds] == []
    given = {item["gating"]: r for item, r in xor if item["part"] == "given"}
    assert min(given["diagonals"]["aligned"]) > 0.5 - 1e-9 and given["single"]["t_half"] is None
    assert given["four"]["difference"] < 1e-12 < 0.01 < given["four"]["wrong_start"]
    [relu] = [r for item, r in xor if item["part"] == "relu"]
    assert relu["four"]["error"] < 0.012 < 0.03 < relu["halves"]["error"]
    broken = [(i, r | {"halves": r["four"], "four": r["halves"]} if "four" in r else r) for i, r in xor]
    assert sum(not c.holds for c in gated_xor.claims(broken)) == 2


def test_every_figure_of_xor_is_drawn_and_says_normalisation_and_control(xor):
    made, text = gated_xor.draw(xor), gated_xor.caption(xor)
    assert len(made.axes) == 3 and all(axes.get_xlabel() and axes.get_ylabel() for axes in made.axes)
    assert "1/2" in text and "control" in text and "random orthogonal starts" in text
    assert [len(sheet.rows) for sheet in gated_xor.sheets(xor)] == [4, 1]


def test_check_16_the_spectral_ratio_orders_the_errors_and_blocks_never_transfer():
    items = [item | {"seeds": 2} for item in gated_zeroshot.items(Options()) if item["part"] == "gate"]
    found = {(kind, k): gated_zeroshot.work(pick(items, gate=kind, K=k), None)
             for kind, k in (("designed", 4), ("band", 2), ("blocks", 2), ("blocks", 5))}  # fmt: skip
    assert max(found["designed", 4]["untrained"]) < 0.1 < 1 < min(found["band", 2]["untrained"])
    assert found["designed", 4]["ratio"] < found["band", 2]["ratio"] < found["blocks", 2]["ratio"] + 1e-9
    assert np.mean(found["blocks", 2]["untrained"]) > 122 and found["blocks", 5]["components"] == 2
    assert max(max(r["trained"]) for r in found.values()) < 1


def test_check_18_images_of_connected_domains_transfer_and_those_of_blocks_do_not():
    items = gated_digits.items(Options())
    cells = [pick(items, gate=gate, K=5, gain=1.0) | {"steps": 350} for gate in ("band", "blocks")]
    band, blocks = (gated_zeroshot.work(cell, None) for cell in cells)
    assert band["untrained"] > 0.6 > 0.25 > blocks["untrained"] and min(band["trained"], blocks["trained"]) > 0.8


def test_mnist_cells_are_added_only_if_asked_for():
    plain, more = (gated_digits.items(Options(images=images)) for images in (None, "mnist"))
    assert {item["images"] for item in plain} == {"digits"} and more[: len(plain)] == plain
    assert {item["images"] for item in more[len(plain) :]} == {"mnist"}


def test_check_17_large_starts_do_not_transfer_though_they_learn_what_is_trained():
    items = [item | {"seeds": 2} for item in gated_init.items(Options())]
    small, large = (gated_init.work(pick(items, gain=gain), None) for gain in (0.66, 2.5))
    assert np.mean(large["untrained"]) > 20 * np.mean(small["untrained"])
    assert max(np.mean(small["trained"]), np.mean(large["trained"])) < 0.05
    assert small["lazy"] < 0.5 < large["lazy"]


def test_depth_the_closed_form_is_the_limit_of_descent_and_deeper_chains_wait_longer():
    items = gated_depth.items(Options())
    found = {}
    for layers in (2, 3):
        item = pick(items, layers=layers)
        found[layers] = r = gated_depth.work(item, None)
        assert r["exact"] and r["difference"] < 1e-12
        assert r["step_error"] / r["half_step_error"] == pytest.approx(
            2, abs=0.2
        )  # the control: it halves with the step
        assert r["t_90_layer"] == pytest.approx(gated_depth.SPECIFIED[layers], abs=5e-4)
        np.testing.assert_allclose(r["seen"][1:], r["times"][1:], rtol=0.03)
    assert found[2]["times"][1] < found[3]["times"][1]


def test_check_15_the_printed_shares_and_simulated_networks_agree_and_one_pair_shares_nothing():
    items = gated_race.items(Options())
    table = gated_race.work(pick(items, part="table"), None)
    for (m, k), rows in gated_race.TABLE.items():
        np.testing.assert_allclose(table["shares"][f"{m},{k}"], rows, atol=6e-4)
    for m, depth in ((2, 2), (1, 3)):
        r = gated_race.work(pick(items, part="simulated", M=m, depth=depth, b0=0.3), None)
        assert r["exact"] and r["difference"] < 1e-12 and abs(r["share"] - r["flow"]) < 0.02
        if m == 1:
            assert r["share"] == pytest.approx(0.5, abs=1e-9)  # the control


def test_in_one_network_the_fastest_gating_carries_most():
    item = pick(gated_race.items(Options(seeds=3)), part="together") | {"lr": 0.05, "steps": 1000}
    found = gated_race.work(item, None)
    shares = np.array(found["shares"])
    assert (shares.argmax(1) == 0).all() and found["left"] < 1e-6
    assert (np.abs(shares[:, 2]) < 0.01).all()  # one open pathway sees nothing of XOR


def test_check_21_strong_modes_of_digits_are_learned_first_and_shuffled_labels_teach_none():
    items = gated_order.items(Options(seeds=1))
    linear = gated_order.work(pick(items, kind="linear", inputs="whitened", shuffled=False))
    assert linear["rank"] <= -0.8
    errors = np.abs(np.array(linear["predicted"]) / linear["half"] - 1)
    assert errors.mean() < 0.15
    control = gated_order.work(pick(items, shuffled=True) | {"steps": 300})
    assert control["most"] < 0.5 and control["rank"] is None


def test_check_22_the_tree_is_learned_from_the_root_down_when_predicted_and_not_from_shuffled_features():
    from learnt.studies import gated_hierarchy

    items = gated_hierarchy.items(Options(seeds=2))
    entries = [(item, gated_hierarchy.work(item, None)) for item in items if item["part"] in ("tree", "shuffled")]
    tree, other = (r for _, r in entries)
    np.testing.assert_allclose(tree["strengths"], tree["formula"], atol=1e-9)
    for row in tree["rows"]:
        assert row["observed"] == sorted(row["observed"])
    right = gated_hierarchy._errors(tree["rows"], [row["predicted"] for row in tree["rows"]])
    wrong = gated_hierarchy._errors(tree["rows"], [row["predicted"] for row in other["rows"]])
    assert right.mean() < 0.15 and (not wrong.size or wrong.mean() > 3 * right.mean())


def test_claims_are_said_with_their_numbers():
    from learnt.studies.gated_page import claims_sheet

    sheet = claims_sheet("What must hold", [Claim("8", "x", "< 1", "2", False)])
    assert sheet.rows == (("x", "8", "< 1", "2", "NO"),)


@pytest.mark.parametrize("figure", [f for f in FIGURES if f.name not in ("routing", "depth")], ids=lambda f: f.name)
def test_runs_too_short_to_learn_anything_are_drawn_and_said_too(figure, monkeypatch):
    def accuracies(item, data, gate):
        return {"trained": 0.1, "untrained": 0.1, "seconds": 1.0}

    monkeypatch.setattr(gated_digits, "work", accuracies)
    short = {"xor": 60, "zeroshot": 3, "init": 25, "hierarchy": 260, "race": 10}[figure.name]
    entries = []
    for item in figure.items(Options(seeds=1)):
        if item["part"] == "relu":
            item = item | {"steps": 800}
        elif "steps" in item:
            item = item | {"steps": min(short, item["steps"])}
        entries.append((item, figure.work(item, None) | {"seconds": 1.0}))
    claims = figure.claims(entries)
    assert any(not claim.holds for claim in claims) and all(claim.found for claim in claims)
    made = figure.draw(entries)
    assert all(axes.get_xlabel() and axes.get_ylabel() and axes.get_title(loc="left") for axes in made.axes)
    assert all(len(row) == len(sheet.columns) for sheet in figure.sheets(entries) for row in sheet.rows)
    assert "ontrol" in figure.caption(entries) and str(len(made.axes)) == "3"
