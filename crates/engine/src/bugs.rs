//! Deliberate defects, by name, that the simulator must find: they measure the simulator. Only with the feature
//! `planted-bugs`; without it every question is answered `false` at compile time.

/// One way to be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    AcceptAnyToken,
    AcceptOlderAttempt,
    ReuseAttemptNumber,
    CountDowntime,
    ForgetCancelOnComplete,
    ForgetGroupOnCancel,
    ForgetKey,
    IgnoreKeyBody,
    GrantAgainOnRepeatedPoll,
    RetryLostForEver,
    ForgetLeaseTimerOnRestore,
    KeepSlotAfterComplete,
    InvertPriority,
    NoTurns,
    KeepJobsOfOlderSession,
    DropJobOnSliceExpiry,
    RestartAttemptsOnRetry,
    ForgetToStoreRequeue,
    GrantBeyondSlots,
    MatchAnyAlternativeKey,
    MissParkedPolls,
    GrantWhileDraining,
    FinishGroupEarly,
    ForgetAttemptRecord,
    SkipSliceOnExpiry,
    WaitPastLastSlice,
    ForgetTimePassedOver,
    ForgetTimePassedOverOnRestart,
    CountOnlyIdleRunners,
    CountRunnerThatLeaves,
    CountOfferOfOlderProcess,
    CallEveryEndExpired,
    RunReusedJob,
    OfferFailedResult,
    SpareChildrenOfFailed,
    SpareRunningChildren,
    ForgetOrphansOnRestart,
    OldestFirstInNewestQueue,
    IgnoreAge,
}

impl Bug {
    pub const ALL: [Self; 39] = [
        Self::AcceptAnyToken,
        Self::AcceptOlderAttempt,
        Self::ReuseAttemptNumber,
        Self::CountDowntime,
        Self::ForgetCancelOnComplete,
        Self::ForgetGroupOnCancel,
        Self::ForgetKey,
        Self::IgnoreKeyBody,
        Self::GrantAgainOnRepeatedPoll,
        Self::RetryLostForEver,
        Self::ForgetLeaseTimerOnRestore,
        Self::KeepSlotAfterComplete,
        Self::InvertPriority,
        Self::NoTurns,
        Self::KeepJobsOfOlderSession,
        Self::DropJobOnSliceExpiry,
        Self::RestartAttemptsOnRetry,
        Self::ForgetToStoreRequeue,
        Self::GrantBeyondSlots,
        Self::MatchAnyAlternativeKey,
        Self::MissParkedPolls,
        Self::GrantWhileDraining,
        Self::FinishGroupEarly,
        Self::ForgetAttemptRecord,
        Self::SkipSliceOnExpiry,
        Self::WaitPastLastSlice,
        Self::ForgetTimePassedOver,
        Self::ForgetTimePassedOverOnRestart,
        Self::CountOnlyIdleRunners,
        Self::CountRunnerThatLeaves,
        Self::CountOfferOfOlderProcess,
        Self::CallEveryEndExpired,
        Self::RunReusedJob,
        Self::OfferFailedResult,
        Self::SpareChildrenOfFailed,
        Self::SpareRunningChildren,
        Self::ForgetOrphansOnRestart,
        Self::OldestFirstInNewestQueue,
        Self::IgnoreAge,
    ];
}

impl crate::Config {
    #[cfg(feature = "planted-bugs")]
    pub(crate) fn has(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }

    #[cfg(not(feature = "planted-bugs"))]
    #[inline(always)]
    pub(crate) fn has(&self, _: Bug) -> bool {
        false
    }
}
