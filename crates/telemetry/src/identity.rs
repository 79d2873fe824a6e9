//! What the spans of a process say about it.

use opentelemetry::KeyValue;
use opentelemetry_sdk::Resource;

/// The process, for the resource of its spans (OpenTelemetry semantic conventions), so that a trace leads to the release
/// and the instance that it is from.
#[derive(Clone, Copy, Debug)]
pub struct Identity<'i> {
    /// The name of the service.
    pub service: &'i str,
    /// The version of the service.
    pub version: &'i str,
    /// The git revision that the process was built from, if it is known.
    pub revision: Option<&'i str>,
    /// The environment: `development`, `staging` or `production`.
    pub environment: &'i str,
}

impl Identity<'_> {
    /// The version, with the revision if it is known.
    pub fn full_version(&self) -> String {
        match self.revision {
            Some(revision) => format!("{}+{revision}", self.version),
            None => self.version.to_owned(),
        }
    }

    pub(crate) fn resource(&self) -> Resource {
        // The name of the pod or the container, or a name of its own.
        let instance = std::env::var("HOSTNAME").unwrap_or_else(|_| uuid::Uuid::new_v4().to_string());
        let mut attributes = vec![
            KeyValue::new("service.version", self.full_version()),
            KeyValue::new("service.instance.id", instance),
            KeyValue::new("deployment.environment.name", self.environment.to_owned()),
        ];
        attributes.extend(
            self.revision
                .map(|revision| KeyValue::new("vcs.ref.head.revision", revision.to_owned())),
        );
        Resource::builder()
            .with_service_name(self.service.to_owned())
            .with_attributes(attributes)
            .build()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_name_the_release_the_instance_and_the_environment() {
        let identity = Identity {
            service: "shop",
            version: "1.2.3",
            revision: Some("0123456789ab"),
            environment: "staging",
        };
        let resource = identity.resource();
        let value = |key: &'static str| resource.get(&key.into()).expect(key).to_string();
        assert_eq!(value("service.name"), "shop");
        assert_eq!(value("service.version"), "1.2.3+0123456789ab");
        assert_eq!(value("vcs.ref.head.revision"), "0123456789ab");
        assert_eq!(value("deployment.environment.name"), "staging");
        assert!(!value("service.instance.id").is_empty());
    }
}
