//! Every connection between pods is tried, from where it would come: for clusters that enforce NetworkPolicies.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use super::{
    Failure,
    cluster::{Cluster, Pod, project, run},
    stage::{DEADLINE, Stage},
};

/// Tries `address:port` after `address:port`, all at once; a connection that nobody answers is given up.
const TRY: &str = r#"for to in "$@"; do
  (timeout 5 bash -c "exec 3<>/dev/tcp/${to%:*}/${to#*:}" 2>&- && echo "open $to" || echo "shut $to") &
done; wait"#;
/// What the table calls addresses that policies do not name; here that of the Kubernetes API.
const ANYWHERE: &str = "anywhere";
/// A pod outside the namespace, which no policy here is about.
const STRANGER: &str = "anyone";
/// Until a pod has tried everything.
const PATIENCE: Duration = Duration::from_secs(60);

/// From whom, to whom, to which port.
type Connection = (String, String, String);

/// What the policies let through, as docs/ROLLOUTS.md has it; `k8s/validate.sh` holds that against the manifests.
fn documented() -> Result<BTreeSet<Connection>, Failure> {
    let page = std::fs::read_to_string(project().join("docs/ROLLOUTS.md"))?;
    let table = page.split_once("<!-- who talks to whom: local -->\n");
    let rows = table.map(|(_, table)| table.lines().take_while(|row| row.starts_with('|')).skip(2));
    let mut connections = BTreeSet::new();
    for row in rows.into_iter().flatten() {
        let cells: Vec<_> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [to, ports, from] = cells[..] else {
            return Err(format!("docs/ROLLOUTS.md: not a row of who may talk to whom: {row}").into());
        };
        for port in ports.split(", ") {
            let of_port = from.split(", ");
            connections.extend(of_port.map(|from| (from.to_owned(), to.to_owned(), port.to_owned())));
        }
    }
    Ok(connections)
}

/// Pods, each of which tries to reach the others.
struct Trial<'a> {
    cluster: &'a Cluster,
    pods: Vec<Pod>,
    kubernetes: Pod,
    /// One that has bash.
    image: String,
    /// A name that nothing in the cluster has.
    name: String,
}

impl Trial<'_> {
    /// One pod of each role, so that a pod is not tried from itself.
    fn others(&self, than: &str) -> Vec<&Pod> {
        let mut others: Vec<_> = self.pods.iter().filter(|pod| pod.name != than).collect();
        others.dedup_by_key(|pod| pod.role.clone());
        others
    }

    /// Tried in the pod's own network, by a container that joins it.
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
        let told = self.cluster.kubectl(&["logs", &pod.name, &container])?;
        opened(&pod.role, &others, &told)
    }

    /// Tried by a pod of another namespace.
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
        let told = ended(&self.name, || {
            kubectl(&["get", "pod", &self.name, "--output", phase], "")
        })
        .and_then(|()| kubectl(&["logs", &self.name], ""));
        kubectl(&["delete", "pod", &self.name, "--now"], "")?;
        opened(STRANGER, &others, &told?)
    }
}

fn at(pod: &Pod, port: &str) -> String {
    format!("{}:{port}", pod.address)
}

fn addresses(pods: &[&Pod]) -> Vec<String> {
    let of_pod = |pod: &&Pod| pod.ports.iter().map(|port| at(pod, port)).collect::<Vec<_>>();
    pods.iter().flat_map(of_pod).collect()
}

/// Waits until a container has a reason for its end.
fn ended(pod: &str, reason: impl Fn() -> Result<String, Failure>) -> Result<(), Failure> {
    let began = Instant::now();
    while reason()?.is_empty() {
        if began.elapsed() > PATIENCE {
            return Err(format!("the container that tries connections in the pod {pod} did not end").into());
        }
        std::thread::sleep(Duration::from_millis(500));
    }
    Ok(())
}

/// Reads what a trial said of every address.
fn opened(from: &str, pods: &[&Pod], told: &str) -> Result<BTreeSet<Connection>, Failure> {
    let mut open = BTreeSet::new();
    for pod in pods {
        for port in &pod.ports {
            let address = at(pod, port);
            if told.lines().any(|line| line == format!("open {address}")) {
                open.insert((from.to_owned(), pod.role.clone(), port.clone()));
            } else if !told.lines().any(|line| line == format!("shut {address}")) {
                return Err(format!("{from} did not try {}: {told}", pod.role).into());
            }
        }
    }
    Ok(open)
}

pub async fn network(stage: &mut Stage<'_>) -> Result<(), Failure> {
    let mut pods = stage.cluster.pods()?;
    // It has ended; that it came to Postgres is why the service runs.
    pods.retain(|pod| pod.role != "migrate");
    pods.sort_by(|a, b| a.role.cmp(&b.role));
    let bash = pods.iter().find(|pod| pod.role == "postgres");
    let image = bash.ok_or("the overlay has no Postgres")?.image.clone();
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let api = ["--namespace=default", "get", "service", "kubernetes"];
    let api = run(
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
        cluster: stage.cluster,
        pods,
        kubernetes,
        image,
        name: format!("try-{now}"),
    };
    let mut open = trial.reached_from_outside()?;
    let postgres = (STRANGER.to_owned(), "postgres".to_owned(), "5432".to_owned());
    if open.contains(&postgres) {
        return Err(
            "this cluster does not enforce NetworkPolicies: a pod of another namespace reaches Postgres"
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
    allowed.retain(|(from, to, port)| (from == STRANGER || roles.contains(from)) && tried(to, port));
    stage.note(format!(
        "{} of {} allowed connections are open",
        open.intersection(&allowed).count(),
        allowed.len()
    ));
    let told = |connections: Vec<&Connection>| {
        let each = connections
            .iter()
            .map(|(from, to, port)| format!("{from} to {to} {port}"));
        each.collect::<Vec<_>>().join(", ")
    };
    let shut: Vec<_> = allowed.difference(&open).collect();
    stage.check(shut.is_empty(), || format!("shut, but allowed: {}", told(shut)));
    let wrong: Vec<_> = open.difference(&allowed).collect();
    stage.check(wrong.is_empty(), || {
        format!("open, but not allowed: {}", told(wrong))
    });
    // The rest of the table: the analysis reaches Prometheus, Prometheus the pods and the Kubernetes API.
    let good = stage.good.clone();
    stage.release(&good, DEADLINE, 0).await?;
    stage.at_most_failed(0);
    stage.serves(&good)
}
