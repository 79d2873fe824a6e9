//! The problem types of jobs.

outcome::problem_types! {
    /// There is no such job for this subject.
    JOB_NOT_FOUND: 404 "job-not-found" {
        title: "There is no such job", actor: Caller, retry: Never,
        advice: "Check the id. A job of another subject does not exist for you either; finished ones are kept for some days.",
        user_message: "There is nothing here any more.",
        runbook: "A caller's fault, or a job that finished longer ago than `jobs.retention`.",
    }
}
