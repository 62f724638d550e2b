"""The report in Spanish: no text is missing, none stays English, numbers have decimal commas."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from analysis.fake_study import DATASET, FOUR, SETTINGS, FakeRun, FakeStudy
from babel.messages.pofile import read_po
from matplotlib.text import Text
from report.samples import REFERENCE, TEMPLATES, data_statistics
from report.test_entries import run_entry
from report.test_report import COLLAPSED, ON_GPU, TWINS, evidence
from twinbench import catalogue
from twinbench.analysis import plotting
from twinbench.analysis.figures import FigureData, figures
from twinbench.config.reference import read_reference
from twinbench.data.splits import Split
from twinbench.errors import InputError
from twinbench.language import Language, placeholders
from twinbench.networks.architectures import ARCHITECTURES, describe
from twinbench.parity import audit, comparing
from twinbench.report import render
from twinbench.report.contents import report
from twinbench.report.evidence import Evidence
from twinbench.training import recorded

PO = TEMPLATES / "es.po"
SPANISH = Language("es", PO)


def messages() -> list[tuple[list[str], list[str]]]:
    """Each text of the catalogue, singular and plural, with its translations."""
    with open(PO, "rb") as file:
        found = [message for message in read_po(file, locale="es") if message.id]
    as_list = lambda text: [text] if isinstance(text, str) else list(text)  # noqa: E731
    return [(as_list(message.id), as_list(message.string)) for message in found]


def marks(text: str) -> tuple[int, list[str]]:
    """A text's bold marks and its code."""
    return text.count("**"), sorted(re.findall(r"`[^`]*`", text))


# --- The catalogue -----------------------------------------------------------------------------


def test_the_committed_catalogue_is_in_step_with_the_code():
    assert PO.read_text(encoding="utf-8") == catalogue.updated(PO), "run `make generate`"


def test_every_text_is_translated_with_its_placeholders_and_marks():
    assert len(messages()) > 300
    for texts, translations in messages():
        assert len(texts) == len(translations) and all(translations), texts[0]
        for text, translation in zip(texts, translations, strict=True):
            assert placeholders(translation) == placeholders(text), text
            assert marks(translation) == marks(text), text
            assert translation.strip() == translation, text


def test_an_update_keeps_translations_drops_obsolete_texts_and_adds_new_ones(tmp_path):
    path = tmp_path / "es.po"
    head = PO.read_text(encoding="utf-8").split("\n\n")[0]
    path.write_text(f'{head}\n\nmsgid "cat"\nmsgstr "minino"\n\nmsgid "gone"\nmsgstr "ido"\n')
    text = catalogue.updated(path)
    assert 'msgid "cat"\nmsgstr "minino"\n' in text and 'msgid "dog"\nmsgstr ""\n' in text
    assert "gone" not in text and "ido" not in text


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "No such file"),
        (b"hello", "misformatted"),
        ('msgid "cat"\nmsgstr "\xff"'.encode("latin-1"), "decode"),
        (b'msgid "{a} minus {b}"\nmsgstr "{a} menos {c}"', "{c}"),
        (b'msgid "{a} minus {b}"\nmsgstr "{a menos {b}"', "field name"),
    ],
)
def test_a_damaged_catalogue_is_named_in_one_line(tmp_path, content, reason):
    path = tmp_path / "es.po"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError) as error:
        Language("es", path)
    text = str(error.value)
    assert text.startswith(f"{path}: ") and reason in text and "\n" not in text


def test_the_scripts_end_with_that_line_and_refuse_an_unknown_language(tmp_path):
    fake = FakeStudy(tmp_path, {"a": FakeRun()}, images=50)
    (tmp_path / "es.po").write_text("hello")
    names = ("metrics", "comparisons", "figures")
    files = {name: tmp_path / name for name in names} | {"catalogue": tmp_path / "es.po"}
    for language, line in (("es", "no catalogue of texts"), ("fr", "setting language")):
        settings = [*fake.arguments, "equivalence_margin=0.01", "dpi=50", f"language={language}"]
        done = run_entry("plot_figures.py", settings, directory=fake.directory, **files)
        assert done.returncode == 1 and line in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1


