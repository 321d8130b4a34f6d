//! The parts that pages are made of. They know no query and no backend.

pub(crate) mod chart;
pub(crate) mod diff;
pub(crate) mod diff_words;
pub(crate) mod form;
pub(crate) mod icon;
pub(crate) mod layout;
pub(crate) mod list;
pub(crate) mod state;
pub(crate) mod text;
pub(crate) mod time;
