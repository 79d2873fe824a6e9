//! What every scenario starts from, and what is kept of it: a good release under its own label, and the load.

use std::{
    fmt,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use super::{
    Failure,
    cluster::{Cluster, OVERLAY, release},
    load::{Call, Caller, EVERYTHING, Load, Outcome, tally},
    release::Release,
    scenarios::Scenario,
};

/// Requests a second.
pub const PER_SECOND: u32 = 60;
/// As the overlay `local` has them.
pub const WINDOWS: &str = "scrape 2 s, question every 5 s, window 20 s, pause 20 s";
/// Until a release is through, when nothing is wrong with it.
pub const DEADLINE: Duration = Duration::from_secs(480);

/// A scenario on its way.
pub struct Stage<'a> {
    /// The cluster.
    pub cluster: &'a Cluster,
    /// The image that serves when it begins.
    pub stable: String,
    /// Another good one.
    pub good: String,
    load: Vec<Load>,
    /// Whether it is released without an error budget.
    pub forced: bool,
    began: Instant,
    earlier: Vec<Outcome>,
    seen: Vec<String>,
    faults: Vec<String>,
}

/// What was seen of a scenario.
pub struct Row {
    scenario: &'static Scenario,
    seen: String,
    requests: usize,
    failed: usize,
    peak: usize,
    /// What did not hold.
    pub faults: Vec<String>,
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            scenario,
            seen,
            requests,
            failed,
            peak,
            faults,
        } = self;
        let mut seen = seen.clone();
        if !faults.is_empty() {
            seen += &format!(" **{}**", faults.join("; "));
        }
        write!(
            f,
            "| {} | {} | {seen} | {requests} | {failed} | {peak} |",
            scenario.name, scenario.expected
        )
    }
}

impl Row {
    /// What did not hold, a line each.
    pub fn told(&self) -> Vec<String> {
        let told = self
            .faults
            .iter()
            .map(|fault| format!("{}: {fault}", self.scenario.name));
        told.collect()
    }
}

/// Plays a scenario from a fresh stage.
pub async fn play(cluster: &Cluster, scenario: &'static Scenario) -> Row {
    let mut stage = Stage {
        cluster,
        stable: String::new(),
        good: String::new(),
        load: Vec::new(),
        forced: false,
        began: Instant::now(),
        earlier: Vec::new(),
        seen: Vec::new(),
        faults: Vec::new(),
    };
    let played = match stage.set(scenario.name).await {
        Ok(()) => (scenario.play)(&mut stage).await,
        Err(error) => Err(error),
    };
    if let Err(error) = played {
        stage.faults.push(error.to_string());
    }
    let outcomes = stage.outcomes();
    let failed: Vec<_> = outcomes.iter().filter(|outcome| !outcome.is_ok()).collect();
    let mut seconds = std::collections::BTreeMap::<u64, usize>::new();
    for outcome in &failed {
        *seconds
            .entry(outcome.sent.duration_since(stage.began).as_secs())
            .or_default() += 1;
    }
    for ((operation, result), count) in tally(&outcomes) {
        eprintln!("    {count:>6} {operation} {result}");
    }
    Row {
        scenario,
        seen: stage.seen.join("; "),
        requests: outcomes.len(),
        failed: failed.len(),
        peak: seconds.into_values().max().unwrap_or(0),
        faults: stage.faults,
    }
}

