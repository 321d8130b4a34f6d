//! Who may run what: shapes, profiles, and the edges between them.
//!
//! Jobs with the same queue and requirements share a *shape*; runners with the same queues and dimensions (other than `id`)
//! share a *profile*. Whether a profile serves a shape is computed once, when either first appears. A poll looks only at
//! the heads of its profile's shapes that have jobs; a new job looks only at the parked polls of its shape's profiles. So the
//! cost of a match does not grow with the number of queued jobs or of connected runners.
//!
//! Invariant: a parked poll never serves a shape that has a pending job, because either side looks for the other when it
//! appears.

mod band;
mod slab;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::{Dimensions, JobId, Requirements, RunnerName};

use crate::change::PollKey;
pub(crate) use band::Rank;
use band::{Bands, Turns};
pub(crate) use slab::Slab;

pub(crate) type ShapeIx = u32;
pub(crate) type ProfileIx = u32;
pub(crate) type RunnerIx = u32;
pub(crate) type OwnerIx = u32;

/// The dimension that names one runner. It is kept out of profiles, or each runner would have a profile of its own.
pub(crate) const ID: &str = "id";

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ShapeKey {
    pub queue: Arc<str>,
    pub requirements: Requirements,
}

impl ShapeKey {
    /// The runners that the shape names, when it names any: those in every `id` requirement.
    fn pinned(&self) -> Option<BTreeSet<String>> {
        let mut all = self.requirements.iter().filter(|(key, _)| *key == ID).map(|(_, ids)| ids);
        let first = all.next()?.clone();
        Some(all.fold(first, |kept, ids| kept.intersection(ids).cloned().collect()))
    }

    /// Whether a runner with these queues and dimensions, and this name, could take the shape's jobs.
    fn served_by(&self, profile: &ProfileKey, name: Option<&RunnerName>) -> bool {
        profile.queues.contains(&self.queue)
            && self.requirements.iter().all(|(key, alternatives)| {
                (key == ID && name.is_none_or(|name| alternatives.contains(name.as_str())))
                    || (key != ID && alternatives.iter().any(|v| profile.dimensions.offers(key, v)))
            })
    }
}

#[derive(Debug)]
pub(crate) struct Shape {
    pub key: ShapeKey,
    /// How many live jobs name it in a slice.
    refs: u32,
    pub bands: Bands,
    /// Profiles that serve it. Empty for a pinned shape.
    pub profiles: BTreeSet<ProfileIx>,
    pinned: Option<BTreeSet<String>>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ProfileKey {
    pub queues: BTreeSet<Arc<str>>,
    pub dimensions: Dimensions,
}

#[derive(Debug)]
pub(crate) struct Profile {
    pub key: ProfileKey,
    pub runners: BTreeSet<RunnerIx>,
    /// Shapes that it serves and that have a pending job.
    ready: BTreeSet<ShapeIx>,
    /// Its parked polls, oldest first.
    parked: BTreeSet<PollKey>,
}

/// Where a pending job stands in line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub shape: ShapeIx,
    pub rank: Rank,
    pub owner: OwnerIx,
    pub job: JobId,
}

/// Planted defects of matching.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct MatcherBugs {
    pub invert_priority: bool,
    pub no_turns: bool,
    pub any_key: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Matcher {
    /// See [`crate::Bug`]: the matcher has no configuration of its own.
    pub bugs: MatcherBugs,
    shapes: Slab<Shape>,
    shape_ix: BTreeMap<ShapeKey, ShapeIx>,
    profiles: Slab<Profile>,
    profile_ix: BTreeMap<ProfileKey, ProfileIx>,
    /// Pinned shapes with a pending job, by the runner that they name.
    pinned_ready: BTreeMap<String, BTreeSet<ShapeIx>>,
    /// Parked polls by runner name, for pinned shapes.
    parked_by_name: BTreeMap<String, BTreeMap<PollKey, ProfileIx>>,
    turns: Turns,
    pending: usize,
}

impl Matcher {
    pub(crate) fn new(bugs: MatcherBugs) -> Self {
        Self { bugs, ..Self::default() }
    }

    pub(crate) fn shape(&self, ix: ShapeIx) -> &Shape {
        &self.shapes[ix]
    }

    pub(crate) fn profile(&self, ix: ProfileIx) -> &Profile {
        &self.profiles[ix]
    }

    pub(crate) fn profiles(&self) -> impl Iterator<Item = (ProfileIx, &Profile)> {
        self.profiles.iter()
    }

    pub(crate) fn pending(&self) -> usize {
        self.pending
    }

