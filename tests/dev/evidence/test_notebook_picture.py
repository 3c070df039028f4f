"""Promise: the picture of the notebook is of the run's own result, and no cell in it shows a photo."""

import json
from pathlib import Path

from evidence import notebook_picture


def test_the_copy_names_the_result_and_photos_come_after_what_is_executed(tmp_path: Path) -> None:
    copy = tmp_path / "notebooks" / "explore.ipynb"
    executed = notebook_picture.opened_on("s3://bucket", copy)
    sources = ["".join(cell["source"]) for cell in json.loads(copy.read_text())["cells"]]
    assert sources[1] == 'RESULT = "s3://bucket"\nPHOTOS = ""'
    assert "plt.show()" in sources[executed - 1]
    shows_photos = [number for number, source in enumerate(sources) if "photos.picture(" in source]
    assert shows_photos
    assert min(shows_photos) >= executed
