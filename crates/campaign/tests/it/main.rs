//! The service on a real store, real git and a forge, with runners that end jobs as a test wants.

mod ground;

mod actions;
mod executions;
mod faults;
mod hosts;
mod publishing;
mod saved_searches;
mod schedules;
mod scope;
