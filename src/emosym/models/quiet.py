"""Opening weights without the libraries' progress bars and a warning about their own files."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import huggingface_hub.utils as hub
from transformers.utils import logging as bars

# AutoencoderTiny writes this key into its configuration and warns of it at every load.
KEY_OF_TINY = "block_out_channels"
OWN_KEY = re.compile(
    rf"The config attributes {{'{KEY_OF_TINY}': [\[(][\d, ]*[\])]}} were passed to AutoencoderTiny,"
)


# The libraries set torch's default type and more for a whole process while they load.
_LOADING = threading.RLock()


@contextmanager
def quiet_loading() -> Iterator[None]:
    """Load weights: one model at a time, without progress bars and a warning about their own key.

    Every other warning is shown; all is as it was afterwards.
    """
    with _LOADING, _quiet():
        yield


@contextmanager
def _quiet() -> Iterator[None]:
    logger = logging.getLogger("diffusers.configuration_utils")
    shown, hub_shown = bars.is_progress_bar_enabled(), not hub.are_progress_bars_disabled()
    logger.addFilter(_is_worth_saying)
    if shown:
        bars.disable_progress_bar()  # the hub's too
    try:
        yield
    finally:
        logger.removeFilter(_is_worth_saying)
        if shown:
            bars.enable_progress_bar()
        if shown and not hub_shown:
            hub.disable_progress_bars()


def _is_worth_saying(record: logging.LogRecord) -> bool:
    return OWN_KEY.match(record.getMessage()) is None
