//! What only some doors ask of a job: order by age, patience, parents, results that are reused.

mod terms;