    /// Names the shape once more, making it and its edges if it is new.
    pub(crate) fn shape_retain(&mut self, key: ShapeKey) -> ShapeIx {
        if let Some(ix) = self.shape_ix.get(&key) {
            self.shapes[*ix].refs += 1;
            return *ix;
        }
        let pinned = key.pinned();
        let profiles = if pinned.is_some() {
            BTreeSet::new()
        } else {
            let loose = self.bugs.any_key;
            let serving = self.profiles.iter().filter(|(_, p)| {
                key.served_by(&p.key, None) || (loose && p.key.queues.contains(&key.queue))
            });
            serving.map(|(ix, _)| ix).collect()
        };
        let shape = Shape { key: key.clone(), refs: 1, bands: Bands::default(), profiles, pinned };
        let ix = self.shapes.insert(shape);
        self.shape_ix.insert(key, ix);
        ix
    }

    pub(crate) fn shape_release(&mut self, ix: ShapeIx) {
        let shape = &mut self.shapes[ix];
        crate::invariant!(shape.refs > 0, "shape {ix} released more often than retained");
        shape.refs -= 1;
        if shape.refs > 0 {
            return;
        }
        crate::invariant!(shape.bands.is_empty(), "shape {ix} is dropped with pending jobs");
        let shape = self.shapes.remove(ix);
        self.shape_ix.remove(&shape.key);
    }

    /// The profile of these queues and dimensions, with one runner more.
    pub(crate) fn profile_join(&mut self, key: ProfileKey, runner: RunnerIx) -> ProfileIx {
        let ix = match self.profile_ix.get(&key) {
            Some(ix) => *ix,
            None => {
                let profile = Profile {
                    key: key.clone(),
                    runners: BTreeSet::new(),
                    ready: BTreeSet::new(),
                    parked: BTreeSet::new(),
                };
                let ix = self.profiles.insert(profile);
                self.profile_ix.insert(key.clone(), ix);
                let serves =
                    |shape: &Shape| shape.pinned.is_none() && shape.key.served_by(&key, None);
                for (shape_ix, shape) in self.shapes.iter_mut().filter(|(_, s)| serves(s)) {
                    shape.profiles.insert(ix);
                    if !shape.bands.is_empty() {
                        self.profiles[ix].ready.insert(shape_ix);
                    }
                }
                ix
            }
        };
        self.profiles[ix].runners.insert(runner);
        ix
    }

    pub(crate) fn profile_leave(&mut self, ix: ProfileIx, runner: RunnerIx) {
        let profile = &mut self.profiles[ix];
        profile.runners.remove(&runner);
        if !profile.runners.is_empty() {
            return;
        }
        crate::invariant!(profile.parked.is_empty(), "profile {ix} is dropped with parked polls");
        let profile = self.profiles.remove(ix);
        self.profile_ix.remove(&profile.key);
        for (_, shape) in self.shapes.iter_mut() {
            shape.profiles.remove(&ix);
        }
    }

    /// Puts a job in line.
    pub(crate) fn push(&mut self, place: Place) {
        let place = self.bent(place);
        let shape = &mut self.shapes[place.shape];
        let was_empty = shape.bands.is_empty();
        shape.bands.push(&mut self.turns, place.rank, place.owner, place.job);
        self.pending += 1;
        if was_empty {
            self.set_ready(place.shape, true);
        }
    }

    /// Takes a job out of line, wherever it stands.
    pub(crate) fn remove(&mut self, place: Place) {
        let place = self.bent(place);
        self.remove_bent(place);
    }

    fn bent(&self, place: Place) -> Place {
        if self.bugs.invert_priority {
            Place { rank: place.rank.inverted(), ..place }
        } else {
            place
        }
    }

    fn remove_bent(&mut self, place: Place) {
        let shape = &mut self.shapes[place.shape];
        shape.bands.remove(&mut self.turns, place.rank, place.owner, place.job);
        self.pending -= 1;
        if shape.bands.is_empty() {
            self.set_ready(place.shape, false);
        }
    }

    fn set_ready(&mut self, ix: ShapeIx, ready: bool) {
        let shape = &self.shapes[ix];
        for name in shape.pinned.iter().flatten() {
            if ready {
                self.pinned_ready.entry(name.clone()).or_default().insert(ix);
            } else if let Some(all) = self.pinned_ready.get_mut(name) {
                all.remove(&ix);
                if all.is_empty() {
                    self.pinned_ready.remove(name);
                }
            }
        }
        for profile in &shape.profiles {
            let all = &mut self.profiles[*profile].ready;
            if ready {
                all.insert(ix)
            } else {
                all.remove(&ix)
            };
        }
    }

