//! Tries every connection between pods, from the pod that would open it. For clusters that enforce NetworkPolicies.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use super::{
    Failure,
    cluster::{Cluster, Pod, project, run},
    scenario_run::{DEADLINE, ScenarioRun},
};

/// A script that tries each `address:port` in parallel, with a timeout, and prints `open` or `closed` for each.
const TRY: &str = r#"for to in "$@"; do
  (timeout 5 bash -c "exec 3<>/dev/tcp/${to%:*}/${to#*:}" 2>&- && echo "open $to" || echo "closed $to") &
done; wait"#;
/// The table's name for addresses that no policy names; here, the Kubernetes API.
const ANYWHERE: &str = "anywhere";
/// The table's name for a pod outside the namespace, to which no policy here applies.
const OUTSIDER: &str = "anyone";
/// Time for a pod to try all connections.
const TRIAL_TIMEOUT: Duration = Duration::from_mins(1);

/// Source, destination and port.
type Connection = (String, String, String);

/// The allowed connections, from docs/ROLLOUTS.md; `k8s/validate.sh` compares that table with the manifests.
fn documented() -> Result<BTreeSet<Connection>, Failure> {
    let page = std::fs::read_to_string(project().join("docs/ROLLOUTS.md"))?;
    let table = page.split_once("<!-- who talks to whom: local -->\n");
    let rows = table.map(|(_, table)| table.lines().take_while(|row| row.starts_with('|')).skip(2));
    let mut connections = BTreeSet::new();
    for row in rows.into_iter().flatten() {
        let cells: Vec<_> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [to, ports, from] = cells[..] else {
            return Err(format!("docs/ROLLOUTS.md: malformed row of allowed connections: {row}").into());
        };
        for port in ports.split(", ") {
            let of_port = from.split(", ");
            connections.extend(of_port.map(|from| (from.to_owned(), to.to_owned(), port.to_owned())));
        }
    }
    Ok(connections)
}

/// The pods that try to reach one another.
struct Trial<'a> {
    cluster: &'a Cluster,
    pods: Vec<Pod>,
    kubernetes: Pod,
    /// An image that contains bash.
    image: String,
    /// An unused name for the containers and the pod that try connections.
    name: String,
}

impl Trial<'_> {
    /// One pod of each role, without `pod`, which must not try to reach itself.
    fn others(&self, pod: &str) -> Vec<&Pod> {
        let mut others: Vec<_> = self.pods.iter().filter(|other| other.name != pod).collect();
        others.dedup_by_key(|pod| pod.role.clone());
        others
    }

    /// The connections that are open from `pod`, tried by an ephemeral container in its network.
    fn reached_by(&self, pod: &Pod) -> Result<BTreeSet<Connection>, Failure> {
        let (mut others, container) = (self.others(&pod.name), format!("--container={}", self.name));
        others.push(&self.kubernetes);
        let (addresses, image) = (addresses(&others), format!("--image={}", self.image));
        let mut debug = vec![
            "debug",
            pod.name.as_str(),
            "--profile=restricted",
            &image,
            &container,
        ];
        debug.extend(["--", "bash", "-c", TRY, "try"]);
        debug.extend(addresses.iter().map(String::as_str));
        self.cluster.kubectl(&debug)?;
        let state = format!(
            r#"{{.status.ephemeralContainerStatuses[?(@.name=="{}")].state.terminated.reason}}"#,
            self.name
        );
        ended(&pod.name, || {
            self.cluster.get(&format!("pod/{}", pod.name), &state)
        })?;
        let output = self.cluster.kubectl(&["logs", &pod.name, &container])?;
        parse(&pod.role, &others, &output)
    }

    /// The connections that are open from a pod of another namespace.
    fn reached_from_outside(&self) -> Result<BTreeSet<Connection>, Failure> {
        let others = self.others("");
        let mut command = vec![
            "bash".to_owned(),
            "-c".to_owned(),
            TRY.to_owned(),
            "try".to_owned(),
        ];
        command.extend(addresses(&others));
        let user = serde_json::json!({
            "runAsNonRoot": true, "runAsUser": 65532, "seccompProfile": { "type": "RuntimeDefault" }
        });
        let container = serde_json::json!({
            "name": "try", "image": self.image, "command": command,
            "securityContext": { "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } }
        });
        let pod = serde_json::json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": { "name": self.name },
            "spec": {
                "restartPolicy": "Never", "automountServiceAccountToken": false,
                "securityContext": user, "containers": [container]
            }
        });
        let kubectl = |arguments: &[&str], input: &str| {
            run("kubectl", &[&["--namespace=default"], arguments].concat(), input)
        };
        kubectl(&["create", "--filename=-"], &pod.to_string())?;
        let phase = "jsonpath={.status.containerStatuses[0].state.terminated.reason}";
        let output = ended(&self.name, || {
            kubectl(&["get", "pod", &self.name, "--output", phase], "")
        })
        .and_then(|()| kubectl(&["logs", &self.name], ""));
        kubectl(&["delete", "pod", &self.name, "--now"], "")?;
        parse(OUTSIDER, &others, &output?)
    }
}

