//! The cluster, accessed with kubectl, and images with injected faults.

use std::{
    cell::RefCell,
    collections::HashMap,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use super::Failure;

/// The overlay that the drills generate: `local` with another `service` label.
pub(super) const OVERLAY: &str = ".drill";
/// The resource quota with which a drill prevents new ReplicaSets.
pub(super) const QUOTA: &str = "drill";

/// Runs a program to its end and returns its standard output; an error contains its standard error.
pub(super) fn run(program: &str, arguments: &[&str], input: &str) -> Result<String, Failure> {
    let mut child = Command::new(program)
        .args(arguments)
        .current_dir(project())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("{program}: {error}"))?;
    child.stdin.take().expect("piped").write_all(input.as_bytes())?;
    let output = child.wait_with_output()?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() {
        return Ok(text(&output.stdout));
    }
    Err(format!("{program} {}: {}", arguments.join(" "), text(&output.stderr)).into())
}

/// The root folder of the project.
pub(super) fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A pod.
pub(super) struct Pod {
    /// The label `app.kubernetes.io/name`: `api`, `worker`, `postgres` and so on.
    pub role: String,
    /// The name of the pod.
    pub name: String,
    /// The pod's IP address.
    pub address: String,
    /// The image of the pod's container.
    pub image: String,
    /// The ports of the pod's container.
    pub ports: Vec<String>,
}

/// The cluster of kubectl's context, with the service deployed.
pub(super) struct Cluster {
    /// The name of kubectl's context.
    pub context: String,
    /// The number of API pods.
    pub replicas: u32,
    /// The URL of the service from outside the cluster.
    pub url: String,
    namespace: String,
    name: String,
    load: String,
    images: RefCell<HashMap<String, String>>,
}

impl Cluster {
    /// Checks that everything the drills need exists, and builds the image to release.
    pub(super) fn connect() -> Result<Self, Failure> {
        let names = std::fs::read_to_string(project().join("k8s/components/names/kustomization.yaml"))?;
        let named = |before: &str, after: &str| {
            let rest = names.split(before).nth(1).unwrap_or_default();
            rest.split(after).next().unwrap_or_default().to_owned()
        };
        let (namespace, name) = (
            named("namespace: \"", "\""),
            named("name: api, newName: \"", "-api\""),
        );
        let context = run("kubectl", &["config", "current-context"], "")?;
        let load = std::env::var("LOAD").ok().or_else(|| {
            let kind = context
                .strip_prefix("kind-")
                .map(|kind| format!("kind load docker-image --name {kind}"));
            kind.or_else(|| {
                context
                    .strip_prefix("k3d-")
                    .map(|k3d| format!("k3d image import --cluster {k3d}"))
            })
        });
        let load = load.ok_or(
            "set LOAD to the command that copies an image to the nodes: LOAD='kind load docker-image'",
        )?;
        let mut cluster = Self {
            context,
            replicas: 0,
            url: String::new(),
            namespace,
            name,
            load,
            images: RefCell::default(),
        };
        let replicas = cluster.get("rollout/api", "{.status.HPAReplicas}");
        cluster.replicas = replicas
            .map_err(|error| format!("the service is not deployed (make deploy ENV=local): {error}"))?
            .parse()?;
        cluster.url = if let Ok(url) = std::env::var("URL") {
            url
        } else {
            let address = r#"{.items[0].status.addresses[?(@.type=="InternalIP")].address}"#;
            let address = run(
                "kubectl",
                &["get", "nodes", "--output", &format!("jsonpath={address}")],
                "",
            )?;
            let port = cluster.get("service/api", "{.spec.ports[0].nodePort}")?;
            format!("http://{address}:{port}")
        };
        eprintln!("==> building the image");
        let output = Command::new("dev/image")
            .current_dir(project())
            .env("LOAD", &cluster.load)
            .stderr(Stdio::inherit())
            .output()?;
        if !output.status.success() {
            return Err("the image could not be built; the reason is above".into());
        }
        let base = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        cluster.images.borrow_mut().insert(String::new(), base);
        Ok(cluster)
    }

    /// Runs kubectl in the service's namespace.
    pub(super) fn kubectl(&self, arguments: &[&str]) -> Result<String, Failure> {
        run(
            "kubectl",
            &[&["--namespace", &self.namespace], arguments].concat(),
            "",
        )
    }

    /// Reads one field of an object, by its JSONPath.
    pub(super) fn get(&self, object: &str, path: &str) -> Result<String, Failure> {
        self.kubectl(&["get", object, "--output", &format!("jsonpath={path}")])
    }

