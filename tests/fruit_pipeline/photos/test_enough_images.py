"""A run needs more photos than components, and says how many would do."""

import pytest

from fruit_contract.layout import IMAGE_SUFFIXES
from fruit_pipeline.photos.planner import TooFewImagesError, check_enough_images
from fruit_pipeline.settings.parameters import RunParameters


@pytest.mark.parametrize(
    ("images", "sentence"),
    [
        (0, "There are no images under s3://b-b/Test/"),
        (1, "There is 1 image under s3://b-b/Test/, and PCA needs at least 2"),
        (256, "There are 256 images .* lower components to at most 255"),
    ],
)
def test_too_few_images_are_refused(images: int, sentence: str) -> None:
    with pytest.raises(TooFewImagesError, match=sentence):
        check_enough_images(images, RunParameters(bucket="b-b"), components=256)


def test_where_no_file_counts_it_says_which_were_left_out_and_which_names_count() -> None:
    with pytest.raises(TooFewImagesError) as refusal:
        check_enough_images(0, RunParameters(bucket="b-b"), 256, left_out={".heic": 1200, "no suffix": 3})
    assert "1,203 files are left out by their names (1,200 .heic, 3 no suffix)" in str(refusal.value)
    assert all(suffix in str(refusal.value) for suffix in IMAGE_SUFFIXES)


def test_one_image_more_than_components_is_accepted() -> None:
    check_enough_images(257, RunParameters(bucket="b-b"), components=256)
