//! Requests for tasks that are there.

use super::*;

fn message<T: std::fmt::Debug>(result: Result<T, Status>) -> String {
    let status = result.unwrap_err();
    assert_eq!(status.code, crate::prpc::Code::InvalidArgument);
    status.message
}

fn at(seconds: i64) -> Option<Timestamp> {
    Some(Timestamp { seconds: 1_262_304_000 + seconds, nanos: 0 })
}

#[test]
fn ids() {
    assert_eq!(message(task_id("")), "task_id is required");
    assert_eq!(
        message(task_id("zz")),
        r#"task_id zz: bad task ID: bad lowercase hex string "zz", wrong char z"#
    );
    assert_eq!(task_id("6663cfc78b41fb11"), task_id("6663cfc78b41fb10"));
    let ids = |of: &[&str]| task_ids(&of.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>());
    assert_eq!(message(ids(&[])), "task_ids is required");
    assert_eq!(message(ids(&["1", "10"])), "task_ids: 1: bad task ID: too small");
    assert_eq!(message(ids(&["110", "111"])), "task_ids: 111 is specified more than once");
    assert_eq!(
        message(ids(&vec!["10"; 1001])),
        "task_ids length should be no more than 1000, got 1001"
    );
    assert_eq!(ids(&["110", "10"]).unwrap().len(), 2);
}

#[test]
fn limits() {
    assert_eq!((limit(0), limit(1), limit(1000)), (Ok(100), Ok(1), Ok(1000)));
    assert_eq!(message(limit(-1)), "invalid limit: must be positive, got -1");
    assert_eq!(message(limit(1001)), "invalid limit: must be less or equal to 1000, got 1001");
    assert_eq!(message(limit(i32::MIN)), "invalid limit: must be positive, got -2147483648");
}

#[test]
fn ranges_of_creation() {
    let range = |start, end| created_range(start, end);
    let (one, two) = (at(1).unwrap(), at(2).unwrap());
    let both = range(Some(&one), Some(&two)).unwrap();
    assert_eq!(both.end_ms.unwrap() - both.start_ms.unwrap(), 1000);
    assert_eq!(range(None, None), Ok(TimeRange::default()));
    assert_eq!(
        message(range(Some(&two), Some(&one))),
        "invalid time range: start time must be before the end time"
    );
    let soon = Timestamp { nanos: 999_999, ..one };
    assert!(message(range(Some(&one), Some(&soon))).contains("before the end time"));
    let old = Timestamp { seconds: 0, nanos: 0 };
    assert_eq!(
        message(range(Some(&old), None)),
        "invalid time range: invalid start time: time 1970-01-01 00:00:00 +0000 UTC \
         is before epoch 2010-01-01 00:00:00 +0000 UTC"
    );
    let broken = Timestamp { seconds: -2, nanos: 512_345_678 };
    assert!(message(range(Some(&broken), None)).contains("time 1969-12-31 23:59:58.512 +0000 UTC"));
    assert!(message(range(None, Some(&old))).starts_with("invalid time range: invalid end time"));
    let far = Timestamp { seconds: i64::MAX, nanos: i32::MAX };
    assert!(range(None, Some(&far)).is_ok());
    let least = Timestamp { seconds: i64::MIN, nanos: i32::MIN };
    assert!(range(Some(&least), Some(&far)).is_err());
}

#[test]
fn searches() {
    let list = |change: fn(&mut TasksWithPerfRequest)| {
        let mut request = TasksWithPerfRequest::default();
        change(&mut request);
        list_tasks(&request)
    };
    assert_eq!(list(|_| {}).unwrap().limit, 100);
    assert_eq!(
        message(list(|request| request.sort = 2)),
        "sort order \"QUERY_COMPLETED_TS\" is not supported currently, open a bug if needed"
    );
    assert!(message(list(|request| request.sort = 77)).contains("sort order \"77\""));
    assert_eq!(message(list(|request| request.state = 77)), "invalid state 77");
    assert_eq!(
        message(list(|request| request.tags = vec!["k:".into()])),
        r#"invalid tags: key "k": value "": cannot be empty"#
    );
    assert_eq!(
        message(list_task_requests(&TasksRequest { limit: -5, ..Default::default() })),
        "invalid limit: must be positive, got -5"
    );

    let now = at(10).unwrap();
    let mut count = TasksCountRequest::default();
    assert_eq!(message(count_tasks(&count, now)), "start timestamp is required");
    count.start = at(5);
    assert_eq!(count_tasks(&count, now).unwrap().created.end_ms, Some(EPOCH_MS + 10_000));
    count.start = at(11);
    assert!(message(count_tasks(&count, now)).contains("invalid time range"));

    let mut cancel = TasksCancelRequest::default();
    assert_eq!(message(cancel_tasks(&cancel)), "tags are required when cancelling multiple tasks");
    cancel.tags = vec!["pool:p".into()];
    assert_eq!(cancel_tasks(&cancel).unwrap().state, StateQuery::QueryPending);
    cancel.kill_running = true;
    assert_eq!(cancel_tasks(&cancel).unwrap().state, StateQuery::QueryPendingRunning);
}

#[test]
fn output() {
    let range = |task_id: &str, offset, length| {
        get_stdout(&TaskIdWithOffsetRequest { task_id: task_id.into(), offset, length })
    };
    assert_eq!(message(range("", -1, 0)), "task_id is required");
    assert_eq!(message(range("zz", -1, 0)), "offset must be non-negative");
    assert_eq!(message(range("zz", 0, -1)), "length must be non-negative");
    assert!(message(range("zz", 0, 0)).starts_with("task_id zz: bad task ID"));
    for (asked, given) in [(0, MAX_OUTPUT_BYTES), (1, 1), (i64::MAX, MAX_OUTPUT_BYTES)] {
        assert_eq!(range("10", 7, asked).unwrap().length, given);
    }
    assert_eq!(MAX_OUTPUT_BYTES, 16_384_000);
}