# --- Texts from data ---------------------------------------------------------------------------


def test_what_training_recorded_is_translated_piece_by_piece():
    seen = recorded.ONE_CLASS.format(step=25, images=64, loss="2.303", classes=10, chance="2.303")
    dead = f"{recorded.DEAD} {recorded.DEAD_IN.format(share=100)} conv1"
    text = f"{seen}; {dead}. {recorded.DEAD_CAUSE} {recorded.REMEDY.format(rate='0.001')}"
    said = SPANISH.recorded(text, recorded.DIAGNOSES)
    assert said.startswith("tras 25 pasos, las 64 imágenes sondeadas reciben la misma clase")
    assert "una pérdida de 2,303" in said and "ReLU muertas: 100 % en conv1. Lo más" in said
    assert "learning_rate (ahora 0,001)" in said
    assert Language().recorded(text, recorded.DIAGNOSES) == text


@pytest.mark.parametrize("fragment", [*recorded.DIAGNOSES, *recorded.CONDITIONS])
def test_each_piece_is_found_within_a_text(fragment):
    values = {name: f"<{name}>" for name in placeholders(fragment)}
    filled = fragment.format(**values)
    fragments = (*recorded.DIAGNOSES, *recorded.CONDITIONS)
    assert SPANISH.recorded(f"{filled} conv1", fragments) == f"{SPANISH(fragment, **values)} conv1"


def test_words_within_longer_words_versions_and_code_stay():
    assert SPANISH.recorded("nonesuch is none", ["none"]) == "nonesuch is ninguno"
    assert SPANISH.recorded("torch 2.9.1, eps=0.5, 0.5, 1e-05, 1.5e-05.", ()) == (
        "torch 2.9.1, eps=0.5, 0,5, 1e-05, 1,5e-05."
    )


def test_plural_forms_and_numbers():
    seeds = {count: SPANISH.plural("{count} seed", "{count} seeds", count) for count in (0, 1, 2)}
    assert seeds == {0: "0 semillas", 1: "1 semilla", 2: "2 semillas"}
    assert SPANISH.estimate(0.70931, 0.70031, 0.71811) == "70,9 % (70,0 a 71,8)"
    assert SPANISH.p_value(0.0001) == "< 0,001" and SPANISH.whole(45_000) == "45.000"
    assert SPANISH.short(0.00012) == "0,00012" and SPANISH.short(1.2e-7) == "1,2e-07"
    assert SPANISH.listed(["a", "b", "c"]) == "a, b y c"


# --- The whole report --------------------------------------------------------------------------

NATIVE = {
    f"{name}-native": replace(run, noise=5, settings={**SETTINGS, "protocol": "native"})
    for name, run in TWINS.items()
}
WEIGHTS = {
    name: FakeRun(weights=name, accuracy=0.9, noise=9 + place)
    for place, name in enumerate(("imagenet", "file", "synthetic"))
}
STUDIES = {
    "one run": ({"alone": FakeRun()}, (0,)),
    "four": (FOUR, (0, 1, 2)),
    "collapsed": (COLLAPSED, (0,)),
    "seeds collapsed": ({**TWINS, "stuck": replace(TWINS["torch"], collapsed=True)}, (0, 1)),
    "native": (TWINS | NATIVE, (0, 1, 2)),
    "weights": (TWINS | WEIGHTS, (0, 1)),
    "clear": ({"scratch": FakeRun(accuracy=0.5), "tuned": WEIGHTS["imagenet"]}, (0, 1)),
    "many": (
        {
            f"run-{n}": FakeRun(noise=n, settings={**SETTINGS, "learning_rate": 0.001 * n})
            for n in range(1, 12)
        },
        range(12),
    ),
}


