//! One run of a scenario: the first release under its own label, the load, and the results.

use std::{
    fmt,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use super::{
    Failure,
    cluster::{Cluster, OVERLAY, release},
    load::{Caller, Load, Outcome, tally},
    release::Release,
    scenarios::Scenario,
};

/// Requests per second.
pub(super) const PER_SECOND: u32 = 60;
/// The intervals of the overlay `local`, as text for the reader.
pub(super) const WINDOWS: &str = "scrape every 2 s, query every 5 s, window 20 s, pause 20 s";
/// The time in which a good release must be complete.
pub(super) const DEADLINE: Duration = Duration::from_mins(8);

/// A scenario in progress.
pub(super) struct ScenarioRun<'a> {
    /// The cluster.
    pub cluster: &'a Cluster,
    /// The image that serves when the scenario begins.
    pub stable: String,
    /// Another good image, to be released.
    pub good: String,
    load: Vec<Load>,
    /// Whether to release although the error budget is spent.
    pub forced: bool,
    began: Instant,
    earlier: Vec<Outcome>,
    notes: Vec<String>,
    failures: Vec<String>,
}

/// The results of a scenario.
pub(super) struct Row {
    scenario: &'static Scenario,
    notes: String,
    requests: usize,
    failed: usize,
    peak: usize,
    /// The checks that failed.
    pub failures: Vec<String>,
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            scenario,
            notes,
            requests,
            failed,
            peak,
            failures,
        } = self;
        let mut notes = notes.clone();
        if !failures.is_empty() {
            notes.extend([" **", &failures.join("; "), "**"]);
        }
        write!(
            f,
            "| {} | {} | {notes} | {requests} | {failed} | {peak} |",
            scenario.name, scenario.expected
        )
    }
}

impl Row {
    /// The checks that failed, each after the name of the scenario.
    pub(super) fn named_failures(&self) -> Vec<String> {
        let named = self
            .failures
            .iter()
            .map(|failure| format!("{}: {failure}", self.scenario.name));
        named.collect()
    }
}

/// Runs a scenario on a fresh deployment.
pub(super) async fn play(cluster: &Cluster, scenario: &'static Scenario) -> Row {
    let mut run = ScenarioRun {
        cluster,
        stable: String::new(),
        good: String::new(),
        load: Vec::new(),
        forced: false,
        began: Instant::now(),
        earlier: Vec::new(),
        notes: Vec::new(),
        failures: Vec::new(),
    };
    let played = match run.prepare(scenario.name).await {
        Ok(()) => (scenario.play)(&mut run).await,
        Err(error) => Err(error),
    };
    if let Err(error) = played {
        run.failures.push(error.to_string());
    }
    let outcomes = run.outcomes();
    let failed: Vec<_> = outcomes.iter().filter(|outcome| !outcome.is_ok()).collect();
    let mut seconds = std::collections::BTreeMap::<u64, usize>::new();
    for outcome in &failed {
        *seconds
            .entry(outcome.sent.duration_since(run.began).as_secs())
            .or_default() += 1;
    }
    for ((operation, result), count) in tally(&outcomes) {
        eprintln!("    {count:>6} {operation} {result}");
    }
    Row {
        scenario,
        notes: run.notes.join("; "),
        requests: outcomes.len(),
        failed: failed.len(),
        peak: seconds.into_values().max().unwrap_or(0),
        failures: run.failures,
    }
}

