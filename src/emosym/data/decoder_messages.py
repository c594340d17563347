"""What decoders print beside their exceptions stays off the terminal; an error row says it once."""

from __future__ import annotations

import ctypes
import warnings

PILLOW = r"(PIL|pillow_heif)(\.|$)"
# libtiff prints on the process's own error stream: no Python code can catch that line.
LIBTIFF_HANDLERS = ("TIFFSetErrorHandler", "TIFFSetWarningHandler")


def hush() -> None:
    """Keep Pillow's warnings and libtiff's messages off the terminal, for this process.

    Once, where decoding is defined, since pictures are decoded in threads: neither
    `warnings.catch_warnings` nor another error stream for a while would be safe there. Filters
    that somebody has set, -W among them, go before this one. Where Pillow's libtiff cannot be
    reached by name (it is linked into it on Windows), its messages are printed as ever.
    """
    warnings.filterwarnings("ignore", module=PILLOW, append=True)
    try:
        from PIL import _imaging

        library = ctypes.CDLL(_imaging.__file__)  # the very one that is loaded, and what it links
        for name in LIBTIFF_HANDLERS:
            setter = getattr(library, name)
            setter.argtypes, setter.restype = [ctypes.c_void_p], ctypes.c_void_p
            setter(None)
    except (ImportError, AttributeError, OSError):
        return