def parity_tables(passed: bool) -> dict[str, pd.DataFrame]:
    """All checks and settings, with their own names, units and reasons."""
    checks = [
        {
            "check": check.name.format(steps=100),
            "max_error": 0.0 if passed else 2.5 * check.tolerance + 0.1,
            "tolerance": float(check.tolerance),
            "passed": passed,
            "case": "alexnet32",
            "frameworks": "pytorch, tensorflow",
            "unit": comparing._UNITS[check.error],
            "reason": check.reason,
        }
        for check in comparing.CHECKS
    ]
    settings = [
        {
            "setting": name,
            "case": "alexnet32",
            **dict.fromkeys(("pytorch", "tensorflow", "pytorch_own", "tensorflow_own"), "0"),
            "status": status,
            "reason": reason,
        }
        for name in audit.SETTINGS
        for status, reason in [audit.ACCOUNTED.get(name, (audit.SAME, ""))]
    ]
    if not passed:
        settings[0]["status"] = audit.UNACCOUNTED
    return {"parity": pd.DataFrame(checks), "audit": pd.DataFrame(settings)}


def written(folder: Path, name: str, flawed: bool) -> dict[str, Evidence]:
    """The evidence of a study in both languages, with what training records of real networks and, if
    `flawed`, everything that a report warns of."""
    runs, seeds = STUDIES[name]
    fake = FakeStudy(folder, runs, seeds, 200)
    network = ARCHITECTURES["alexnet32"]
    layers = describe(network.with_head(10), network.input_size)
    for place, (run, facts) in enumerate(runs.items()):
        for seed in seeds:
            changes: dict = {"layers": layers}
            if facts.collapsed:
                changes["diagnosis"] = recorded.DIVERGED.format(step=25, rate="0.5")
            if flawed and place == 0:
                changes["accelerator"] = ON_GPU | {"jobs_per_gpu": 2}
                changes["device"] = "NVIDIA A100"
                changes["git"] = {"commit": "abc", "dirty": True}
                changes["precision"] = "bfloat16"
                changes["resumed_inexactly"] = [recorded.CHANGED.format(before="1", after="2")]
            if flawed and place == 1:
                changes["device_note"] = f"{recorded.NO_GPU} {recorded.GPU_CURE}"
                changes["git"] = {"commit": None, "dirty": None}
                changes["accelerator"] = ON_GPU | {"driver": "535.129.03"}
            if flawed:
                changes["dataset"] = {**DATASET, "source": "synthetic"}
            fake.edit_provenance(run, seed, **changes)
    drawn = ["contrasts", "accuracy", "learning_curves", "accuracy_time", "confusion"]
    changes = {
        **(parity_tables(not flawed) if len(runs) > 1 else {}),
        "figures": [*drawn, "pictures", "reliability", "parity"],
        "statistics": data_statistics(limit=500 if flawed else None),
        "reference": read_reference(REFERENCE),
    }
    return {
        language.code: evidence(fake, say=language, settings={"language": language.code}, **changes)
        for language in (Language(), SPANISH)
    }


# What is the same in both languages: names, code, and words that Spanish has too.
NAMES = {name for runs, _ in STUDIES.values() for name in runs} | set(ARCHITECTURES)
LIBRARIES = ("CUDA", "cuDNN", "python", "torch", "keras")
WORDS = """A100 AlexNet AMSGrad Adam Brier CIFAR GPU ImageNet Keras NVIDIA PyTorch ReLU TensorFlow TF32 VGG16
a alone b beta bfloat16 commit cpu csv dropout flatten float32 float64 framework git h harmonised head
keras-vgg16 md min native no p parity pp s settings torchvision-alexnet x"""
SAME = re.compile(
    r"`[^`]*`|</?summary>|\]\([^)]*\)|\d+T\d+|\de-\d+|A title|(?:conv|pool|dense|dropout)\d|\b(?:"
    + "|".join(sorted([*NAMES, *WORDS.split(), *LIBRARIES], key=len, reverse=True))
    + r")\b"
)


