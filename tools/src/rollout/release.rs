//! A release in progress: runs `k8s/release.sh release` and records when it prints which line.

use std::{
    io::{BufRead, BufReader},
    os::unix::process::CommandExt,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use super::{
    Failure,
    cluster::{OVERLAY, project, run},
};

/// Longer than `scenario_run::DEADLINE` plus the time until all old pods are back.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(700);

/// A release in progress.
pub(super) struct Release {
    /// When the release began.
    pub began: Instant,
    lines: Arc<Mutex<Vec<(Instant, String)>>>,
    child: Child,
}

impl Release {
    /// Starts to release `image`; `forced` ignores the error budget.
    pub(super) fn begin(image: &str, deadline: Duration, forced: bool) -> Result<Self, Failure> {
        let mut child = Command::new("k8s/release.sh")
            .args(["release", image])
            .current_dir(project())
            .env("ENV", OVERLAY)
            .env("FORCE", if forced { "1" } else { "" })
            .env("DEADLINE", deadline.as_secs().to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .process_group(0)
            .spawn()?;
        let lines = Arc::<Mutex<Vec<_>>>::default();
        let collected = lines.clone();
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                eprintln!("    {line}");
                collected
                    .lock()
                    .expect("not poisoned")
                    .push((Instant::now(), line));
            }
        });
        Ok(Self {
            began: Instant::now(),
            lines,
            child,
        })
    }

    /// When a line that contains `text` was printed.
    pub(super) fn printed_at(&self, text: &str) -> Option<Instant> {
        let lines = self.lines.lock().expect("not poisoned");
        lines
            .iter()
            .find(|(_, line)| line.contains(text))
            .map(|(when, _)| *when)
    }

    /// Whether this metric of an analysis was listed as `Failed`.
    pub(super) fn metric_failed(&self, metric: &str) -> bool {
        let lines = self.lines.lock().expect("not poisoned");
        lines.iter().any(|(_, line)| {
            let words: Vec<_> = line.split_whitespace().collect();
            words.windows(2).any(|pair| pair == [metric, "Failed"])
        })
    }

    /// Waits until `steps` of the nine steps are done.
    pub(super) async fn steps_done(&mut self, steps: u32) -> Result<(), Failure> {
        let text = format!(": {steps} of 9 steps done");
        while self.printed_at(&text).is_none() {
            if self.began.elapsed() > RELEASE_TIMEOUT || self.child.try_wait()?.is_some() {
                return Err(format!("the release did not complete step {steps}").into());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    }

    /// Waits for the end of the release and returns the exit code.
    pub(super) async fn end(&mut self) -> Result<i32, Failure> {
        let status = loop {
            match self.child.try_wait()? {
                Some(status) => break status,
                None if self.began.elapsed() > RELEASE_TIMEOUT => {
                    return Err(format!("the release did not end within {RELEASE_TIMEOUT:?}").into());
                }
                None => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        };
        // The last lines may still be in the pipe.
        let began = Instant::now();
        while self.printed_at("verdict: ").is_none() && began.elapsed() < Duration::from_secs(2) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(status.code().unwrap_or(-1))
    }
}

impl Drop for Release {
    /// Terminates the script, whose trap deletes the ConfigMap `release-under-way`. The signal goes to the whole process
    /// group, because the script first waits for the program that it runs.
    fn drop(&mut self) {
        let group = format!("-{}", self.child.id());
        let _ = run("kill", &["-s", "TERM", "--", &group], "");
        let signalled = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) {
            if signalled.elapsed() > Duration::from_secs(10) {
                let _ = self.child.kill();
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}