    /// The best job for a runner: lowest rank, then the owner whose turn it is, then age. It is taken out of line
    /// and its owner's turn is over.
    pub(crate) fn take(&mut self, profile: ProfileIx, name: &RunnerName) -> Option<JobId> {
        let mut best: Option<(band::Head, ShapeIx)> = None;
        for ix in self.profiles[profile].ready.iter() {
            let head = self.shapes[*ix].bands.head(&self.turns);
            best = best.min_by_head(head, *ix);
        }
        if let Some(pinned) = self.pinned_ready.get(name.as_str()) {
            for ix in pinned {
                if self.shapes[*ix].key.served_by(&self.profiles[profile].key, Some(name)) {
                    let head = self.shapes[*ix].bands.head(&self.turns);
                    best = best.min_by_head(head, *ix);
                }
            }
        }
        let (head, shape) = best?;
        let owner = self.shapes[shape].bands.owner_of_head(&head);
        if !self.bugs.no_turns {
            self.turns.served(head.rank, owner);
        }
        self.remove_bent(Place { shape, rank: head.rank, owner, job: head.job });
        Some(head.job)
    }

    pub(crate) fn park(&mut self, profile: ProfileIx, name: &RunnerName, poll: PollKey) {
        self.profiles[profile].parked.insert(poll);
        self.parked_by_name.entry(name.as_str().to_owned()).or_default().insert(poll, profile);
    }

    pub(crate) fn unpark(&mut self, profile: ProfileIx, name: &RunnerName, poll: PollKey) {
        self.profiles[profile].parked.remove(&poll);
        if let Some(polls) = self.parked_by_name.get_mut(name.as_str()) {
            polls.remove(&poll);
            if polls.is_empty() {
                self.parked_by_name.remove(name.as_str());
            }
        }
    }

    /// The poll that has waited longest among those that may take a job of this shape.
    pub(crate) fn parked_for(&self, ix: ShapeIx) -> Option<PollKey> {
        let shape = self.shapes.get(ix).filter(|shape| !shape.bands.is_empty())?;
        if let Some(names) = &shape.pinned {
            let polls = names.iter().filter_map(|name| self.parked_by_name.get(name));
            let serves = |ix: &ProfileIx| shape.key.served_by(&self.profiles[*ix].key, None);
            return polls.flatten().filter(|(_, ix)| serves(ix)).map(|(poll, _)| *poll).min();
        }
        let profiles = shape.profiles.iter();
        profiles.filter_map(|ix| self.profiles[*ix].parked.first().copied()).min()
    }

    /// Whether a runner of this profile and name could take the shape's jobs.
    pub(crate) fn serves(&self, profile: ProfileIx, name: &RunnerName, shape: ShapeIx) -> bool {
        self.shapes[shape].key.served_by(&self.profiles[profile].key, Some(name))
    }

    /// Profiles that could take the shape's jobs, pinned shapes included.
    pub(crate) fn profiles_for(&self, shape: ShapeIx) -> Vec<ProfileIx> {
        let shape = &self.shapes[shape];
        if shape.pinned.is_none() {
            return shape.profiles.iter().copied().collect();
        }
        let serving = self.profiles.iter().filter(|(_, p)| shape.key.served_by(&p.key, None));
        serving.map(|(ix, _)| ix).collect()
    }

    pub(crate) fn is_pinned(&self, shape: ShapeIx) -> bool {
        self.shapes[shape].pinned.is_some()
    }

    /// Checks the ready sets against the truth. For tests and the simulator.
    pub(crate) fn check(&self) {
        for (ix, shape) in self.shapes.iter() {
            for profile in &shape.profiles {
                let ready = self.profiles[*profile].ready.contains(&ix);
                assert_eq!(ready, !shape.bands.is_empty(), "ready set of profile {profile}");
            }
            for (profile_ix, profile) in self.profiles.iter() {
                let edge = shape.pinned.is_none() && shape.key.served_by(&profile.key, None);
                assert_eq!(edge, shape.profiles.contains(&profile_ix), "edge {ix}–{profile_ix}");
            }
        }
        let pending: usize = self.shapes.iter().map(|(_, shape)| shape.bands.len()).sum();
        assert_eq!(pending, self.pending, "count of pending jobs");
    }
}

trait MinByHead {
    fn min_by_head(self, head: Option<band::Head>, ix: ShapeIx) -> Self;
}

impl MinByHead for Option<(band::Head, ShapeIx)> {
    fn min_by_head(self, head: Option<band::Head>, ix: ShapeIx) -> Self {
        match (self, head) {
            (Some(best), Some(head)) if head < best.0 => Some((head, ix)),
            (None, Some(head)) => Some((head, ix)),
            (best, _) => best,
        }
    }
}