impl ScenarioRun<'_> {
    async fn prepare(&mut self, name: &str) -> Result<(), Failure> {
        // A new label each time, so that no earlier drill has spent from the error budget.
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        Cluster::relabel(&format!("drill-{name}-{now}"))?;
        self.stable = self.cluster.image("")?;
        self.good = self.cluster.image("RELEASE=2")?;
        self.deploy()?;
        self.load().await?;
        // Prometheus needs this long to have rates of the stable pods.
        tokio::time::sleep(Duration::from_secs(10)).await;
        let before = self.outcomes();
        match before.iter().find(|outcome| !outcome.is_ok()) {
            Some(failed) => Err(format!(
                "{} got {} before anything was released",
                failed.operation, failed.result
            )
            .into()),
            None if before.is_empty() => Err(format!("no response from {}", self.cluster.url).into()),
            None => Ok(()),
        }
    }

    /// Deploys the stable image, whatever ran before.
    pub(super) fn deploy(&self) -> Result<(), Failure> {
        release(
            OVERLAY,
            "deploy",
            &self.stable,
            &[("FORCE", "1"), ("DEADLINE", "300")],
        )
        .map(drop)
    }

    /// Creates a caller of the service, with a new token.
    pub(super) async fn caller(&self) -> Result<Caller, Failure> {
        let token = self.cluster.kubectl(&[
            "exec",
            "deploy/worker",
            "--",
            "/api",
            "token",
            "--subject",
            "drill",
        ])?;
        Caller::connect(self.cluster.url.clone(), token).await
    }

    /// Starts a load of all flows, in place of the one before.
    pub(super) async fn load(&mut self) -> Result<(), Failure> {
        let caller = self.caller().await?.without_keep_alive()?;
        self.load_of(vec![caller])
    }

    /// Starts a load shared by `callers`, in place of the one before.
    pub(super) fn load_of(&mut self, callers: Vec<Caller>) -> Result<(), Failure> {
        self.stop_load();
        let period = Duration::from_secs(1) / PER_SECOND * u32::try_from(callers.len())?;
        for caller in callers {
            self.load.push(Load::start(caller, period));
        }
        Ok(())
    }

    /// Stops the load, and keeps its outcomes.
    pub(super) fn stop_load(&mut self) {
        self.earlier = self.outcomes();
        self.load.clear();
    }

    /// The outcomes of all completed requests.
    pub(super) fn outcomes(&self) -> Vec<Outcome> {
        let mut outcomes = self.earlier.clone();
        outcomes.extend(self.load.iter().flat_map(|load| load.since(self.began)));
        outcomes
    }

    /// The outcomes of completed requests sent since `moment`, in the order of sending.
    pub(super) fn since(&self, moment: Instant) -> Vec<Outcome> {
        let mut outcomes = self.outcomes();
        outcomes.retain(|outcome| outcome.sent >= moment);
        outcomes.sort_by_key(|outcome| outcome.sent);
        outcomes
    }

    /// Releases `image` and waits for the end, which must have exit code `code`.
    pub(super) async fn release(
        &mut self,
        image: &str,
        deadline: Duration,
        code: i32,
    ) -> Result<Release, Failure> {
        let mut release = Release::begin(image, deadline, self.forced)?;
        self.ends_with(&mut release, code).await?;
        Ok(release)
    }

    /// Waits for the end of `release`, which must have exit code `code`.
    pub(super) async fn ends_with(&mut self, release: &mut Release, code: i32) -> Result<(), Failure> {
        let actual = release.end().await?;
        let verdict = ["promoted", "rolled-back", "not-judged", "deadline"]
            .into_iter()
            .find(|verdict| release.printed_at(&format!("verdict: {verdict}")).is_some());
        let verdict = verdict.unwrap_or("no verdict");
        self.note(format!(
            "{verdict} (exit {actual}) after {} s",
            release.began.elapsed().as_secs()
        ));
        self.check(actual == code, || format!("exit {actual} instead of {code}"));
        Ok(())
    }

    /// Rolls back; afterwards `image` must serve.
    pub(super) fn rollback(&mut self, image: &str) -> Result<(), Failure> {
        release(OVERLAY, "rollback", "", &[("DEADLINE", "300")])?;
        self.serves(image)
    }

    /// Checks that every API pod runs `image`, and that none is missing.
    pub(super) fn serves(&mut self, image: &str) -> Result<(), Failure> {
        let pods = self.cluster.pods()?.into_iter();
        let serving: Vec<_> = pods
            .filter(|pod| pod.role == "api")
            .map(|pod| pod.image)
            .collect();
        let all =
            serving.len() == self.cluster.replicas as usize && serving.iter().all(|other| other == image);
        self.check(all, || format!("{serving:?} serve instead of {image}"));
        Ok(())
    }

    /// Checks that at most `most` requests failed.
    pub(super) fn at_most_failed(&mut self, most: usize) {
        let failed = self.outcomes().iter().filter(|outcome| !outcome.is_ok()).count();
        self.check(failed <= most, || {
            format!("{failed} requests failed, more than {most}")
        });
    }

    /// Adds a note to the results.
    pub(super) fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// Records a failure unless `holds`.
    pub(super) fn check(&mut self, holds: bool, otherwise: impl FnOnce() -> String) {
        if !holds {
            self.failures.push(otherwise());
        }
    }
}
