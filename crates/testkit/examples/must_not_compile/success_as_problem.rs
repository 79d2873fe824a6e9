//! A problem with the status of a success.

outcome::problem_types! {
    /// The request succeeded.
    SUCCESS: 200 "success" {
        title: "The request succeeded", actor: Caller, retry: Never,
        advice: "Continue.",
        user_message: "The request succeeded.",
        runbook: "Nothing to do.",
    }
}

fn main() {}
