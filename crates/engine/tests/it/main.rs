//! What only some doors ask of a job: order by age, patience, parents, results that are reused, slices that are passed over.

mod ground;
mod slices;
mod terms;
