//! New ids: rising, and each once.

use parking_lot::Mutex;

use crate::validate::TaskId;

/// Gives each task an id that is higher than all before it, also when the clock goes back.
#[derive(Debug)]
pub(crate) struct TaskIds {
    last: Mutex<i64>,
}

impl TaskIds {
    /// `last` is the highest that was ever given.
    pub fn after(last: Option<u64>) -> Self {
        Self { last: Mutex::new(last.map_or(0, |last| i64::try_from(last).unwrap_or(i64::MAX))) }
    }

    /// For a task that is made now, `created_ms` after 1970. `random` has 16 bits that nobody can guess.
    pub fn next(&self, created_ms: i64, random: u16) -> TaskId {
        let mut last = self.last.lock();
        let fresh = TaskId::new(created_ms, random).map_or(0, TaskId::number);
        // In the same millisecond, or before it, the next number of the same form.
        let number = if fresh > *last { fresh } else { *last + 16 };
        *last = number;
        TaskId::of_number(number).unwrap_or_else(|| unreachable!("numbers rise from zero"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_rise_whatever_the_clock_says() {
        let ids = TaskIds::after(None);
        let first = ids.next(1_790_000_000_000, 0xffff);
        assert_eq!(first.created_ms(), 1_790_000_000_000);
        let mut last = first;
        for (ms, random) in
            [(1_790_000_000_000, 3), (1_700_000_000_000, 9), (1_790_000_000_001, 0), (0, 0)]
        {
            let next = ids.next(ms, random);
            assert!(next > last);
            assert_eq!(next.number() & 0xf, 1, "the form of ids");
            last = next;
        }
        let restarted = TaskIds::after(Some(last.number() as u64));
        assert!(restarted.next(0, 0) > last);
    }
}
