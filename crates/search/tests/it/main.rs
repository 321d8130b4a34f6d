//! The search language from outside: tables of queries, and random ones.

mod evaluation;
mod fleet;
mod mistakes;
mod plans;
mod random;
mod shape;
mod trees;
