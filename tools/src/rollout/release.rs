//! A release that is under way: `k8s/release.sh release`, and what it says when.

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

/// Longer than `stage::DEADLINE` and the time until all old pods are back.
const PATIENCE: Duration = Duration::from_secs(700);

/// One release.
pub struct Release {
    /// When it was begun.
    pub began: Instant,
    lines: Arc<Mutex<Vec<(Instant, String)>>>,
    child: Child,
}

impl Release {
    /// Begins to release an image.
    pub fn begin(image: &str, deadline: Duration, forced: bool) -> Result<Self, Failure> {
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
                collected.lock().expect("no panic").push((Instant::now(), line));
            }
        });
        Ok(Self {
            began: Instant::now(),
            lines,
            child,
        })
    }

    /// When a line with this in it was said.
    pub fn said(&self, words: &str) -> Option<Instant> {
        let lines = self.lines.lock().expect("no panic");
        lines
            .iter()
            .find(|(_, line)| line.contains(words))
            .map(|(when, _)| *when)
    }

    /// Whether it said that this metric of an analysis ended as `Failed`.
    pub fn found_failed(&self, metric: &str) -> bool {
        let lines = self.lines.lock().expect("no panic");
        lines.iter().any(|(_, line)| {
            let words: Vec<_> = line.split_whitespace().collect();
            words.windows(2).any(|pair| pair == [metric, "Failed"])
        })
    }

    /// Waits until so many steps of the nine are done.
    pub async fn steps_done(&mut self, steps: u32) -> Result<(), Failure> {
        let words = format!(": {steps} of 9 steps done");
        while self.said(&words).is_none() {
            if self.began.elapsed() > PATIENCE || self.child.try_wait()?.is_some() {
                return Err(format!("the release did not come to its step {steps}").into());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    }

    /// Waits for its end; gives its exit code.
    pub async fn end(&mut self) -> Result<i32, Failure> {
        let status = loop {
            match self.child.try_wait()? {
                Some(status) => break status,
                None if self.began.elapsed() > PATIENCE => {
                    return Err(format!("the release did not end in {PATIENCE:?}").into());
                }
                None => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        };
        // The last lines may still be on their way through the pipe.
        let began = Instant::now();
        while self.said("verdict: ").is_none() && began.elapsed() < Duration::from_secs(2) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(status.code().unwrap_or(-1))
    }
}

impl Drop for Release {
    /// Lets the script clear away what says in the cluster that a release is under way. It waits for the program that
    /// it runs, so that one is ended too.
    fn drop(&mut self) {
        let group = format!("-{}", self.child.id());
        let _ = run("kill", &["-s", "TERM", "--", &group], "");
        let asked = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) {
            if asked.elapsed() > Duration::from_secs(10) {
                let _ = self.child.kill();
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}
