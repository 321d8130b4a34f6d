//! The door as its clients and bots see it, over a real store.

mod bots;
mod ground;
mod house;
mod lists;
mod own;
mod tasks;
mod validation;
