"""Reports: complete in themselves, true to the record, clear about what is missing; seen by a real browser."""

import json
import re
import shutil
import subprocess
from html import escape
from html.parser import HTMLParser
from pathlib import Path

import pytest

from rheobase import cli
from rheobase.analysis.intervals import over_seeds, paired, wilson
from rheobase.recipes import recipe
from rheobase.report import page, report
from rheobase.report.measure import measure
from rheobase.report.source import read
from rheobase.training import publish, record, train

pytest.importorskip("sklearn")
pytest.importorskip("matplotlib")

VOID = {"meta", "img"}
SECTIONS = (
    "Result Comparison Training Config Activity Spikes Confusion Gradients Energy Learned-values Again".lower().split()
)


class Page(HTMLParser):
    """What a page holds; fails on tags that do not match."""

    def __init__(self, text: str):
        super().__init__()
        self.open, self.text, self.found = [], [], []
        self.feed(text)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag, f"</{tag}> where {self.open} were open"

    def handle_data(self, data):
        if not {"style", "script"} & set(self.open):
            self.text.append(data)

    def all(self, tag: str) -> list[dict]:
        return [attributes for name, attributes in self.found if name == tag]

    @property
    def words(self) -> str:
        return " ".join(" ".join(self.text).split())


def small(seed: int = 0, **changes):
    config = recipe("digits").but(hidden=(8,), epochs=2, batch=400, log_every=1, evaluation_batch=200, seed=seed)
    return config.but(**changes)


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    """a and b: two seeds of ProbPLIF, published beside each other; lif: another neuron, as the folder of its run."""
    folder = tmp_path_factory.mktemp("runs")
    for name, seed in (("a", 0), ("b", 1)):
        train(small(seed), folder / f"run-{name}", command="rheobase train <by> 'hand'")
        publish(folder / f"run-{name}", folder / f"{name}.json")
    train(small(neuron="lif", neuron_options={}), folder / "lif")
    return folder


@pytest.fixture(scope="module")
def made(runs) -> str:
    """The report about all three."""
    return report([runs / "a.json", runs / "b.json", runs / "lif"], command="rheobase report & others")


def test_a_page_is_well_formed_and_loads_nothing(made):
    found = Page(made)
    assert [attributes["id"] for attributes in found.all("section")] == SECTIONS
    assert all(image["src"].startswith("data:image/") and image["alt"] for image in found.all("img"))
    assert len(found.all("img")) >= 10
    assert not {"script", "link", "iframe", "object", "base"} & {tag for tag, _ in found.found}
    addresses = [value for _, attributes in found.found for value in attributes.values() if value]
    assert not [value for value in addresses if re.match(r"(https?:)?//", value)]
    assert "url(" not in page.STYLE and "@import" not in page.STYLE
    policy = next(one for one in found.all("meta") if one.get("http-equiv") == "Content-Security-Policy")
    assert policy["content"].startswith("default-src 'none'")
    assert {one["href"].lstrip("#") for one in found.all("a")} == set(SECTIONS)


def test_its_numbers_are_those_of_the_records(runs, made):
    words = Page(made).words
    for path in (runs / "a.json", runs / "b.json", runs / "lif/record.json"):
        found = record.read(path)
        accuracy, count = found["test"]["accuracy"], found["samples"]["test"]
        low, high = wilson(accuracy, count)
        assert f"{accuracy:.2%} {low:.2%} to {high:.2%} {found['test']['loss']:.4f}" in words
        right = round(accuracy * count)
        assert f"{right} of {count} test samples right ({accuracy:.2%})" in words, "the confusion matrix differs"
    pair = [record.read(runs / f"{name}.json")["test"]["accuracy"] for name in "ab"]
    mean, deviation, reach = over_seeds(pair)
    group = f"a, b: mean of 2 seeds {mean:.2%} ± {100 * deviation:.2f} {mean - reach:.2%} to {mean + reach:.2%}"
    assert group in words


def test_measuring_repeats_the_test_score_and_counts_every_sample(runs):
    source = read([runs / "a.json"])[0]
    found = measure(source)
    assert vars(found.score) == source.record["test"], "another score than in training"
    assert int(found.confusion.sum()) == len(found.task.test)
    assert (found.confusion.sum(1) == found.task.test.labels.bincount(minlength=10)).all()
    assert found.activity and not isinstance(found.activity, str)
    layers = {name: layer.neurons for name, layer in found.activity.items()}
    assert layers == {"layers.0": 8} and set(found.learned) == {"layers.0.neuron"}


