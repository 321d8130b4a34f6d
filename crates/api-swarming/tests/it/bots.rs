//! What bots do, and what is done to them.