    /// Lists the pods of the namespace that are not terminating.
    pub(super) fn pods(&self) -> Result<Vec<Pod>, Failure> {
        let fields = r"{.metadata.deletionTimestamp}|{.metadata.labels.app\.kubernetes\.io/name}|{.metadata.name}|{.status.podIP}|{.spec.containers[0].image}|{.spec.containers[0].ports[*].containerPort}";
        let rows = self.kubectl(&[
            "get",
            "pods",
            "--output",
            &format!(r#"jsonpath={{range .items[*]}}{fields}{{"\n"}}{{end}}"#),
        ])?;
        let pods = rows.lines().filter_map(|line| {
            let mut fields = line.strip_prefix('|')?.split('|').map(str::to_owned);
            Some(Pod {
                role: fields.next()?,
                name: fields.next()?,
                address: fields.next()?,
                image: fields.next()?,
                ports: fields.next()?.split_whitespace().map(str::to_owned).collect(),
            })
        });
        Ok(pods.collect())
    }

    /// Returns an image with `variables` in its environment, built on first use; without any, the project's image.
    pub(super) fn image(&self, variables: &str) -> Result<String, Failure> {
        if let Some(known) = self.images.borrow().get(variables) {
            return Ok(known.clone());
        }
        let base = self.image("")?;
        let dockerfile = format!("FROM {base}\nENV {variables}\n");
        let id = run("docker", &["build", "--quiet", "-"], &dockerfile)?;
        let image = format!("{}-api:{}", self.name, &id.trim_start_matches("sha256:")[..12]);
        run("docker", &["tag", &id, &image], "")?;
        let mut load = self.load.split_whitespace().chain([image.as_str()]);
        let program = load.next().unwrap_or_default();
        run(program, &load.collect::<Vec<_>>(), "")?;
        self.images
            .borrow_mut()
            .insert(variables.to_owned(), image.clone());
        Ok(image)
    }

    /// Returns an image that injects `fault` from startup, in the format of `PUT /faults`.
    pub(super) fn faulty_image(&self, fault: &str) -> Result<String, Failure> {
        self.image(&format!("APP__FAULTS__AT_STARTUP='{fault}'"))
    }

    /// The name of an image that does not exist.
    pub(super) fn missing_image(&self) -> String {
        format!("{}-api:000000000000", self.name)
    }

    /// Writes the overlay of the drills: `local`, with `label` as the name of the service in Prometheus.
    pub(super) fn relabel(label: &str) -> Result<(), Failure> {
        let folder = project().join("k8s/overlays").join(OVERLAY);
        std::fs::create_dir_all(&folder)?;
        let part_of = "labels/app.kubernetes.io~1part-of";
        let patches = ["/metadata", "/spec/template/metadata"]
            .map(|parent| format!("      - {{ op: replace, path: {parent}/{part_of}, value: {label} }}\n"))
            .concat();
        let overlay = format!(
            "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: [../local]\npatches:\n  \
             - target: {{ kind: Rollout|Deployment, name: api|worker }}\n    patch: |\n{patches}"
        );
        Ok(std::fs::write(folder.join("kustomization.yaml"), overlay)?)
    }

    /// Removes the overlay, the quota and the recorded releases, and deploys the service under its own name again.
    pub(super) fn restore(&self) {
        let _ = std::fs::remove_dir_all(project().join("k8s/overlays").join(OVERLAY));
        let restored = self
            .kubectl(&["delete", "quota", QUOTA, "--ignore-not-found"])
            .and_then(|_| self.kubectl(&["delete", "configmaps", "--selector", "release"]))
            .and_then(|_| self.image(""))
            .and_then(|image| release("local", "deploy", &image, &[("FORCE", "1")]));
        if let Err(error) = restored {
            eprintln!(
                "the service is still as the last drill left it; run FORCE=1 make deploy ENV=local: {error}"
            );
        }
    }

    /// Forwards a local port to `port` of `to`, an object in the namespace, until the returned value is dropped.
    pub(super) fn forward(&self, to: &str, port: u16) -> Result<Forward, Failure> {
        let mut child = Command::new("kubectl")
            .args([
                "--namespace",
                &self.namespace,
                "port-forward",
                to,
                &format!(":{port}"),
            ])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
        stdout.read_line(&mut line)?;
        let local = line
            .split("127.0.0.1:")
            .nth(1)
            .and_then(|rest| rest.split(' ').next());
        let Some(local) = local else {
            let _ = child.kill();
            return Err(format!("kubectl port-forward {to} {port} failed").into());
        };
        // kubectl prints a line for each connection, and exits when its output is not read.
        std::thread::spawn(move || std::io::copy(&mut stdout, &mut std::io::sink()));
        Ok(Forward {
            url: format!("http://127.0.0.1:{local}"),
            child,
        })
    }
}

/// Runs `k8s/release.sh` to its end and returns its output, which an error contains, too.
pub(super) fn release(
    overlay: &str,
    command: &str,
    argument: &str,
    variables: &[(&str, &str)],
) -> Result<String, Failure> {
    let mut script = Command::new("k8s/release.sh");
    script
        .current_dir(project())
        .arg(command)
        .env("ENV", overlay)
        .envs(variables.iter().copied());
    if !argument.is_empty() {
        script.arg(argument);
    }
    let output = script.output()?;
    let text = [output.stdout, output.stderr]
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .concat();
    if output.status.success() {
        return Ok(text);
    }
    Err(format!("release.sh {command} {argument}: {}", text.trim()).into())
}

/// A forwarded port.
pub(super) struct Forward {
    /// The URL of the port on this machine.
    pub url: String,
    child: Child,
}

impl Drop for Forward {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