def test_what_neurons_learn_is_followed_over_the_epochs(runs, made):
    words = Page(made).words
    for name in ("a", "b"):
        assert f"{name}: means of every layer over the epochs" in words and f"{name}: tau in every layer" in words
    assert "lif: means of every layer" not in words and "these neurons learn nothing of their own" in words
    found = record.read(runs / "a.json")
    assert found["best_epoch"] == 2, "the last epoch's values are those of the weights"
    last = found["epochs"][-1]["learned"]["layers.0.neuron"]["tau"]
    assert f"{last['mean']:.4g} {last['std']:.4g}" in words


def test_differences_between_configs_are_marked(made):
    rows = re.findall(r'<tr class="differs"><th scope="row">(\w+) ≠</th>', made)
    assert rows == ["neuron", "neuron_options", "seed"]
    assert "Lines are training" not in made and "not logged" not in Page(made).words


def test_runs_are_compared_sample_by_sample(runs, made):
    first, second = (measure(one).right for one in read([runs / "a.json", runs / "b.json"]))
    won, lost = int((second & ~first).sum()), int((first & ~second).sum())
    middle, low, high = (100 * value for value in paired(lost, won, len(first)))
    assert f"b {won} {lost} {middle:+.2f} {low:+.2f} to {high:+.2f}" in Page(made).words and won != lost
    accuracies = [record.read(runs / f"{name}.json")["test"]["accuracy"] for name in "ab"]
    assert (won - lost) / len(first) == pytest.approx(accuracies[1] - accuracies[0])


def test_a_single_run_says_how_to_make_it_again(runs):
    words = Page(report([runs / "a.json"], run=False)).words
    found = record.read(runs / "a.json")
    assert (
        f"test accuracy {found['test']['accuracy']:.2%}" in words
        and "Differences" not in words
        and "Comparison" not in words
    )
    for part in ("rheobase train <by> 'hand'", f"rheobase eval {runs / 'a.json'}", found["versions"]["torch"]):
        assert part in words
    assert found["commit"] is None or f"git checkout {found['commit'].rstrip('+')}" in words


def test_text_from_files_stays_text(runs, tmp_path):
    evil = "<script>alert(1)</script><img src=x onerror=alert(2)>"
    changed = record.read(runs / "a.json")
    changed["command"] = changed["data_note"] = changed["hardware"]["processor"] = evil
    changed["config"] |= {"recipe": evil, evil: evil, "neuron": evil}
    (tmp_path / f"{evil.replace('/', '')}.json").write_text(json.dumps(changed))
    text = report(list(tmp_path.glob("*.json")))
    found = Page(text)
    assert not found.all("script") and "onerror" not in {key for _, one in found.found for key in one}
    assert found.words.count("<script>alert(1)</script>") >= 4
    assert Page(page.tag("p", page.Markup(evil))).all("script"), "the check cannot see a script"


def test_an_unfinished_run_shows_what_is_there(tmp_path):
    def stop(row):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(small(), tmp_path / "run", after_epoch=stop)
    words = Page(report([tmp_path / "run"])).words
    row = record.read(tmp_path / "run/record.json")["epochs"][0]
    assert f"Not finished: 1 of 2 epochs; best validation accuracy so far {row['validation_accuracy']:.2%}" in words
    assert "the run is not finished, so that it has no weights yet" in words
    assert f"rheobase train --resume {tmp_path / 'run'}" in words
    (tmp_path / "run/record.json").unlink()  # as before the end of the first epoch: a checkpoint and a log
    words = Page(report([tmp_path / "run"])).words
    assert "Not finished: 1 of 2 epochs" in words


def test_a_run_without_a_log_weights_or_data_says_so(runs, tmp_path, monkeypatch):
    found = record.read(runs / "a.json")
    record.write(tmp_path / "gone.json", {**found, "weights": "gone.safetensors", "log": "gone.jsonl"})
    words = Page(report([tmp_path / "gone.json"])).words
    assert "gone.safetensors" in words and words.count("Not here: ") == 6
    assert "Without a log beside the record" in words and "not logged" not in words
    monkeypatch.setenv("RHEOBASE_DATA", str(tmp_path))
    weights = (runs / "a.safetensors").read_bytes().replace(b'\\"data\\": \\"digits\\"', b'\\"data\\": \\"mnist\\" ')
    (tmp_path / "a.safetensors").write_bytes(weights)
    record.write(tmp_path / "a.json", {**found, "config": {**found["config"], "data": "mnist"}})
    assert "rheobase data get mnist" in Page(report([tmp_path / "a.json"])).words
    assert Page(report([runs / "a.json"], run=False)).words.count("the network was not run") == 6


