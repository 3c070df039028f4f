"""What the model sees of a photo: ``python -m inspect_photo PHOTO``. ``--help`` lists the options."""

import sys

from fruit_spark.predict.inspection import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