impl Stage<'_> {
    async fn set(&mut self, name: &str) -> Result<(), Failure> {
        // Of its own each time: what an earlier drill has spent of its budget is none of this one's.
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        self.cluster.relabel(&format!("drill-{name}-{now}"))?;
        self.stable = self.cluster.image("")?;
        self.good = self.cluster.image("RELEASE=2")?;
        self.deploy()?;
        self.load(EVERYTHING).await?;
        // Until Prometheus has rates of the stable pods.
        tokio::time::sleep(Duration::from_secs(10)).await;
        let calm = self.outcomes();
        match calm.iter().find(|outcome| !outcome.is_ok()) {
            Some(unwell) => Err(format!(
                "{} is {} before anything was released",
                unwell.operation, unwell.result
            )
            .into()),
            None if calm.is_empty() => Err(format!("nobody answers at {}", self.cluster.url).into()),
            None => Ok(()),
        }
    }

    /// Puts the stable image in place, whatever was there.
    pub fn deploy(&self) -> Result<(), Failure> {
        release(
            OVERLAY,
            "deploy",
            &self.stable,
            &[("FORCE", "1"), ("DEADLINE", "300")],
        )
        .map(drop)
    }

    /// A caller of the service.
    pub fn caller(&self) -> Result<Caller, Failure> {
        let token = self.cluster.kubectl(&[
            "exec",
            "deploy/worker",
            "--",
            "/api",
            "token",
            "--subject",
            "drill",
        ])?;
        Caller::new(self.cluster.url.clone(), token)
    }

    /// Starts the load, in place of the one before.
    pub async fn load(&mut self, calls: &'static [Call]) -> Result<(), Failure> {
        let caller = self.caller()?.without_keep_alive()?.asking(calls);
        self.load_of(vec![caller]).await
    }

    /// The same load, of these callers together.
    pub async fn load_of(&mut self, callers: Vec<Caller>) -> Result<(), Failure> {
        self.quiet();
        let every = Duration::from_secs(1) / PER_SECOND * callers.len() as u32;
        for caller in callers {
            self.load.push(Load::start(caller.with_an_order().await?, every));
        }
        Ok(())
    }

    /// Ends the load.
    pub fn quiet(&mut self) {
        self.earlier = self.outcomes();
        self.load.clear();
    }

    /// Every request that has ended.
    pub fn outcomes(&self) -> Vec<Outcome> {
        let mut outcomes = self.earlier.clone();
        outcomes.extend(self.load.iter().flat_map(|load| load.since(self.began)));
        outcomes
    }

    /// Those that were sent since then.
    pub fn since(&self, moment: Instant) -> Vec<Outcome> {
        let mut outcomes = self.outcomes();
        outcomes.retain(|outcome| outcome.sent >= moment);
        outcomes.sort_by_key(|outcome| outcome.sent);
        outcomes
    }

    /// Releases an image to the end; it must end with this exit code.
    pub async fn release(&mut self, image: &str, deadline: Duration, code: i32) -> Result<Release, Failure> {
        let mut release = Release::begin(image, deadline, self.forced)?;
        self.ends_with(&mut release, code).await?;
        Ok(release)
    }

    /// Waits for the end of a release; it must be this one.
    pub async fn ends_with(&mut self, release: &mut Release, code: i32) -> Result<(), Failure> {
        let seen = release.end().await?;
        let verdict = ["promoted", "rolled-back", "not-judged", "deadline"]
            .into_iter()
            .find(|verdict| release.said(&format!("verdict: {verdict}")).is_some());
        let verdict = verdict.unwrap_or("no verdict");
        self.note(format!(
            "{verdict} (exit {seen}) after {} s",
            release.began.elapsed().as_secs()
        ));
        self.check(seen == code, || format!("exit {seen} in place of {code}"));
        Ok(())
    }

    /// Takes what was released back; this image must serve again.
    pub fn rollback(&mut self, image: &str) -> Result<(), Failure> {
        release(OVERLAY, "rollback", "", &[("DEADLINE", "300")])?;
        self.serves(image)
    }

    /// Every pod must be of this image, and as many as there should be.
    pub fn serves(&mut self, image: &str) -> Result<(), Failure> {
        let pods = self.cluster.pods()?.into_iter();
        let serving: Vec<_> = pods
            .filter(|pod| pod.role == "api")
            .map(|pod| pod.image)
            .collect();
        let all =
            serving.len() == self.cluster.replicas as usize && serving.iter().all(|other| other == image);
        self.check(all, || format!("in place of {image} there are {serving:?}"));
        Ok(())
    }

    /// At most so many requests may have failed.
    pub fn at_most_failed(&mut self, most: usize) {
        let failed = self.outcomes().iter().filter(|outcome| !outcome.is_ok()).count();
        self.check(failed <= most, || {
            format!("{failed} requests failed, more than {most}")
        });
    }

    /// Something worth a place in the table.
    pub fn note(&mut self, seen: impl Into<String>) {
        self.seen.push(seen.into());
    }

    /// What must hold.
    pub fn check(&mut self, holds: bool, otherwise: impl FnOnce() -> String) {
        if !holds {
            self.faults.push(otherwise());
        }
    }
}
