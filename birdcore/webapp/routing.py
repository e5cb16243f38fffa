"""Keeping pages inside the app's frame.

A page's address can be opened on a server on which the entry script has never run, after a restart for instance. Streamlit
then takes ``pages/`` for a plain folder of scripts and shows the one file, without logo and sidebar. The page sends such a
visit through the entry script, and is shown there.
"""

from __future__ import annotations

import streamlit as st
from streamlit.errors import StreamlitAPIException

__all__ = [
    "CHECK_PAGE",
    "ENTRY_SCRIPT",
    "FOLLOW_PAGE",
    "IDENTIFY_PAGE",
    "TRAIN_PAGE",
    "enter_frame",
    "need_frame",
]

ENTRY_SCRIPT = "streamlit_app.py"

# Pages that others link to.
IDENTIFY_PAGE = "pages/identify_birds.py"
CHECK_PAGE = "pages/check_dataset.py"
TRAIN_PAGE = "pages/train_model.py"
FOLLOW_PAGE = "pages/follow_runs.py"

_FRAMED, _WANTED = "framed", "wanted_page"


def enter_frame() -> None:
    """The entry script says that it frames this run; it goes on to the page that was asked for without a frame."""
    wanted = st.session_state.pop(_WANTED, None)
    if wanted:
        st.switch_page(wanted)
    st.session_state[_FRAMED] = True


def need_frame(page: str) -> None:
    """A page asks for the frame, before anything else.

    Parameters
    ----------
    page : its path, from the entry script's folder; without an entry script, as in a test of one page, it goes on alone
    """
    if st.session_state.pop(_FRAMED, False):
        return
    st.session_state[_WANTED] = page
    try:
        st.switch_page(ENTRY_SCRIPT)
    except StreamlitAPIException:
        del st.session_state[_WANTED]
