"""Promise: a photo that is sent is answered by another Python, which gets it alone; nothing of it is kept."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from fruit_contract.classifier import CARD_NAME, LAYERS_NAME
from fruit_pipeline.pages import prediction, same_origin
from fruit_pipeline.pages.result_page import PageError
from fruit_pipeline.results.publication import write_json
from fruit_pipeline.settings.deployment import Deployment
from tests.fruit_pipeline.conftest import BUCKET
from tests.fruit_pipeline.pages.conftest import LAYOUT
from tests.fruit_pipeline.pages.test_judgement import trained
from tests.fruit_pipeline.pages.test_near_photos import put_index
from tests.fruit_pipeline.pages.test_result_page import Elements, report

ANSWER = {
    "photo": "photo",
    "outcome": "label",
    "label": "Kiwi",
    "probability": 0.97,
    "best": [["Kiwi", 0.97], ["<b>Lime</b>", 0.02]],
    "residual": 3.25,
    "reason": None,
    "milliseconds": 42.0,
    "components": [90.0, 1.0],
}
DOUBT = {**ANSWER, "outcome": "not sure", "label": None, "reason": "41.0 % for Kiwi is below 60.0 %"}
REJECTED = {
    **dict.fromkeys(ANSWER),
    "best": [],
    "reason": "corrupt: cut off",
    "milliseconds": 1.0,
}
OWN = {"Sec-Fetch-Site": "same-origin"}
Command = Callable[[str], Deployment]


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Sets a stand-in for the Python of the Spark side, which runs this code instead of the module."""

    def named(code: str) -> Deployment:
        stand_in = tmp_path / "python"
        stand_in.write_text(f"#!{sys.executable}\nimport json, os, sys, time\n{code}\n")
        stand_in.chmod(0o755)
        monkeypatch.setenv(prediction.SETTING, str(stand_in))
        return Deployment()

    return named


@pytest.fixture
def classifier(s3: Any) -> None:
    """A run with a classifier and an index of near photos."""
    write_json(s3, BUCKET, LAYOUT.report, report(classifier=trained()))
    for name in (CARD_NAME, LAYERS_NAME):
        s3.put_object(Bucket=BUCKET, Key=f"{LAYOUT.classifier}{name}", Body=name.encode())
    put_index(s3, {"Test/Kiwi/1.jpg": [100, 0], "Test/Lime/2.jpg": [0, 100]})


def prints(answer: object) -> str:
    return f"print(json.dumps({answer!r}))"


def send(pages: TestClient, photo: bytes = b"photo", headers: dict[str, str] = OWN) -> Any:
    return pages.post("/try?run_id=r%2B1", files={"photo": ("../x.jpg", photo)}, headers=headers)


@pytest.mark.usefixtures("classifier")
def test_the_answer_is_shown_with_the_photos_nearest_to_it(
    pages: TestClient,
    command: Command,
) -> None:
    command(prints(ANSWER))
    page = Elements(send(pages).text)
    for words in ("Kiwi", "97.0%", "<b>Lime</b>", "2.0%", "3.25", "42 milliseconds"):
        assert words in page.text
    links = [attrs["href"] for tag, attrs in page.tags if tag == "a" and "photo?" in (attrs["href"] or "")]
    assert links == [f"photo?run_id=r%2B1&key=Test/{name}.jpg" for name in ("Kiwi/1", "Lime/2")]


@pytest.mark.usefixtures("classifier")
@pytest.mark.parametrize(
    ("answer", "words"),
    [(DOUBT, "is below 60.0 %"), (REJECTED, "corrupt: cut off")],
    ids=["doubt", "rejected"],
)
def test_a_photo_without_a_label_says_why(
    pages: TestClient,
    command: Command,
    answer: dict[str, Any],
    words: str,
) -> None:
    command(f"{prints(answer)}; sys.exit(1)")
    page = Elements(send(pages).text)
    assert "No label" in page.text
    assert words in page.text


@pytest.mark.usefixtures("classifier")
def test_the_command_gets_the_photo_and_the_classifier_and_no_secret(
    s3: Any, command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AIRFLOW__API_AUTH__JWT_SECRET", "secret")
    seen = tmp_path / "seen.json"
    deployment = command(
        "files = {name: open(name).read() for name in os.listdir('.')}\n"
        f"json.dump([sys.argv[1:], dict(os.environ), files], open({str(seen)!r}, 'w'))\n{prints(ANSWER)}"
    )
    prediction.predict(s3, LAYOUT, b"bytes", deployment)
    arguments, environment, files = json.loads(seen.read_text())
    photo, result, model = (Path(arguments[at]) for at in (2, 6, 8))
    assert arguments == [
        *("-m", "predict", str(photo), "--json", "--components"),
        *("--result", str(result), "--model", str(model)),
    ]
    assert files == {"photo": "bytes", CARD_NAME: CARD_NAME, LAYERS_NAME: LAYERS_NAME}
    assert photo.parent == result
    assert not result.exists(), "nothing is kept"
    assert model == deployment.model_dir
    given = {"PATH", "LANG", "PYTHONPATH", "PYTHONSAFEPATH", "PYTHONDONTWRITEBYTECODE"}
    assert set(environment) - {"LC_CTYPE", "PWD", "SHLVL", "_"} == given
    assert environment["PYTHONPATH"].split(os.pathsep)[0] == str(deployment.code_dir)


@pytest.mark.usefixtures("classifier")
@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        (
            "where = os.getcwd(); print(f'error: The classifier of {where} is a forest: take another.', "
            "file=sys.stderr); sys.exit(2)",
            "The photo was not looked at: The classifier of the run is a forest: take another.",
        ),
        ("raise KeyError('x')", "The photo was not looked at: KeyError: 'x'."),
        ("os.kill(os.getpid(), 9)", "The photo was not looked at: exit code -9."),
        ("print('{}')", "another version of this project (KeyError('label')): update the Python of"),
        ("print('no JSON')", "another version of this project"),
        (prints({**ANSWER, "best": 7}), "another version of this project"),
    ],
    ids=["refused", "raised", "killed", "empty", "no JSON", "odd"],
)
def test_a_command_without_an_answer_is_one_sentence(
    s3: Any, command: Command, code: str, sentence: str
) -> None:
    with pytest.raises(PageError) as refused:
        prediction.predict(s3, LAYOUT, b"photo", command(code))
    assert sentence in str(refused.value)


