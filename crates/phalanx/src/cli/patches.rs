//! The folder of `-o`: a patch of each job that changed something, and `report.json`.

use std::collections::BTreeMap;
use std::path::Path;

use campaign::execution::{JobReport, Report};

use crate::client::Client;

/// The name of each job's patch, in the order of the jobs: `REPOSITORY[--PATH].patch` with `-` for `/`. Where two agree, or
/// one is longer than a file's name may be, a part of a digest keeps them apart.
fn patch_names(jobs: &[JobReport]) -> Vec<String> {
    const LONGEST: usize = 200;
    let plain = |job: &JobReport| {
        let path = if job.path.is_empty() { String::new() } else { format!("--{}", job.path) };
        format!("{}{path}", job.repository).replace('/', "-")
    };
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    for job in jobs {
        *seen.entry(plain(job)).or_default() += 1;
    }
    let name = |job: &JobReport| {
        let name = plain(job);
        if seen[&name] == 1 && name.len() <= LONGEST {
            return format!("{name}.patch");
        }
        let whole = format!("{}\0{}\0{}", job.repository, job.path, job.branch);
        let digest = blobs::digest_of(whole.as_bytes());
        let end = name.floor_char_boundary(LONGEST);
        format!("{}-{}.patch", &name[..end], &digest.to_string()[..8])
    };
    jobs.iter().map(name).collect()
}

/// A patch of an earlier run that is not made again would be taken for one of this run.
fn remove_patches_of_before(directory: &Path) {
    let before = std::fs::read(directory.join("report.json")).ok();
    let before = before.and_then(|bytes| serde_json::from_slice::<Report>(&bytes).ok());
    for name in before.iter().flat_map(|report| &report.jobs).filter_map(|job| job.patch.as_ref()) {
        // Only what such a run can have written there.
        if name.ends_with(".patch") && !name.contains('/') {
            let _ = std::fs::remove_file(directory.join(name));
        }
    }
}

/// Writes the patches and `report.json`, in which `patch` becomes the file's name.
pub async fn write(directory: &Path, client: &Client, report: &mut Report) -> anyhow::Result<()> {
    std::fs::create_dir_all(directory)?;
    let names = patch_names(&report.jobs);
    remove_patches_of_before(directory);
    for (job, name) in report.jobs.iter_mut().zip(names) {
        let file = directory.join(&name);
        if let Some(digest) = &job.patch {
            std::fs::write(file, client.bytes(&format!("blobs/{digest}")).await?)?;
            job.patch = Some(name);
        }
    }
    std::fs::write(directory.join("report.json"), serde_json::to_vec_pretty(report)?)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(repository: &str, path: &str, branch: &str) -> JobReport {
        serde_json::from_value(serde_json::json!({
            "job": 1, "repository": repository, "path": path, "branch": branch, "baseRevision": "", "state": "succeeded",
            "attempts": 1, "cached": false,
        }))
        .unwrap()
    }

    #[test]
    fn no_two_patches_have_one_name() {
        let long = "x".repeat(250);
        let jobs = [
            job("one", "", "main"),
            job("a/b", "", "main"),
            job("a-b", "", "main"),
            job("two", "x/y", "main"),
            job("two", "x/y", "next"),
            job(&long, "", "main"),
            job(&long, "y", "main"),
        ];
        let names = patch_names(&jobs);
        assert_eq!(names[0], "one.patch");
        assert!(names[3].starts_with("two--x-y-"), "{names:?}");
        assert!(names.iter().all(|name| name.len() < 255), "{names:?}");
        let distinct: std::collections::BTreeSet<_> = names.iter().collect();
        assert_eq!(distinct.len(), jobs.len(), "{names:?}");
    }
}