fn at(pod: &Pod, port: &str) -> String {
    format!("{}:{port}", pod.address)
}

fn addresses(pods: &[&Pod]) -> Vec<String> {
    let of_pod = |pod: &&Pod| pod.ports.iter().map(|port| at(pod, port)).collect::<Vec<_>>();
    pods.iter().flat_map(of_pod).collect()
}

/// Waits until a container has terminated, so that `reason` returns why.
fn ended(pod: &str, reason: impl Fn() -> Result<String, Failure>) -> Result<(), Failure> {
    let began = Instant::now();
    while reason()?.is_empty() {
        if began.elapsed() > TRIAL_TIMEOUT {
            return Err(
                format!("the container that tries connections in pod {pod} did not terminate").into(),
            );
        }
        std::thread::sleep(Duration::from_millis(500));
    }
    Ok(())
}

/// Parses the output of [`TRY`], which must contain every address.
fn parse(from: &str, pods: &[&Pod], output: &str) -> Result<BTreeSet<Connection>, Failure> {
    let mut open = BTreeSet::new();
    for pod in pods {
        for port in &pod.ports {
            let address = at(pod, port);
            if output.lines().any(|line| line == format!("open {address}")) {
                open.insert((from.to_owned(), pod.role.clone(), port.clone()));
            } else if !output.lines().any(|line| line == format!("closed {address}")) {
                return Err(format!("{from} did not try {}: {output}", pod.role).into());
            }
        }
    }
    Ok(open)
}

pub(super) async fn network(run: &mut ScenarioRun<'_>) -> Result<(), Failure> {
    let mut pods = run.cluster.pods()?;
    // The migration has ended; it must have reached Postgres, or the service would not run.
    pods.retain(|pod| pod.role != "migrate");
    pods.sort_by(|a, b| a.role.cmp(&b.role));
    let bash = pods.iter().find(|pod| pod.role == "postgres");
    let image = bash.ok_or("the overlay has no Postgres")?.image.clone();
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let api = ["--namespace=default", "get", "service", "kubernetes"];
    let api = super::cluster::run(
        "kubectl",
        &[&api[..], &["--output=jsonpath={.spec.clusterIP}"]].concat(),
        "",
    )?;
    let kubernetes = Pod {
        role: ANYWHERE.to_owned(),
        name: String::new(),
        address: api,
        image: String::new(),
        ports: vec!["443".to_owned()],
    };
    let trial = Trial {
        cluster: run.cluster,
        pods,
        kubernetes,
        image,
        name: format!("try-{now}"),
    };
    let mut open = trial.reached_from_outside()?;
    let postgres = (OUTSIDER.to_owned(), "postgres".to_owned(), "5432".to_owned());
    if open.contains(&postgres) {
        return Err(
            "this cluster does not enforce NetworkPolicies: a pod of another namespace can reach Postgres"
                .into(),
        );
    }
    let roles: BTreeSet<_> = trial.pods.iter().map(|pod| pod.role.clone()).collect();
    for role in &roles {
        let pod = trial.pods.iter().rfind(|pod| pod.role == *role);
        open.extend(trial.reached_by(pod.expect("a role of these pods"))?);
    }
    let tried = |to: &String, port: &String| roles.contains(to) || (to == ANYWHERE && port == "443");
    let mut allowed = documented()?;
    allowed.retain(|(from, to, port)| (from == OUTSIDER || roles.contains(from)) && tried(to, port));
    run.note(format!(
        "{} of {} allowed connections are open",
        open.intersection(&allowed).count(),
        allowed.len()
    ));
    let list = |connections: Vec<&Connection>| {
        let each = connections
            .iter()
            .map(|(from, to, port)| format!("{from} to {to} {port}"));
        each.collect::<Vec<_>>().join(", ")
    };
    let closed: Vec<_> = allowed.difference(&open).collect();
    run.check(closed.is_empty(), || {
        format!("closed, but allowed: {}", list(closed))
    });
    let forbidden: Vec<_> = open.difference(&allowed).collect();
    run.check(forbidden.is_empty(), || {
        format!("open, but not allowed: {}", list(forbidden))
    });
    // A release proves the rest: from the analysis to Prometheus, and from there to the pods and the Kubernetes API.
    let good = run.good.clone();
    run.release(&good, DEADLINE, 0).await?;
    run.at_most_failed(0);
    run.serves(&good)
}
