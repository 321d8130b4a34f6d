//! The one integration test binary of `spec`.

mod expressions;
mod go_template;
mod hostile;
