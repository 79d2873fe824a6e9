//! The problem types of jobs.

use outcome::{Actor, ErrorStatus, ProblemType, Retry};

/// There is no such job for this subject.
pub static JOB_NOT_FOUND: ProblemType = ProblemType {
    code: "job-not-found",
    status: ErrorStatus::new(404),
    title: "There is no such job",
    actor: Actor::Caller,
    retry: Retry::Never,
    advice: "Check the id. A job of another subject does not exist for you either; finished ones are kept for some days.",
    user_message: "There is nothing here any more.",
    runbook: "A caller's fault, or a job that finished longer ago than `jobs.retention`.",
};

/// All of them.
pub const ALL: &[&ProblemType] = &[&JOB_NOT_FOUND];
