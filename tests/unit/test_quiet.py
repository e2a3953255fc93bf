"""What is kept off is kept off in one thread, for the time of a block, and nothing else is."""

from __future__ import annotations

import logging
import threading
import warnings

import pytest

from labs_lib.quiet import quiet, quiet_libraries, quiet_loading


def test_one_quiet_thread_leaves_the_others_their_warnings():
    inside, leave = threading.Event(), threading.Event()
    heard_there: list[str] = []

    def trace():
        with quiet():
            warnings.warn("from the trace", stacklevel=1)
            inside.set()
            leave.wait(10)
            heard_there.append("done")

    worker = threading.Thread(target=trace)
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        worker.start()
        inside.wait(10)
        warnings.warn("from the lesson", stacklevel=1)
    leave.set()
    worker.join(10)
    assert [str(each.message) for each in heard] == ["from the lesson"]
    assert heard_there == ["done"]
    with pytest.warns(UserWarning, match="afterwards"):  # nothing stays silenced
        warnings.warn("afterwards", stacklevel=1)


def test_named_beginnings_silence_only_what_begins_so(caplog):
    with warnings.catch_warnings(record=True) as heard, quiet("known"):
        warnings.simplefilter("always")
        with quiet("known"):
            warnings.warn("known and harmless", stacklevel=1)
            warnings.warn("well known", stacklevel=1)
            logging.getLogger("peft").warning("a remark")
    assert [str(each.message) for each in heard] == ["well known"]
    assert [each.getMessage() for each in caplog.records] == ["a remark"]


def test_a_block_that_ends_first_takes_its_own_silence_along():
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        first, second = quiet("one"), quiet("two")
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)
        warnings.warn("one is heard again", stacklevel=1)
        warnings.warn("two is not yet", stacklevel=1)
        second.__exit__(None, None, None)
    assert [str(each.message) for each in heard] == ["one is heard again"]


def test_filters_that_another_thread_takes_away_meanwhile_are_no_error(
    monkeypatch: pytest.MonkeyPatch,
):
    class Emptied(list[object]):
        """A list that is empty by the time that something is removed from it."""

        def remove(self, value: object) -> None:
            self.clear()
            super().remove(value)

    with quiet():
        pass
    filters = Emptied([("error", None, Warning, None, 0), *warnings.filters])
    monkeypatch.setattr(warnings, "filters", filters)
    with quiet():
        warnings.warn("an error, were it not silent", stacklevel=1)
    assert len(filters) == 1


def test_remarks_of_the_libraries_are_silent_but_their_errors_and_other_loggers_are_not(caplog):
    with quiet():
        logging.getLogger("transformers.models").warning("a remark")
        logging.getLogger("transformers.models").error("an error")
        logging.getLogger("a_students_own").warning("a word")
    assert [each.getMessage() for each in caplog.records] == ["an error", "a word"]


@pytest.mark.parametrize("block", [quiet_loading, quiet_libraries])
def test_bars_are_off_until_the_last_block_ends_in_whichever_order(block):
    from transformers.utils import logging as bars

    assert bars.is_progress_bar_enabled()
    first, second = block(), block()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert not bars.is_progress_bar_enabled()
    second.__exit__(None, None, None)
    assert bars.is_progress_bar_enabled()


def test_bars_that_were_off_stay_off():
    from transformers.utils import logging as bars

    bars.disable_progress_bar()
    try:
        with quiet_loading():
            pass
        assert not bars.is_progress_bar_enabled()
    finally:
        bars.enable_progress_bar()
