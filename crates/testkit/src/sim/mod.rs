//! One seed, one world: run it, and say what was broken.

mod actors;
mod disk;
mod oracle;
mod random;
mod rules;
mod world;

pub use engine::Bug;
pub use rules::Seen;
pub use world::ServerBug;

/// What a seed did, and the first thing that was wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    pub seed: u64,
    pub events: u64,
    pub faults: u64,
    pub crashes: u64,
    pub jobs: u64,
    /// Simulated milliseconds.
    pub simulated_ms: u64,
    /// A hash over everything that happened, for the double run.
    pub trace: u64,
    /// How often each of Swarming's rules was at work.
    pub seen: Seen,
    pub violation: Option<String>,
}

/// A defect to plant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Planted {
    InEngine(Bug),
    InServer(ServerBug),
}

impl Planted {
    /// Every defect that the simulator must find.
    pub fn all() -> Vec<Self> {
        let server = ServerBug::ALL.into_iter().map(Self::InServer);
        Bug::ALL.into_iter().map(Self::InEngine).chain(server).collect()
    }
}

/// The commits of one seed's life, each with what its store holds after it.
pub type Life = Vec<(Vec<engine::Change>, Box<dyn Fn() -> engine::Snapshot>)>;

/// Runs one seed and keeps its commits, to replay them on a real store.
pub fn record(seed: u64) -> Life {
    let mut world = world::World::new(seed, None);
    world.record();
    let result = world.run();
    assert_eq!(result, Ok(()), "seed {seed}");
    world.recorded()
}

/// Runs one seed. A panic of the engine's own assertions is a violation like any other.
pub fn run(seed: u64, planted: Option<Planted>) -> Outcome {
    let mut world = world::World::new(seed, planted);
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| world.run()));
    let violation = match result {
        Ok(Ok(())) => None,
        Ok(Err(violation)) => Some(violation),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            Some(format!("the engine stopped itself: {}", text.unwrap_or_default()))
        }
    };
    Outcome { violation, ..world.outcome() }
}
