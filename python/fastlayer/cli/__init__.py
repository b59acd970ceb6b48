"""The command line: click, one module a command, and the only code that prints."""

import atexit
import gc

# Starting makes some 100,000 objects that all stay: looking for garbage among them again and again
# takes a tenth of a short command's time, and so does doing it once more at the end.
gc.set_threshold(100_000)
atexit.register(gc.freeze)