def test_a_search_trial_keeps_its_test_set(tmp_path):
    train(small(), tmp_path / "run", test=False)
    words = Page(report([tmp_path / "run"])).words
    assert "Not tested." in words and "does not look at the test set first" in words


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "at least one run"),
        (["nowhere"], "there is no such run"),
        (["empty"], "holds no run"),
        (["text.json"], "is not a record"),
        (["other.json"], "has no config"),
        (["weights.safetensors"], "truncated or corrupt"),
        (["empty", "empty"], "named twice"),
    ],
)
def test_bad_input_is_one_clear_message(tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    for name, content in (("text.json", "{"), ("other.json", "{}"), ("weights.safetensors", "x")):
        (tmp_path / name).write_text(content)
    assert cli.main(["report", *arguments]) == 1
    err = capsys.readouterr().err
    assert err.startswith("error: ") and message in err and not (tmp_path / "report.html").exists()


def test_the_command_writes_the_page(runs, tmp_path, capsys):
    out = tmp_path / "sub/page.html"
    assert cli.main(["report", str(runs / "lif"), "--no-run", "--out", str(out)]) == 0
    assert "report  " in capsys.readouterr().out and "Made by: rheobase report" in Page(out.read_text()).words


BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
QUIET = "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
QUIET += " --disable-component-update --disable-sync --hide-scrollbars"
# What only a browser knows; added to copies of the page that may run it. Windows are at least 500 wide, frames are not.
PROBE = """<script>addEventListener("load", () => {
  const broken = [...document.images].filter(image => !image.complete || !image.naturalWidth).length
  const root = document.documentElement, heads = document.querySelectorAll("section > h2").length
  top.document.title = [root.clientWidth, root.scrollWidth, document.images.length, broken, heads].join(" ")
})</script>"""


def browse(file: Path, folder: Path, *flags: str) -> str:
    """What the browser prints about a page; its profile lies in the folder."""
    if BROWSER is None:
        pytest.skip("no chromium here: install it (Debian: apt-get install chromium), .ci/run does")
    command = [BROWSER, "--headless", *QUIET.split(), f"--user-data-dir={folder / 'profile'}", *flags, file.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout


@pytest.mark.browser
@pytest.mark.parametrize("width", [1200, 360])
def test_a_browser_shows_the_page_in_a_wide_and_a_narrow_window(made, width, tmp_path):
    inside = escape(made.replace(page.POLICY, "").replace("</body>", PROBE + "</body>"))
    frame = f'<iframe width="{width}" height="900" frameborder="0" srcdoc="{inside}"></iframe>'
    (tmp_path / "page.html").write_text(f"<!doctype html><title></title>{frame}")
    title = re.search("<title>([0-9 ]+)</title>", browse(tmp_path / "page.html", tmp_path, "--dump-dom"))
    assert title, "the page never finished loading"
    window, wide, images, broken, heads = map(int, title[1].split())
    assert window == width and wide <= window, "the page is wider than the window"
    assert images == made.count("<img ") > 9 and broken == 0 and heads == len(SECTIONS)


@pytest.mark.browser
def test_a_browser_draws_dark_text_on_white(made, tmp_path):
    image = pytest.importorskip("PIL.Image")
    (tmp_path / "page.html").write_text(made)
    browse(tmp_path / "page.html", tmp_path, "--window-size=800,1200", f"--screenshot={tmp_path / 'shot.png'}")
    shot = image.open(tmp_path / "shot.png").convert("L")
    assert shot.size == (800, 1200)
    shades = shot.histogram()
    assert shades[255] > 0.7 * 800 * 1200 and sum(shades[:64]) > 2000


@pytest.mark.browser
def test_the_policy_stops_what_a_hole_would_let_through(made, tmp_path):
    (tmp_path / "page.html").write_text(made.replace("</body>", PROBE + "</body>"))
    shown = browse(tmp_path / "page.html", tmp_path, "--dump-dom")
    assert Page(shown).words == Page(made).words
    assert re.search("<title>(.*?)</title>", shown)[1] == "probplif on digits and lif on digits", (
        "a script ran in spite of the policy"
    )
