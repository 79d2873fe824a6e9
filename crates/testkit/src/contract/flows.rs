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

/// Reads the flows of `file`.
///
/// # Errors
/// When the file cannot be read, is not valid, or has a flow without steps or weight.
pub fn flows(file: &Path) -> Result<Vec<Flow>, String> {
    let source = File::from(file).format(FileFormat::Toml);
    let document = Config::builder().add_source(source).build();
    let document = document.and_then(Config::try_deserialize::<Document>);
    let flows = document
        .map_err(|error| format!("{}: {error}", file.display()))?
        .flow;
    match flows
        .iter()
        .find(|flow| flow.weight == 0 || flow.steps.is_empty())
    {
        Some(flow) => Err(format!(
            "{}: {} needs steps and a weight of at least 1",
            file.display(),
            flow.name
        )),
        None => Ok(flows),
    }
}

/// Asserts that every step is an operation whose ids earlier steps return, and that every operation of the service is in
/// a flow.
///
/// # Panics
/// When one of these does not hold.
pub fn assert_flows(flows: &[Flow], contract: &Contract) {
    for Flow { name, steps, .. } in flows {
        for (index, step) in steps.iter().enumerate() {
            let operation = contract.find(step);
            let operation = operation.unwrap_or_else(|| panic!("{name}: no operation has the id {step}"));
            let missing = operation
                .needed()
                .find(|sources| !sources.iter().any(|source| steps[..index].contains(source)));
            assert!(
                missing.is_none(),
                "{name}: {step} needs one of {:?} before it",
                missing.unwrap_or_default()
            );
        }
    }
    for operation in contract
        .operations()
        .iter()
        .filter(|operation| !operation.of_platform)
    {
        let id = &operation.id;
        assert!(
            flows.iter().any(|flow| flow.steps.contains(id)),
            "{id} is in no flow of flows.toml"
        );
    }
}
