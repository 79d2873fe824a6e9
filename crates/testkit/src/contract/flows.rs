//! The business flows of a service, from `flows.toml`.

use std::path::Path;

use config::{Config, File, FileFormat};
use serde::Deserialize;

use super::Contract;

/// How much a flow matters to the business.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Criticality {
    /// The business stops without it.
    Critical,
    /// It can wait.
    Normal,
}

/// A sequence of operations with which a client gets something done.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Flow {
    /// The name of the flow.
    pub name: String,
    /// The ids of its operations, in order. Each finds its ids in the responses before it.
    pub steps: Vec<String>,
    /// How often it is used, relative to the other flows.
    pub weight: u32,
    /// How much it matters.
    pub criticality: Criticality,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(default)]
    flow: Vec<Flow>,
}

/// Reads the flows of `file` and checks them against the contract.
///
/// # Errors
/// Everything that is wrong with them, one per line: a step that is not an operation, or whose ids no earlier step
/// returns; a weight of 0; an operation of the service in no flow.
pub fn flows(file: &Path, contract: &Contract) -> Result<Vec<Flow>, String> {
    let source = File::from(file).format(FileFormat::Toml);
    let document = Config::builder().add_source(source).build();
    let document = document.and_then(Config::try_deserialize::<Document>);
    let flows = document
        .map_err(|error| format!("{}: {error}", file.display()))?
        .flow;
    let mut errors = Vec::new();
    for Flow {
        name, steps, weight, ..
    } in &flows
    {
        if *weight == 0 || steps.is_empty() {
            errors.push(format!("{name}: a flow needs steps and a weight of at least 1"));
        }
        for (index, step) in steps.iter().enumerate() {
            let Some(operation) = contract.find(step) else {
                errors.push(format!("{name}: no operation has the id {step}"));
                continue;
            };
            let missing = operation
                .sources()
                .find(|source| !steps[..index].contains(source));
            errors.extend(missing.map(|source| format!("{name}: {step} needs {source} before it")));
        }
    }
    let in_a_flow = |id: &String| flows.iter().any(|flow| flow.steps.contains(id));
    let forgotten = contract.operations().iter();
    let forgotten = forgotten.filter(|operation| !operation.of_platform && !in_a_flow(&operation.id));
    errors.extend(forgotten.map(|operation| format!("{} is in no flow", operation.id)));
    if errors.is_empty() {
        Ok(flows)
    } else {
        Err(format!("{}:\n{}", file.display(), errors.join("\n")))
    }
}