def pieces(say_evidence: Evidence) -> list[list[str]]:
    """The cells of the lines of the report and its appendices, code blocks left out."""
    found = report(say_evidence)
    texts = [render.markdown(found, TEMPLATES, "figures")]
    texts += [render.appendix(part, TEMPLATES, "figures") for part in found.appendices]
    text = re.sub(r"```.*?```|</?details>", "", "\n".join(texts), flags=re.DOTALL)
    return [re.split(r" \| | · ", line) for line in text.splitlines()]


def untranslated(english: str, spanish: str) -> bool:
    """Whether a piece has words that are the same in Spanish and should not be."""
    return english == spanish and bool(re.search(r"[A-Za-z]", SAME.sub("", english)))


def decimal_points(english: str, spanish: str) -> list[str]:
    """The English numbers with decimals that Spanish has as they are."""
    numbers = re.findall(r"(?<![\w.])\d+\.\d+(?![\w.]\d)", re.sub(r"`[^`]*`", "", english))
    return [
        number for number in numbers if re.search(rf"(?<!\d){re.escape(number)}(?!\d)", spanish)
    ]


@pytest.mark.parametrize(
    ("name", "flawed"), [*((name, True) for name in STUDIES), ("four", False), ("clear", False)]
)
def test_a_whole_report_leaves_no_english(tmp_path, name, flawed):
    both = written(tmp_path, name, flawed)
    english, spanish = (pieces(both[code]) for code in ("en", "es"))
    assert len(english) == len(spanish)
    left, points = set(), set()
    for first, second in zip(english, spanish, strict=True):
        assert len(first) == len(second), (first, second)
        # Values as a config has them, and versions.
        verbatim = first[0].startswith("| `") or first[0].removeprefix("| ") in LIBRARIES
        for one, other in zip(first, second, strict=True):
            left |= {one} if untranslated(one, other) else set()
            points |= {one} if decimal_points(one, other) and not verbatim else set()
    assert not left
    assert not points


@pytest.mark.parametrize("name", ["collapsed", "native", "weights"])
def test_the_figures_leave_no_english(tmp_path, name):
    both = written(tmp_path, name, name == "collapsed")
    texts = {}
    for code, found in both.items():
        ids = found.results.sample_ids
        images = np.zeros((len(ids), 32, 32, 3), np.uint8)
        names = list(found.results.class_names)
        split = Split(images, found.results.labels, ids, names, np.zeros(3), np.ones(3))
        data = FigureData(found.results, 0.01, found.reference, split)
        with plotting.styled():
            texts[code] = {
                name: [text.get_text() for text in draw().findobj(Text)]
                for name, draw in figures(data, found.say).items()
            }
    assert texts["en"].keys() == texts["es"].keys() and "accuracy" in texts["es"]
    pairs = [
        (one, other)
        for figure, english in texts["en"].items()
        for one, other in zip(english, texts["es"][figure], strict=True)
    ]
    assert not [one for one, other in pairs if untranslated(one, other)]
    assert not [one for one, other in pairs if decimal_points(one, other)]


def test_the_page_says_its_language_and_takes_the_titles_of_the_configs_with_it(tmp_path):
    found = written(tmp_path, "one run", False)["es"]
    title = "A first look: scratch or pretrained, PyTorch or TensorFlow?"
    settings = found.settings.model_copy(update={"title": title})
    found = replace(found, settings=settings, figures=[])
    page = render.page(report(found), TEMPLATES, tmp_path, [], SPANISH)
    assert '<html lang="es">' in page and "<h1>Un primer vistazo:" in page
    assert "<summary>Contenido</summary>" in page and 'aria-label="ejecución, ' in page