@pytest.mark.usefixtures("classifier")
def test_a_command_that_does_not_end_is_ended_with_what_it_has_started(
    s3: Any, command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(prediction, "_SECONDS", 3)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    end = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    # Its child holds the pipe's other end, too: reading it ends when both are gone.
    deployment = command(
        f"held = open({str(pipe)!r}, 'w'); held.write('x'); held.flush(); os.fork(); time.sleep(600)"
    )
    with pytest.raises(PageError, match="took longer than 3 s"):
        prediction.predict(s3, LAYOUT, b"photo", deployment)
    os.set_blocking(end, True)
    with os.fdopen(end) as held:
        assert held.read() == "x"


@pytest.mark.usefixtures("classifier")
def test_one_photo_is_looked_at_at_a_time(s3: Any, command: Command) -> None:
    deployment = command(prints(ANSWER))
    with prediction._one_at_a_time, pytest.raises(PageError, match="Another photo is being looked at"):
        prediction.predict(s3, LAYOUT, b"photo", deployment)
    assert prediction.predict(s3, LAYOUT, b"photo", deployment).label == "Kiwi"


def test_a_run_without_a_classifier_and_a_python_that_is_none_are_said(
    s3: Any, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(PageError, match="has left no classifier"):
        prediction.predict(s3, LAYOUT, b"photo", command(prints(ANSWER)))
    s3.put_object(Bucket=BUCKET, Key=f"{LAYOUT.classifier}{CARD_NAME}", Body=b"{}")
    monkeypatch.setenv(prediction.SETTING, "/nowhere/python")
    with pytest.raises(PageError, match=r"FRUITS_PREDICT_PYTHON '/nowhere/python' cannot be started"):
        prediction.predict(s3, LAYOUT, b"photo", Deployment())
    monkeypatch.setenv(prediction.SETTING, "")
    with pytest.raises(PageError, match="set FRUITS_PREDICT_PYTHON"):
        prediction.predict(s3, LAYOUT, b"photo", Deployment())


@pytest.mark.usefixtures("classifier")
def test_the_form_is_there_where_a_python_is_named_and_else_its_setting(
    pages: TestClient,
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    page = Elements(pages.get("/result?run_id=r%2B1").text)
    assert "set FRUITS_PREDICT_PYTHON" in page.text
    assert [attrs["method"] for tag, attrs in page.tags if tag == "form"] == ["get"]
    command(prints(ANSWER))
    page = Elements(pages.get("/result?run_id=r%2B1").text)
    assert [attrs["action"] for tag, attrs in page.tags if tag == "form"] == ["photo", "try?run_id=r"]
    assert "FRUITS_PREDICT_PYTHON" not in page.text


@pytest.mark.usefixtures("classifier")
def test_what_is_too_large_or_empty_is_refused(pages: TestClient, command: Command) -> None:
    command(prints(ANSWER))
    assert "at most 20,971,520 are taken" in send(pages, bytes(prediction.MOST_BYTES + 5_000)).text
    assert "The form came without a photo" in send(pages, b"").text
    body = iter([b"a", b"b"])
    headers = {**OWN, "Content-Type": "multipart/form-data; boundary=x"}
    answer = pages.post("/try?run_id=r%2B1", content=body, headers=headers)
    assert "without its length" in answer.text


@pytest.mark.usefixtures("classifier")
def test_another_site_cannot_send_the_form(pages: TestClient, command: Command) -> None:
    command(prints(ANSWER))
    for headers in (
        {},
        {"Sec-Fetch-Site": "cross-site"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
    ):
        answer = send(pages, headers=headers)
        assert answer.status_code == 409
        assert "sent from another site" in answer.text
    assert "Kiwi" in send(pages, headers={"Origin": "http://testserver"}).text


@pytest.mark.parametrize(
    ("headers", "is_own"),
    [
        ({"sec-fetch-site": "same-origin", "origin": "null"}, True),
        ({"sec-fetch-site": "same-site", "origin": "http://a", "host": "a"}, False),
        ({"sec-fetch-site": "none"}, False),
        ({"origin": "https://a:8080", "host": "a:8080"}, True),
        ({"origin": "https://a.evil.example", "host": "a"}, False),
        ({"origin": "https://airflow.example", "host": "10.0.0.7:8080"}, True),
        ({"host": "a"}, False),
        ({}, False),
    ],
)
def test_a_form_is_its_own_sites_where_a_browser_says_so(
    headers: dict[str, str], is_own: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://airflow.example")
    if is_own:
        assert same_origin.check(headers) is None  # type: ignore[func-returns-value]
    else:
        with pytest.raises(PageError, match="another site"):
            same_origin.check(headers)
