//! The problem types of jobs.

use outcome::{ErrorStatus, Origin, ProblemType, Retry};

/// There is no such job for this subject.
pub static JOB_NOT_FOUND: ProblemType = ProblemType {
    code: "job-not-found",
    status: ErrorStatus::new(404),
    title: "Job not found",
    origin: Origin::Client,
    retry: Retry::Never,
    advice: "Check the id. Jobs of other subjects are not visible, and finished jobs are deleted after some days.",
    user_message: "There is nothing here any more.",
    operator_hint: "A client error, or a job that finished longer ago than `jobs.retention`.",
};

/// Every problem type of jobs.
pub const ALL: &[&ProblemType] = &[&JOB_NOT_FOUND];
