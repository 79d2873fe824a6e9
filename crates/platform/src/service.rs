//! What a service is made of.

use std::{fmt, path::Path};

use database::Schema;
use http_server::{Configure, Contract, Requirement};
use outcome::Catalogue;
use settings::{Errors, Loaded};

use crate::{Platform, Settings};

/// What is known of a service without the types of its settings and its state.
#[derive(Clone, Copy, Debug)]
pub struct Definition {
    /// Its version.
    pub version: &'static str,
    /// All its problem types.
    pub catalogue: Catalogue,
    /// The schema that it needs.
    pub schema: Schema,
    /// Registers its operations.
    pub operations: Configure,
    /// Whether it has Redis.
    pub redis: bool,
    /// Whether it has jobs.
    pub jobs: bool,
}

impl Definition {
    /// What its contract is made of.
    pub fn contract(&self) -> Contract {
        Contract {
            operations: self.operations,
            catalogue: self.catalogue,
            version: self.version,
            jobs: self.jobs,
        }
    }
}

/// A service with settings of the type `C` and a state of the type `S`: what its handlers and jobs work with.
pub struct Service<C: 'static, S: 'static> {
    pub(crate) definition: Definition,
    default_toml: &'static str,
    pub(crate) state: fn(&C, &Platform) -> anyhow::Result<S>,
    #[cfg(feature = "jobs")]
    pub(crate) kinds: &'static [jobs::JobKind<S>],
}

impl<C, S> Clone for Service<C, S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<C, S> Copy for Service<C, S> {}

impl<C, S> fmt::Debug for Service<C, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service")
            .field("definition", &self.definition)
            .finish_non_exhaustive()
    }
}

/// Puts a [`Service`] together.
#[derive(Debug)]
pub struct ServiceBuilder<C: 'static, S: 'static>(Service<C, S>);

impl<C, S> Service<C, S> {
    /// A service of this version, with these problem types and operations, and a `state` that is made once in each
    /// process.
    pub const fn builder(
        version: &'static str,
        catalogue: Catalogue,
        operations: Configure,
        state: fn(&C, &Platform) -> anyhow::Result<S>,
    ) -> ServiceBuilder<C, S> {
        ServiceBuilder(Self {
            definition: Definition {
                version,
                catalogue,
                schema: Schema::new(&[]),
                operations,
                redis: false,
                jobs: false,
            },
            default_toml: "",
            state,
            #[cfg(feature = "jobs")]
            kinds: &[],
        })
    }

    /// What is known of it without its types.
    pub const fn definition(&self) -> &Definition {
        &self.definition
    }

    /// Its kinds of jobs.
    #[cfg(feature = "jobs")]
    pub const fn kinds(&self) -> &'static [jobs::JobKind<S>] {
        self.kinds
    }
}

impl<C: settings::Settings + AsRef<Settings>, S> Service<C, S> {
    /// Reads its configuration from its own defaults, `{environment}.toml` in this folder, and the environment.
    pub fn load(&self, folder: &Path) -> Loaded<C> {
        self.checked(settings::load(self.default_toml, folder))
    }

    /// As [`load`](Self::load), with the environment variables given and no folder.
    pub fn load_from(&self, variables: impl IntoIterator<Item = (String, String)>) -> Loaded<C> {
        self.checked(settings::load_from(
            self.default_toml,
            Path::new("/nonexistent"),
            variables,
        ))
    }

    /// Adds the rules of what this service has.
    fn checked(&self, mut loaded: Loaded<C>) -> Loaded<C> {
        let (mut errors, settings) = (Errors::default(), loaded.settings.as_ref());
        #[cfg(feature = "cache")]
        if self.definition.redis {
            settings.redis.require(&mut errors);
        }
        if !self.definition.redis && settings.readiness.require.contains(&Requirement::Redis) {
            errors.add(
                "readiness.require",
                "names redis, which this service does not have",
            );
        }
        loaded.add(errors);
        loaded
    }
}

impl<C, S> ServiceBuilder<C, S> {
    /// Settings that are true wherever the service runs, as TOML.
    pub const fn defaults(mut self, toml: &'static str) -> Self {
        self.0.default_toml = toml;
        self
    }

    /// The schema that it needs.
    pub const fn schema(mut self, schema: Schema) -> Self {
        self.0.definition.schema = schema;
        self
    }

    /// It has Redis: caches, and quotas that replicas share. Without it quotas count in each process.
    #[cfg(feature = "cache")]
    pub const fn redis(mut self) -> Self {
        self.0.definition.redis = true;
        self
    }

    /// It has jobs of these kinds, and with them a worker. Its schema needs `jobs::MIGRATIONS`.
    #[cfg(feature = "jobs")]
    pub const fn jobs(mut self, kinds: &'static [jobs::JobKind<S>]) -> Self {
        self.0.kinds = kinds;
        self.0.definition.jobs = true;
        self
    }

    /// The service.
    pub const fn build(self) -> Service<C, S> {
        self.0
    }
}
