"""What the model sees of a photo: ``python -m inspect_photo PHOTO``. ``--help`` lists the options."""

import signal
import sys

from fruit_spark.predict.inspection import main

if __name__ == "__main__":
    # Ends quietly where the reader of its answers ends first, as `head` does.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    sys.exit(main(sys.argv[1:]))
